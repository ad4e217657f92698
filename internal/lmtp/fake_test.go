package lmtp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// fakeMail is a Backend in memory.
type fakeMail struct {
	mu       sync.Mutex
	boxes    map[string]map[string][]string // user, mailbox, messages
	disabled map[string]bool
	full     map[string]bool
	broken   map[string]error // Append of this user fails so
	opened   int              // accounts that are open
	gate     chan struct{}    // if not nil, Append waits for it
	entered  chan struct{}    // if not nil, Append tells that it waits
}

func newFakeMail(users ...string) *fakeMail {
	f := &fakeMail{
		boxes:    make(map[string]map[string][]string),
		disabled: make(map[string]bool),
		full:     make(map[string]bool),
		broken:   make(map[string]error),
	}
	for _, u := range users {
		f.boxes[u] = map[string][]string{imap.Inbox: nil}
	}
	return f
}

func (f *fakeMail) OpenRecipient(_ context.Context, user string) (Account, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.boxes[user] == nil {
		return nil, ErrNoUser
	}
	if f.disabled[user] {
		return nil, ErrDisabled
	}
	f.opened++
	return &fakeAccount{f, user}, nil
}

// messages returns what lies in a mailbox.
func (f *fakeMail) messages(user, mailbox string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.boxes[user][mailbox]
}

type fakeAccount struct {
	mail *fakeMail
	user string
}

type fakeUpload struct{ bytes.Buffer }

func (*fakeUpload) Abort() {}

func (a *fakeAccount) NewUpload(_ context.Context, mailbox string, _ int64) (imapserver.Upload, error) {
	a.mail.mu.Lock()
	defer a.mail.mu.Unlock()
	if _, ok := a.mail.boxes[a.user][mailbox]; !ok {
		return nil, imap.Refuse(imap.CodeTryCreate, "no such mailbox")
	}
	if a.mail.full[a.user] {
		return nil, imap.Refuse(imap.CodeOverQuota, "quota exceeded")
	}
	return &fakeUpload{}, nil
}

func (a *fakeAccount) Append(_ context.Context, mailbox string, msgs []imapserver.AppendMessage) (imapserver.AppendResult, error) {
	if a.mail.gate != nil {
		a.mail.entered <- struct{}{}
		<-a.mail.gate
	}
	a.mail.mu.Lock()
	defer a.mail.mu.Unlock()
	if err := a.mail.broken[a.user]; err != nil {
		return imapserver.AppendResult{}, err
	}
	for _, m := range msgs {
		a.mail.boxes[a.user][mailbox] = append(a.mail.boxes[a.user][mailbox], m.Upload.(*fakeUpload).String())
	}
	return imapserver.AppendResult{}, nil
}

func (a *fakeAccount) Close() error {
	a.mail.mu.Lock()
	defer a.mail.mu.Unlock()
	a.mail.opened--
	return nil
}

var errDisk = errors.New("disk is on fire")

// start runs a server for f on loopback and ends it with the test.
func start(t testing.TB, f *fakeMail, c Config) (*Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, l, f, c), l.Addr().String()
}

// startOn is start with another listener.
func startOn(t testing.TB, l net.Listener, f *fakeMail, c Config) *Server {
	t.Helper()
	s := NewServer(f, c)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Shutdown(context.Background()) // fails where the test has done it
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.opened != 0 {
			t.Errorf("%d accounts were left open", f.opened)
		}
	})
	return s
}

// pipeListener has connections in memory, for which the time of package synctest goes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// client is a raw connection to the server.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(testbed.Patience))
	return &client{t, conn, bufio.NewReader(conn)}
}

// send writes bytes as they are.
func (c *client) send(raw string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(raw)); err != nil {
		c.t.Fatal(err)
	}
}

// reply reads one reply, with all its lines.
func (c *client) reply() string {
	c.t.Helper()
	var all strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.t.Fatalf("after %q: %v", all.String()+line, err)
		}
		all.WriteString(line)
		if len(line) < 4 || line[3] != '-' {
			return all.String()
		}
	}
}

// expect reads as many replies as there are prefixes and compares.
func (c *client) expect(prefixes ...string) {
	c.t.Helper()
	for _, want := range prefixes {
		if got := c.reply(); !strings.HasPrefix(got, want) {
			c.t.Fatalf("got reply %q, want %q", got, want)
		}
	}
}

// expectEnd reads until the server has closed the connection.
func (c *client) expectEnd() {
	c.t.Helper()
	if rest, err := c.in.ReadString(0); err == nil || rest != "" {
		c.t.Fatalf("connection goes on with %q, %v", rest, err)
	}
}

// greeted is a client that has said LHLO.
func greeted(t testing.TB, addr string) *client {
	t.Helper()
	c := dial(t, addr)
	c.expect("220 ")
	c.send("LHLO mta.example\r\n")
	c.expect("250-")
	return c
}

// begin opens a transaction up to the 354.
func (c *client) begin(rcpts ...string) {
	c.t.Helper()
	c.send("MAIL FROM:<sender@example.net>\r\n")
	c.expect("250 ")
	for _, r := range rcpts {
		c.send("RCPT TO:<" + r + ">\r\n")
		c.expect("250 ")
	}
	c.send("DATA\r\n")
	c.expect("354 ")
}
