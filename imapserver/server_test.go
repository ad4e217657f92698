package imapserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tidemark/imap"
	"tidemark/internal/testbed"
)

// logTo has a server write all of its log to l.
func logTo(l *testbed.Log) func(*Options) {
	return func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
}

// Without it one fault would end the server for everybody.
func TestPanicEndsOneSession(t *testing.T) {
	b, log := newFakeBackend(), &testbed.Log{}
	addr := listen(t, startServer(t, b, logTo(log)))
	other := login(t, addr)
	c := login(t, addr)
	b.openPanic = true
	c.send("a1 SELECT INBOX")
	bye := c.line()
	id, ok := strings.CutPrefix(bye, "* BYE [SERVERBUG] Internal error ")
	if !ok {
		t.Fatalf("got %q", bye)
	}
	c.wantEnd()
	other.talk("C: a1 NOOP\nS: a1 OK")
	if got := log.String(); !strings.Contains(got, "id="+id) || !strings.Contains(got, "fault in the backend") {
		t.Errorf("the log has no panic %s: %s", id, got)
	}
}

// The handshake has a goroutine of its own: if a fault in it were not contained there, one
// connection could end the process.
func TestPanicInHandshake(t *testing.T) {
	log := &testbed.Log{}
	addr := listen(t, startServer(t, newFakeBackend(), func(o *Options) {
		logTo(log)(o)
		o.TLS = func() *tls.Config {
			return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("no key") }}
		}
	}))
	other := login(t, addr)
	c := dial(t, addr)
	c.want("* OK")
	c.send("a STARTTLS")
	c.want("a OK")
	if err := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true}).Handshake(); err == nil {
		t.Error("the handshake went well")
	}
	other.talk("C: a1 NOOP\nS: a1 OK")
	if got := log.String(); !strings.Contains(got, "no key") {
		t.Errorf("the log has no panic: %s", got)
	}
}

// Without it clients would be shown the inside of the server, or no reason at all.
func TestErrorsBecomeAnswers(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{imap.Refuse(imap.CodeOverQuota, "No room"), "a NO [OVERQUOTA] No room"},
		{fmt.Errorf("opening: %w", imap.Refuse(imap.CodeNoPerm, "Not allowed")), "a NO [NOPERM] Not allowed"},
		{imap.Bad("Nonsense"), "a BAD Nonsense"},
		{errors.New("secret detail"), "a NO [SERVERBUG] Internal error "},
		{fmt.Errorf("secret: %w", ErrUnavailable), "a NO [UNAVAILABLE] Temporarily unavailable "},
		{context.DeadlineExceeded, "a NO [UNAVAILABLE] Temporarily unavailable "},
	}
	b, log := newFakeBackend(), &testbed.Log{}
	c := login(t, listen(t, startServer(t, b, logTo(log))))
	for _, test := range tests {
		b.openErr = test.err
		c.send("a SELECT INBOX")
		got := c.line()
		if !strings.HasPrefix(got, test.want) || strings.Contains(got, "secret") {
			t.Errorf("%v: got %q, want %q", test.err, got, test.want)
		}
		if id := strings.TrimPrefix(got, test.want); id != "" && !strings.Contains(log.String(), "id="+id) {
			t.Errorf("%v: the id %q is not in the log", test.err, id)
		}
	}
	if strings.Contains(log.String(), "password") || strings.Contains(log.String(), "alice secret") {
		t.Error("a password is in the log")
	}
}

