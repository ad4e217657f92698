// Package dovecotauth lets other servers check logins against our users, with our
// defences against guessing: it speaks the server's side of Dovecot's
// authentication protocol, version 1.1, which Postfix and Exim know as clients.
//
// A line is a command and its parameters, with a tab between each. The client sends
// AUTH with a number of its choice, and CONT with that number to answer a challenge;
// it gets CONT, OK or FAIL with the number. Requests of one connection overlap.
package dovecotauth

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tidemark/imapserver"
)

const (
	// maxLine is the longest line in bytes; the protocol's description names it.
	maxLine = 16 << 10
	// maxRequests is how many a connection may have open.
	maxRequests = 256
	// answerTime is how long a client may take over a challenge.
	answerTime = 2 * time.Minute
	// writeTime is how long a client may take to read an answer.
	writeTime = 30 * time.Second
	// acceptPause is the wait after a failed accept, such as with no descriptor left.
	acceptPause = 100 * time.Millisecond
)

// Server answers clients of the protocol.
type Server struct {
	auth  imapserver.Authenticator
	log   *slog.Logger
	conns atomic.Uint64 // so far
}

// New returns a server that asks auth. log may be nil for slog.Default.
func New(auth imapserver.Authenticator, log *slog.Logger) *Server {
	if log == nil {
		log = slog.Default()
	}
	return &Server{auth: auth, log: log}
}

// Serve takes connections from l, a socket to which only trusted programs have
// access, until ctx ends. Then it closes l and all connections and returns when
// nothing of it runs any more.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			group.Go(func() { s.serveConn(ctx, nc) })
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			s.log.Error("connection for logins not accepted", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
		}
	}
}

// conn is one client: a whole Postfix, or one of its processes.
type conn struct {
	server *Server
	nc     net.Conn
	id     string
	group  sync.WaitGroup

	mu       sync.Mutex // guards what follows, and writing
	requests map[string]*request
}

func (s *Server) serveConn(ctx context.Context, nc net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	n := s.conns.Add(1)
	c := &conn{server: s, nc: nc, id: fmt.Sprintf("dovecot-auth-%d", n), requests: map[string]*request{}}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer func() {
		cancel()
		stop()
		_ = nc.Close()
		c.group.Wait()
	}()
	if err := c.greet(n); err != nil {
		return
	}
	lines := bufio.NewScanner(nc)
	lines.Buffer(make([]byte, 0, 1024), maxLine)
	for lines.Scan() {
		if err := c.handle(ctx, strings.Split(lines.Text(), "\t")); err != nil {
			s.log.Warn("client for logins dismissed", "conn", c.id, "error", err)
			return
		}
	}
}

// greet sends the server's half of the handshake. Clients may send theirs, and more,
// before they have read it.
func (c *conn) greet(number uint64) error {
	var b strings.Builder
	b.WriteString("VERSION\t1\t1\n")
	for _, name := range c.server.auth.Mechanisms(c.peer(parameters{secured: true})) {
		fmt.Fprintf(&b, "MECH\t%s%s\n", name, mechanismFlags(name))
	}
	cookie := make([]byte, 16)
	_, _ = rand.Read(cookie) // never fails
	fmt.Fprintf(&b, "SPID\t%d\nCUID\t%d\nCOOKIE\t%s\nDONE\n", os.Getpid(), number, hex.EncodeToString(cookie))
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.write(b.String())
}

// mechanismFlags tells clients what a mechanism is like: Postfix leaves those with
// plaintext out where its noplaintext is set.
func mechanismFlags(name string) string {
	switch {
	case strings.HasPrefix(name, "SCRAM-"):
		return "\tmutual-auth"
	case name == "PLAIN" || name == "LOGIN":
		return "\tplaintext"
	}
	return ""
}

// handle does one line. An error ends the connection.
func (c *conn) handle(ctx context.Context, line []string) error {
	switch line[0] {
	case "VERSION":
		if len(line) < 2 || line[1] != "1" {
			return errors.New("another major version of the protocol")
		}
	case "AUTH":
		return c.begin(ctx, line[1:])
	case "CONT":
		return c.resume(line[1:])
	case "CANCEL":
		if len(line) > 1 {
			c.cancel(line[1])
		}
	}
	return nil // CPID, SERVICE and whatever may come later says nothing to us
}

// write sends whole lines. c.mu is held.
func (c *conn) write(lines string) error {
	if err := c.nc.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := c.nc.Write([]byte(lines))
	return err
}
