package imapserver

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidemark/imap"
	"tidemark/internal/testbed"
)

// stepTime bounds every read and write of a test's client.
const stepTime = testbed.Patience

// client is the other end of a connection to a test's server.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// startServer returns a server on b that ends with the test.
func startServer(t testing.TB, b Backend, change func(*Options)) *Server {
	t.Helper()
	opts := Options{Backend: b, Authenticator: fakeAuth{[]string{"FAKE"}}}
	if change != nil {
		change(&opts)
	}
	s := New(opts)
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// listen has s serve a free port of the loopback interface and returns its address.
func listen(t testing.TB, s *Server) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), ln, false) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != ErrServerClosed {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return ln.Addr().String()
}

// dial returns a connection to addr whose greeting has not been read.
func dial(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t, nc, bufio.NewReader(nc)}
	t.Cleanup(func() { nc.Close() })
	return c
}

// connect is dial without a network, for tests in the time of package synctest. Nothing is
// buffered on the way: a write is over when it has been read.
func connect(t testing.TB, s *Server) *client {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ServeConn(context.Background(), theirs, false)
	}()
	t.Cleanup(func() {
		ours.Close()
		<-done
	})
	return &client{t, ours, bufio.NewReader(ours)}
}

// login returns a session of alice.
func login(t testing.TB, addr string) *client {
	t.Helper()
	return dial(t, addr).login()
}

// login makes a connection whose greeting has not been read a session of alice.
func (c *client) login() *client {
	c.t.Helper()
	c.want("* OK [CAPABILITY ")
	c.send("l LOGIN alice secret")
	c.want("l OK ")
	return c
}

func (c *client) send(line string) {
	c.t.Helper()
	if err := c.conn.SetWriteDeadline(time.Now().Add(stepTime)); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.Write([]byte(line + "\r\n")); err != nil {
		c.t.Fatalf("sending %q: %v", line, err)
	}
}

// line returns the next line, or "" at the end of the connection.
func (c *client) line() string {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(stepTime)); err != nil && err != io.ErrClosedPipe {
		c.t.Fatal(err)
	}
	line, err := c.r.ReadString('\n')
	if err != nil && strings.Contains(err.Error(), "timeout") {
		c.t.Fatalf("no answer; so far %q", line)
	}
	return strings.TrimSuffix(line, "\r\n")
}

// want reads one line, which must begin with prefix.
func (c *client) want(prefix string) {
	c.t.Helper()
	if got := c.line(); !strings.HasPrefix(got, prefix) || prefix == "" && got != "" {
		c.t.Fatalf("got %q, want %q", got, prefix)
	}
}

// wantEnd wants the connection to be over.
func (c *client) wantEnd() {
	c.t.Helper()
	c.want("")
}

// talk runs a dialogue: lines that begin with "C: " are sent, the others must come.
func (c *client) talk(dialogue string) {
	c.t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(dialogue), "\n") {
		line = strings.TrimSpace(line)
		if command, ok := strings.CutPrefix(line, "C:"); ok {
			c.send(strings.TrimPrefix(command, " "))
		} else {
			c.want(strings.TrimPrefix(line, "S: "))
		}
	}
}

// skipTo reads up to the line that begins with prefix.
func (c *client) skipTo(prefix string) {
	c.t.Helper()
	for range 1000 {
		if line := c.line(); strings.HasPrefix(line, prefix) {
			return
		} else if line == "" {
			break
		}
	}
	c.t.Fatalf("%q did not come", prefix)
}

// inMailboxOf returns a session of alice with INBOX selected and three messages in it.
func inMailboxOf(t *testing.T, b *fakeBackend, change func(*Options)) *client {
	t.Helper()
	return login(t, listen(t, startServer(t, b, change))).inMailbox(b)
}

// inMailbox adds three messages to INBOX and selects it.
func (c *client) inMailbox(b *fakeBackend) *client {
	c.t.Helper()
	for _, content := range []string{"one", "two", "three"} {
		b.inbox().add(content)
	}
	c.send("s SELECT INBOX")
	c.skipTo("s OK [READ-WRITE]")
	return c
}

// Without it a client would count other messages than the server: EXPUNGE while FETCH,
// STORE or SEARCH run renumbers what the client has just asked for (RFC 9051 §7.5.1).
func TestExpungeIsHeldBack(t *testing.T) {
	b := newFakeBackend()
	c := inMailboxOf(t, b, nil)
	b.inbox().expunge(1)
	b.inbox().add("four")
	b.inbox().flag(3, imap.FlagFlagged)
	c.talk(`
		C: a1 FETCH 3 (UID FLAGS)
		S: * 3 FETCH (UID 3 FLAGS (\Flagged \Recent))
		S: * 3 FETCH (UID 3 FLAGS (\Flagged \Recent))
		S: a1 OK
		C: a2 SEARCH ALL
		S: * SEARCH 2 3
		S: a2 OK
		C: a3 FETCH 1 BODY[]
		S: a3 OK [EXPUNGEISSUED]
		C: a4 NOOP
		S: * 1 EXPUNGE
		S: * 3 EXISTS
		S: * 3 RECENT
		S: a4 OK
		C: a5 NOOP
		S: a5 OK
	`)
}