// Without it stopping the server would cut answers off or leave clients waiting.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBackend()
		b.block, b.entered = make(chan struct{}), make(chan struct{})
		s := startServer(t, b, nil)
		stranger := connect(t, s)
		stranger.want("* OK")
		waiting, idle, busy := connect(t, s).login(), connect(t, s).login(), connect(t, s).login()
		idle.talk("C: a1 IDLE\nS: + ")
		busy.talk("C: a1 NOOP\nS: a1 OK\nC: a2 STATUS INBOX (MESSAGES)")
		<-b.entered

		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		for _, c := range []*client{stranger, waiting, idle} {
			c.want("* BYE [UNAVAILABLE] Server is shutting down")
			c.wantEnd()
		}
		close(b.block) // the running command finishes and is answered
		busy.skipTo("a2 OK")
		busy.want("* BYE")
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Without it a user who was disabled would stay in for as long as a client keeps its
// connection, or would come in by a password that was checked just before.
func TestEndSessions(t *testing.T) {
	log := &testbed.Log{}
	s := startServer(t, newFakeBackend(), logTo(log))
	addr := listen(t, s)
	checking := dial(t, addr)
	checking.talk("S: * OK\nC: a1 AUTHENTICATE FAKE\nS: +")
	waiting, idle, other := login(t, addr), login(t, addr), dial(t, addr)
	idle.talk("C: a1 IDLE\nS: + ")
	other.talk("S: * OK\nC: a1 LOGIN bob secret\nS: a1 OK")

	if n := s.EndSessions("alice", "disabled"); n != 2 {
		t.Errorf("%d sessions ended", n)
	}
	for _, c := range []*client{waiting, idle} {
		c.want("* BYE Log in again")
		c.wantEnd()
	}
	log.Await(t, "reason=disabled")
	other.talk("C: a2 NOOP\nS: a2 OK")
	checking.talk("C: c2VjcmV0\nS: +\nC: \nS: a1 NO [UNAVAILABLE]\nC: a2 LOGIN alice secret\nS: a2 OK")
	if n := s.EndSessions("alice", "disabled"); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
}

// Without it a command that hangs would keep the server from stopping.
func TestShutdownCutsAfterGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBackend()
		b.block, b.entered = make(chan struct{}), make(chan struct{})
		s := startServer(t, b, func(o *Options) { o.Limits.ShutdownGrace = time.Minute })
		connect(t, s).login().send("a1 STATUS INBOX (MESSAGES)")
		<-b.entered
		began := time.Now()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Minute+byeTime {
			t.Errorf("it took %v", took)
		}
	})
}

// Without it strangers could fill the server with connections.
func TestStrangers(t *testing.T) {
	s := startServer(t, newFakeBackend(), func(o *Options) {
		o.Limits.StrangersPerAddress = 3
		o.Limits.Strangers = 3
	})
	addr := listen(t, s)
	first := dial(t, addr)
	first.want("* OK")
	for range 2 {
		dial(t, addr).want("* OK")
	}
	refused := dial(t, addr)
	refused.want("* BYE [LIMIT]")
	refused.wantEnd()
	first.talk("C: a1 LOGIN alice secret\nS: a1 OK") // is no stranger any more
	dial(t, addr).want("* OK")
}

// Without it an attacker who comes from many addresses would keep everybody out: the
// oldest stranger has to go for a new one.
func TestOldestStrangerGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, newFakeBackend(), func(o *Options) { o.Limits.Strangers = 2 })
		var strangers []*client
		for range 4 {
			c := connect(t, s)
			c.want("* OK")
			strangers = append(strangers, c)
		}
		for _, c := range strangers[:2] {
			c.want("* BYE [LIMIT]")
			c.wantEnd()
		}
		strangers[2].talk("C: a NOOP\nS: a OK")
		strangers[3].talk("C: a NOOP\nS: a OK")
	})
}

// Without it connections would take the descriptors that the storage needs, or a
// stranger's would keep a user out.
func TestConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, newFakeBackend(), func(o *Options) { o.Limits.Connections = 2 })
		user, stranger := connect(t, s).login(), connect(t, s)
		stranger.want("* OK")
		second := connect(t, s).login() // in the stranger's place
		stranger.want("* BYE [LIMIT]")
		stranger.wantEnd()
		refused := connect(t, s)
		refused.talk("S: * BYE [LIMIT] Too many connections")
		refused.wantEnd()
		for _, c := range []*client{user, second} {
			c.talk("C: a2 NOOP\nS: a2 OK")
		}
	})
}

