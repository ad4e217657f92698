package simtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"tidemark/internal/transcript"
)

const (
	togetherSessions = 6
	togetherSteps    = 150
	togetherRounds   = 4
)

// client is a session that works at the same time as others: it checks what it
// hears and keeps its own log.
type client struct {
	*session
	rng    *rand.Rand
	log    strings.Builder
	added  int // messages that it put into INBOX
	denied error
}

// If this fails commands that run at the same time show some client a mailbox that
// is not there, or lose or double a message.
func TestTogether(t *testing.T) {
	srv := Start(t, 1)
	srv.AddUser("alice")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var clients []*client
	for i := range togetherSessions {
		clients = append(clients, &client{
			session: &session{id: i, user: "alice", qresync: i%2 == 1},
			rng:     rand.New(rand.NewPCG(seed, uint64(i))),
		})
	}
	for _, c := range clients {
		c.open(t, srv.Target())
	}
	for round := range togetherRounds {
		var wg sync.WaitGroup
		for _, c := range clients {
			wg.Go(func() {
				for range togetherSteps {
					if c.denied = c.step(); c.denied != nil {
						return
					}
				}
			})
		}
		wg.Wait()
		compare(t, srv, clients)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	for _, c := range clients {
		c.conn.Close()
	}
	srv.Check()
}

func (c *client) open(t *testing.T, target transcript.Target) {
	t.Helper()
	conn, err := transcript.Dial(t.Context(), target, false, patience)
	if err != nil {
		t.Fatal(err)
	}
	c.conn = conn
	if _, err := conn.Read(); err != nil {
		t.Fatal(err)
	}
	name, password := target.Login(c.user)
	commands := []string{fmt.Sprintf("LOGIN %q %q", name, password), "SELECT INBOX"}
	if c.qresync {
		commands = []string{commands[0], "ENABLE QRESYNC", commands[1]}
	}
	for _, text := range commands {
		if err := c.do(during{command: text, selecting: strings.HasPrefix(text, "SELECT")}, text); err != nil {
			t.Fatal(err)
		}
	}
	c.name = "INBOX"
}

func (c *client) do(d during, text string, literals ...string) error {
	fmt.Fprintf(&c.log, "C%d: %s\n", c.id, text)
	untagged, done, err := c.conn.Command(text, literals...)
	for _, r := range untagged {
		fmt.Fprintf(&c.log, "S%d: %.200s\n", c.id, r.Raw)
		if err := c.hear(r, d); err != nil {
			return err
		}
	}
	fmt.Fprintf(&c.log, "S%d: %.200s\n", c.id, done.Raw)
	if err == nil && (done.Status == "BAD" || done.CodeIs("SERVERBUG")) {
		err = fmt.Errorf("%q got %q", text, done.Raw)
	}
	return err
}

// step does one random command; what refers to messages that another client has
// just removed may be refused.
func (c *client) step() error {
	all := during{mayShrink: true}
	switch c.rng.IntN(10) {
	case 0, 1:
		c.added++
		return c.do(all, "APPEND INBOX "+flagSet(c.rng.IntN(int(allFlags)+1)).String()+" "+transcript.LiteralMark, text(c.added))
	case 2:
		return c.do(all, "NOOP")
	case 3:
		return c.do(all, "EXPUNGE")
	case 4:
		return c.do(during{command: "SEARCH"}, "SEARCH SEEN UNDELETED")
	case 5:
		return c.idleOnce()
	}
	if len(c.list) == 0 {
		return nil
	}
	seq := 1 + c.rng.IntN(len(c.list))
	switch c.rng.IntN(3) {
	case 0:
		return c.do(during{command: "FETCH"}, fmt.Sprintf("FETCH %d:* (UID FLAGS MODSEQ)", seq))
	case 1:
		if uid := c.list[seq-1].uid; uid != 0 {
			return c.do(during{command: "UID COPY", mayShrink: true}, fmt.Sprintf("UID COPY %d INBOX", uid))
		}
		return nil
	}
	op := []storeOp{storeAdd, storeRemove, storeReplace}[c.rng.IntN(3)]
	return c.do(during{command: "STORE"}, fmt.Sprintf("STORE %d %s %s", seq, op, flagSet(c.rng.IntN(int(allFlags)+1))))
}

// idleOnce begins IDLE and ends it at once.
func (c *client) idleOnce() error {
	tag := fmt.Sprintf("idle%d", c.log.Len())
	if _, err := fmt.Fprintf(c.conn, "%s IDLE\r\n", tag); err != nil {
		return err
	}
	for {
		r, err := c.conn.Read()
		if err != nil {
			return err
		}
		fmt.Fprintf(&c.log, "S%d: %.200s\n", c.id, r.Raw)
		switch r.Tag {
		case tag:
			return nil
		case "+":
			if _, err := c.conn.Write([]byte("DONE\r\n")); err != nil {
				return err
			}
		default:
			if err := c.hear(r, during{command: "IDLE", mayShrink: true}); err != nil {
				return err
			}
		}
	}
}

// compare has everybody catch up and then see the same mailbox as a newcomer.
func compare(t *testing.T, srv *Server, clients []*client) {
	t.Helper()
	truth := newMailbox()
	fresh := &client{session: &session{id: len(clients), user: "alice"}}
	fresh.open(t, srv.Target())
	defer fresh.conn.Close()
	if len(fresh.list) > 0 {
		if err := fresh.do(during{command: "FETCH"}, "FETCH 1:* (UID FLAGS)"); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range fresh.list {
		truth.messages = append(truth.messages, message{uid: k.uid, flags: k.flags})
	}
	for _, c := range clients {
		err := c.denied
		if err == nil {
			err = c.do(during{command: "NOOP", mayShrink: true}, "NOOP")
		}
		if diff := c.differs(truth); err == nil && diff != "" {
			err = fmt.Errorf("after NOOP: %s", diff)
		}
		if err != nil {
			t.Errorf("session %d: %v\n%s", c.id, err, tail(c.log.String()))
		}
	}
}

// tail is the end of a long dialogue.
func tail(log string) string { return log[max(0, len(log)-6000):] }
