package simtest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"tidemark/imapserver"
)

// BenchmarkIdleSession makes sessions over TLS that have selected a mailbox and wait with
// IDLE, and reports what each takes of the memory of this process, the client's end
// included. They need no descriptors, so there can be more of them than a machine would
// allow: -benchtime 50000x.
func BenchmarkIdleSession(b *testing.B) {
	const users = 16
	everybody := b.N + 1
	srv := StartWith(b, 1, Options{Limits: imapserver.Limits{
		Strangers: everybody, StrangersPerAddress: everybody, SessionsPerUser: everybody, SessionsPerUserAddress: everybody,
	}})
	for i := range users {
		srv.AddUser(fmt.Sprint("user", i))
	}
	ln := &pipes{ends: make(chan net.Conn), done: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- srv.imap.Serve(context.Background(), ln, true) }()

	before := memory(b)
	idle := make([]net.Conn, 0, b.N)
	for i := range b.N {
		idle = append(idle, srv.idle(b, ln, fmt.Sprint("user", i%users)))
	}
	b.StopTimer()
	after := memory(b)
	b.ReportMetric(float64(after-before)/float64(b.N), "B/session")
	b.ReportMetric(float64(after)/1e6, "MB")

	for _, c := range idle {
		c.Close()
	}
	if err := ln.Close(); err != nil {
		b.Error(err)
	}
	if err := <-served; err == nil {
		b.Error("Serve ended without a reason")
	}
}

// idle begins a session and returns its client's end, of which TLS has been forgotten.
func (s *Server) idle(b *testing.B, ln *pipes, user string) net.Conn {
	near, far := net.Pipe()
	ln.ends <- pipeEnd{far}
	c := tls.Client(near, s.Target().TLSConfig)
	r := bufio.NewReaderSize(c, 512)
	dialogue := []struct{ command, until string }{
		{"", "* OK"},
		{fmt.Sprintf("a LOGIN %s %s\r\n", user, s.password), "a OK"},
		{"b SELECT INBOX\r\n", "b OK"},
		{"c IDLE\r\n", "+ "},
	}
	for _, d := range dialogue {
		if _, err := c.Write([]byte(d.command)); err != nil {
			b.Fatal(err)
		}
		for line := ""; !strings.HasPrefix(line, d.until); {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				b.Fatal(err)
			}
		}
	}
	return near
}

// memory returns the resident set of this process in octets, when all that is free has been
// given back, which the runtime does by itself over some minutes.
func memory(b *testing.B) int64 {
	b.Helper()
	debug.FreeOSMemory()
	var pages int64
	stat, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := fmt.Sscan(strings.Fields(string(stat))[1], &pages); err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// pipes is a listener whose connections are pipes in memory.
type pipes struct {
	ends chan net.Conn
	done chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.ends:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Addr() net.Addr { return loopback }

func (p *pipes) Close() error {
	select {
	case <-p.done:
		return errors.New("closed twice")
	default:
		close(p.done)
		return nil
	}
}

// pipeEnd is a pipe that looks as if it came from this machine.
type pipeEnd struct{ net.Conn }

var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 993}

func (pipeEnd) LocalAddr() net.Addr  { return loopback }
func (pipeEnd) RemoteAddr() net.Addr { return loopback }