// poorListener has no descriptor for the first connections.
type poorListener struct {
	net.Listener
	failures int
}

func (l *poorListener) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

// Without it the server would end, or spin, when it has no descriptor left for a while.
func TestOutOfDescriptors(t *testing.T) {
	log := &testbed.Log{}
	s := startServer(t, newFakeBackend(), logTo(log))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	go s.Serve(context.Background(), &poorListener{ln, 4}, false)
	dial(t, ln.Addr().String()).want("* OK")
	if d := time.Since(started); d < 75*time.Millisecond { // 5 + 10 + 20 + 40
		t.Errorf("four failures took %v: it does not wait between them", d)
	}
	if n := strings.Count(log.String(), "cannot accept connections"); n != 4 {
		t.Errorf("%d of 4 failures in the log", n)
	}
}

// Without it one user could take all sessions.
func TestSessionsPerUser(t *testing.T) {
	for name, limits := range map[string]Limits{"user": {SessionsPerUser: 2}, "address": {SessionsPerUserAddress: 2}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := startServer(t, newFakeBackend(), func(o *Options) { o.Limits = limits })
				first := connect(t, s).login()
				connect(t, s).login()
				connect(t, s).talk("S: * OK\nC: a1 LOGIN alice secret\nS: a1 NO [LIMIT]")
				first.talk("C: a1 LOGOUT\nS: * BYE\nS: a1 OK")
				first.wantEnd()
				synctest.Wait() // a session counts for a moment after its client sees the end
				connect(t, s).login()
			})
		})
	}
}

// Without it one user's searches would starve everybody else's.
func TestHeavyCommandsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBackend()
		b.inbox().searching = make(chan struct{})
		s := startServer(t, b, func(o *Options) { o.Limits = Limits{HeavyPerUser: 1, SearchTime: time.Minute} })
		var sessions []*client
		for range 2 {
			c := connect(t, s).login()
			c.send("s SELECT INBOX")
			c.skipTo("s OK")
			c.send("a SEARCH ALL")
			sessions = append(sessions, c)
		}
		started := time.Now()
		<-b.inbox().searching
		<-b.inbox().searching // not before the first has run out of time
		if d := time.Since(started); d != time.Minute {
			t.Errorf("the second search began after %v", d)
		}
		for _, c := range sessions {
			c.want("a NO [LIMIT] Search took too long")
		}
	})
}

// Without it connections that never finish their handshake would pile up.
func TestHandshakeTime(t *testing.T) {
	config := testTLS(t)
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, startServer(t, newFakeBackend(), func(o *Options) {
			o.TLS = func() *tls.Config { return config }
			o.Limits.HandshakeTime = time.Minute
		}))
		c.talk("S: * OK\nC: a STARTTLS\nS: a OK")
		began := time.Now()
		c.wantEnd()
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("it took %v", waited)
		}
	})
}

// Without it strangers could stay for ever.
func TestLoginTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, startServer(t, newFakeBackend(), func(o *Options) { o.Limits.LoginTime = time.Minute }))
		c.want("* OK")
		began := time.Now()
		c.want("* BYE Too long without a login")
		c.wantEnd()
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("it took %v", waited)
		}
	})
}

