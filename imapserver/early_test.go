package imapserver

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"tidemark/sasl"
)

// earlyBackend notes which changes may be answered early, and when they are settled.
type earlyBackend struct {
	*fakeBackend
	notes  chan string
	failed error // of Settle
}

type earlySession struct {
	Mailbox
	backend   *earlyBackend
	unsettled bool
}

func (b *earlyBackend) OpenAccount(context.Context, sasl.Identity) (Account, error) { return b, nil }

func (b *earlyBackend) OpenMailbox(ctx context.Context, name string, readOnly bool) (Mailbox, error) {
	m, err := b.fakeBackend.OpenMailbox(ctx, name, readOnly)
	return &earlySession{Mailbox: m, backend: b}, err
}

func (s *earlySession) Store(ctx context.Context, c StoreChange) (StoreResult, error) {
	s.backend.notes <- fmt.Sprint("store early=", c.Early)
	s.unsettled = s.unsettled || c.Early
	return s.Mailbox.Store(ctx, c)
}

func (s *earlySession) Settle(context.Context) error {
	if s.unsettled {
		s.backend.notes <- "settle"
	}
	s.unsettled = false
	return s.backend.failed
}

func (b *earlyBackend) want(t *testing.T, notes ...string) {
	t.Helper()
	for _, want := range notes {
		select {
		case got := <-b.notes:
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		default:
			t.Errorf("nothing, want %q", want)
		}
	}
	if len(b.notes) > 0 {
		t.Errorf("and then %q", <-b.notes)
	}
}

func earlyServer(t *testing.T, early bool) (*earlyBackend, *client) {
	t.Helper()
	b := &earlyBackend{fakeBackend: newFakeBackend(), notes: make(chan string, 10)}
	b.inbox().add("Subject: one\r\n\r\nText\r\n")
	s := startServer(t, b, func(o *Options) { o.EarlyFlags = early })
	c := login(t, listen(t, s))
	c.do("SELECT INBOX")
	return b, c
}

// do sends a command and reads up to its answer, which must be OK.
func (c *client) do(command string) {
	c.t.Helper()
	c.send("x " + command)
	line := ""
	for range 20 {
		if line = c.line(); strings.HasPrefix(line, "x ") {
			break
		}
	}
	if !strings.HasPrefix(line, "x OK ") {
		c.t.Fatalf("%q got %q", command, line)
	}
}

// If this fails, a client hears of a MODSEQ, or another session of a change, that a power
// cut may undo, or everybody waits for the disk although the operator wants otherwise.
func TestEarlyFlags(t *testing.T) {
	b, c := earlyServer(t, true)
	c.do(`STORE 1 +FLAGS (\Flagged)`)
	c.do(`UID STORE 1 +FLAGS (\Answered)`)
	b.want(t, "store early=true", "store early=true")
	c.do("NOOP")
	b.want(t, "settle")
	c.do("FETCH 1 BODY[TEXT]") // sets \Seen
	b.want(t, "store early=true")
	c.do("FETCH 1 (FLAGS MODSEQ)")
	b.want(t, "settle")
	c.do(`STORE 1 +FLAGS (\Draft)`)
	b.want(t, "store early=false")
}

// If this fails, UNCHANGEDSINCE tells MODSEQs of a state that a power cut may undo.
func TestEarlyFlagsAndUnchangedSince(t *testing.T) {
	b, c := earlyServer(t, true)
	c.do(`STORE 1 +FLAGS (\Flagged)`)
	c.do(`STORE 1 (UNCHANGEDSINCE 1000) +FLAGS (\Draft)`)
	b.want(t, "store early=true", "settle", "store early=false")
}

// If this fails, flags are answered early without the operator's word.
func TestEarlyFlagsAreOff(t *testing.T) {
	b, c := earlyServer(t, false)
	c.do(`STORE 1 +FLAGS (\Flagged)`)
	b.want(t, "store early=false")
}

// If this fails, a session goes on with flags that were never stored.
func TestEarlyFlagsThatFail(t *testing.T) {
	b, c := earlyServer(t, true)
	b.failed = ErrUnavailable
	c.send(`x STORE 1 +FLAGS (\Flagged)`)
	c.want("* 1 FETCH ")
	c.want("x OK ")
	c.send("y NOOP")
	c.want("* BYE [UNAVAILABLE] ")
	c.wantEnd()
}
