package imapserver

import (
	"bufio"
	"crypto/tls"
	"net"
	"testing"
)

// benchSession returns a session over TLS that has selected the inbox, and its backend.
func benchSession(b *testing.B) (*client, *fakeBackend) {
	backend := newFakeBackend()
	backend.inbox().add("one")
	config := testTLS(b)
	s := startServer(b, backend, func(o *Options) { o.TLS = func() *tls.Config { return config } })
	nc, err := net.Dial("tcp", listen(b, s))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	plain := &client{b, nc, bufio.NewReader(nc)}
	plain.want("* OK")
	plain.send("a STARTTLS")
	plain.want("a OK")
	secure := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	c := &client{b, secure, bufio.NewReader(secure)}
	c.send("a LOGIN alice secret")
	c.want("a OK")
	c.send("a SELECT INBOX")
	c.skipTo("a OK")
	return c, backend
}

// BenchmarkNoop is a round trip, with the client's part of it.
func BenchmarkNoop(b *testing.B) {
	c, _ := benchSession(b)
	noop, answer := []byte("a NOOP\r\n"), make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.conn.Write(noop); err != nil {
			b.Fatal(err)
		}
		if _, err := c.conn.Read(answer); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPush is one change of flags until an idle client has read of it.
func BenchmarkPush(b *testing.B) {
	c, backend := benchSession(b)
	c.send("a IDLE")
	c.want("+ ")
	answer := make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		backend.inbox().flag(1)
		if _, err := c.conn.Read(answer); err != nil {
			b.Fatal(err)
		}
	}
}