// Without it a client that has another's change and its own mixed up would show wrong
// flags: foreign changes are told once, one's own .SILENT change not at all
// (RFC 9051 §6.4.6).
func TestStoreTellsForeignChangesOnce(t *testing.T) {
	b := newFakeBackend()
	c := inMailboxOf(t, b, nil)
	b.inbox().beforeStore = func() { b.inbox().flag(2, imap.FlagAnswered) }
	c.talk(`
		C: a1 STORE 1:2 +FLAGS.SILENT (\Seen)
		S: * 2 FETCH (UID 2 FLAGS (\Answered \Recent))
		S: a1 OK
		C: a2 NOOP
		S: a2 OK
	`)
	b.inbox().beforeStore = func() { b.inbox().expunge(1) }
	c.talk(`
		C: a3 STORE 3 +FLAGS (\Seen)
		S: * 3 FETCH (UID 3 FLAGS (\Seen \Recent))
		S: a3 OK
		C: a4 UID STORE 2 +FLAGS (\Flagged)
		S: * 2 FETCH (UID 2 FLAGS (\Answered \Seen \Flagged \Recent))
		S: * 1 EXPUNGE
		S: a4 OK
	`)
}

// Without it a client that syncs by MODSEQ would lose an expunge that was held back
// when its connection broke (RFC 7162 §6).
func TestHighestModSeqStaysBehindHeldExpunges(t *testing.T) {
	b := newFakeBackend()
	c := inMailboxOf(t, b, nil)
	c.talk(`
		C: a1 ENABLE QRESYNC
		S: * OK [HIGHESTMODSEQ 4]
		S: * ENABLED QRESYNC
		S: a1 OK
	`)
	b.inbox().expunge(2)
	c.talk(`
		C: a2 STORE 3 +FLAGS.SILENT (\Seen)
		S: * 3 FETCH (UID 3 MODSEQ (6))
		S: a2 OK [HIGHESTMODSEQ 4]
		C: a3 NOOP
		S: * VANISHED 2
		S: a3 OK [HIGHESTMODSEQ 6]
	`)
}

// Without it mail would be seen minutes late: IDLE must tell news at once, and end in
// step with DONE (RFC 9051 §6.3.13).
func TestIdlePushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBackend()
		c := connect(t, startServer(t, b, nil)).login().inMailbox(b)
		for range 5 {
			c.talk("C: a1 IDLE\nS: + ")
			started := time.Now()
			uid := b.inbox().add("new")
			c.skipTo("* 4 EXISTS")
			if late := time.Since(started); late != 0 {
				t.Errorf("pushed after %v", late)
			}
			c.want("* ")
			b.inbox().expunge(uid)
			c.talk("S: * 4 EXPUNGE\nC: DONE\nS: a1 OK\nC: a2 NOOP\nS: a2 OK")
		}
		c.talk("C: a3 IDLE\nS: + \nC: NOOP\nS: a3 BAD\nC: a4 NOOP\nS: a4 OK")
	})
}

// Without it a session would go on with the mail of a mailbox that is not there.
func TestDeletedMailbox(t *testing.T) {
	b := newFakeBackend()
	c := inMailboxOf(t, b, nil)
	c.talk(`
		C: a1 CREATE x
		S: a1 OK [MAILBOXID (Fx)]
		C: a2 SELECT x
		S: * OK [CLOSED]
	`)
	c.skipTo("a2 OK")
	c.talk(`
		C: a3 DELETE x
		S: * OK [CLOSED]
		S: a3 OK
		C: a4 FETCH 1 UID
		S: a4 BAD
	`)
	c.send("a5 SELECT INBOX")
	c.skipTo("a5 OK")
	b.inbox().delete()
	c.talk("C: a6 NOOP\nS: a6 OK\nS: * BYE [NONEXISTENT]")
	c.wantEnd()
}

// Without it a client could read half a message as a whole one: when content fails
// after its announced size, the connection must end.
func TestTornContentEndsConnection(t *testing.T) {
	b := newFakeBackend()
	c := inMailboxOf(t, b, nil)
	b.inbox().torn = true
	c.send("a1 FETCH 1:2 BODY.PEEK[]")
	rest, err := c.r.ReadString(0)
	if err == nil || strings.Contains(rest, "a1 ") || strings.Contains(rest, "* 2 FETCH") {
		t.Errorf("got %q, %v", rest, err)
	}
}

// Without it each request for a body would be sent as often as it was written.
func TestEqualItemsAreAnsweredOnce(t *testing.T) {
	c := inMailboxOf(t, newFakeBackend(), nil)
	c.talk(`
		C: a1 FETCH 1 (BODY.PEEK[] BODY[] UID UID BODY[]<1.1>)
		S: * 1 FETCH (BODY[] {3}
		S: one UID 1 BODY[]<1> {1}
		S: n)
		S: * 1 FETCH (UID 1 FLAGS (\Seen \Recent))
		S: a1 OK
	`)
}

// Without it sessions of clients that have gone without a word would stay for ever, and
// with a shorter time than RFC 9051 §5.4 allows phones would log in again and again.
func TestInactivity(t *testing.T) {
	if d := (Limits{}).withDefaults().Inactivity; d < 30*time.Minute {
		t.Errorf("the autologout timer is %v", d)
	}
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, newFakeBackend(), func(o *Options) { o.Limits.Inactivity = time.Minute })
		for _, doing := range []string{"C: a NOOP\nS: a OK", "C: a IDLE\nS: + "} {
			c := connect(t, s).login()
			c.talk(doing)
			began := time.Now()
			c.want("* BYE Logged out for inactivity")
			if waited := time.Since(began); waited < time.Minute || waited > time.Minute+time.Minute/slackShare {
				t.Errorf("after %q it took %v", doing, waited)
			}
			c.wantEnd()
		}
	})
}