// Without it strangers could guess for ever, or have the server read without end.
func TestStrangersEnd(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		send   string
		times  int
		want   string
	}{
		{"commands", Limits{LoginCommands: 5}, "a NOOP", 10, "* BYE Too many commands"},
		{"octets", Limits{LoginBytes: 100}, "a NOOP", 50, "* BYE Too much"},
		{"malformed", Limits{StrangerBadCommands: 3}, "a NONSENSE", 5, "* BYE Too many malformed"},
		{"passwords", Limits{LoginFailures: 3}, "a LOGIN alice wrong", 5, "* BYE Too many failed"},
		{"HTTP", Limits{}, "GET / HTTP/1.1", 1, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := dial(t, listen(t, startServer(t, newFakeBackend(), func(o *Options) { o.Limits = test.limits })))
			c.want("* OK")
			c.send(strings.Repeat(test.send+"\r\n", test.times))
			for range test.times {
				if line := c.line(); strings.HasPrefix(line, "* BYE") || line == "" {
					if test.want == "" && line != "" || !strings.HasPrefix(line, test.want) {
						t.Errorf("got %q, want %q", line, test.want)
					}
					return
				}
			}
			t.Error("the connection did not end")
		})
	}
}

// Without it a mechanism's last challenge, the proof of the server, would be lost
// (RFC 4422 §5).
func TestAuthenticateExchange(t *testing.T) {
	addr := listen(t, startServer(t, newFakeBackend(), nil))
	c := dial(t, addr)
	c.talk(`
		S: * OK
		C: a1 AUTHENTICATE FAKE
		S: + d2hvPw==
		C: *
		S: a1 BAD
		C: a1 AUTHENTICATE FAKE
		S: + d2hvPw==
		C: not base64
		S: a1 BAD
		C: a2 AUTHENTICATE FAKE
		S: + d2hvPw==
		C: c2VjcmV0
		S: + cHJvb2Y=
		C:
		S: a2 OK [CAPABILITY
		C: a3 AUTHENTICATE FAKE
		S: a3 BAD
	`)
	c = dial(t, addr)
	c.talk(`
		S: * OK
		C: a1 AUTHENTICATE OTHER
		S: a1 NO
		C: a2 AUTHENTICATE FAKE d3Jvbmc=
		S: a2 NO [AUTHENTICATIONFAILED]
		C: a3 AUTHENTICATE FAKE c2VjcmV0
		S: + cHJvb2Y=
		C:
		S: a3 OK
	`)
}

// Without it one session could keep a processor busy with commands that do nothing.
func TestCommandRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, startServer(t, newFakeBackend(), func(o *Options) { o.Limits.CommandRate = 10 })).login()
		began := time.Now()
		go io.WriteString(c.conn, strings.Repeat("a NOOP\r\n", 20)) // the server answers before it has read all
		for range 20 {
			c.want("a OK")
		}
		// LOGIN was one of the first ten, so that the last is the first of the third ten.
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("20 commands at 10 a second took %v", took)
		}
	})
}

// Without it passwords would be asked for in the clear.
func TestNoMechanismsMeansNoLogin(t *testing.T) {
	c := dial(t, listen(t, startServer(t, newFakeBackend(), func(o *Options) { o.Authenticator = fakeAuth{} })))
	greeting := c.line()
	if !strings.Contains(greeting, " LOGINDISABLED") || strings.Contains(greeting, "AUTH=") {
		t.Errorf("greeting: %s", greeting)
	}
	c.talk(`
		C: a1 LOGIN alice secret
		S: a1 NO [PRIVACYREQUIRED]
		C: a2 AUTHENTICATE FAKE
		S: a2 NO [PRIVACYREQUIRED]
		C: a3 STARTTLS
		S: a3 BAD
		C: a4 LOGIN alice {6}
		S: a4 NO [PRIVACYREQUIRED]
		C: a5 LOGIN {5+}
		C: alice secret
		S: a5 NO [PRIVACYREQUIRED]
		C: a6 NOOP
		S: a6 OK
	`)
}

// Without it clients that give up and come again would leave searches behind.
func TestSearchEndsWithItsClient(t *testing.T) {
	b, log := newFakeBackend(), &testbed.Log{}
	c := inMailboxOf(t, b, logTo(log))
	b.inbox().searching = make(chan struct{})
	c.send("a1 SEARCH ALL")
	<-b.inbox().searching
	c.conn.Close()
	log.Await(t, errHungUp.reason)
}
