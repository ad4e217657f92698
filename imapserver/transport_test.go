package imapserver

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// testTLS returns the settings of a server with a certificate of its own making.
func testTLS(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// dripConn writes one octet at a time and calls between after each.
type dripConn struct {
	net.Conn
	between func()
}

func (d *dripConn) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := d.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
		if d.between != nil {
			d.between()
		}
	}
	return len(p), nil
}

// Without it news in the middle of a TLS record would break the connection: waking an idle
// session lets its read time out, and what has come of the record must not be lost.
func TestWakeInTheMiddleOfARecord(t *testing.T) {
	b := newFakeBackend()
	b.inbox().add("one")
	config := testTLS(t)
	s := startServer(t, b, func(o *Options) { o.TLS = func() *tls.Config { return config } })
	nc, err := net.Dial("tcp", listen(t, s))
	if err != nil {
		t.Fatal(err)
	}
	plain := &client{t, nc, bufio.NewReader(nc)}
	plain.talk("S: * OK\nC: a STARTTLS\nS: a OK")
	drip := &dripConn{Conn: nc}
	secure := tls.Client(drip, &tls.Config{InsecureSkipVerify: true})
	c := &client{t, secure, bufio.NewReader(secure)}
	t.Cleanup(func() { nc.Close() })
	c.talk("C: a0 LOGIN alice secret\nS: a0 OK\nC: a1 SELECT INBOX")
	c.skipTo("a1 OK")
	for range 5 {
		c.talk("C: a2 IDLE\nS: + ")
		drip.between = func() { b.inbox().flag(1) }
		c.send("DONE")
		drip.between = nil
		c.skipTo("a2 OK")
		// The last news may have come too late for IDLE.
		c.talk("C: a3 NOOP")
		c.skipTo("a3 OK")
	}
}

// deadlineConn counts how often its read deadline is set.
type deadlineConn struct {
	net.Conn
	set atomic.Int32
}

func (d *deadlineConn) SetReadDeadline(at time.Time) error {
	d.set.Add(1)
	return d.Conn.SetReadDeadline(at)
}

// Without it a session that goes on with the deadline of an earlier command could wait
// beyond its limits, or miss being woken or stopped.
func TestDeadlinesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, peer := net.Pipe()
		defer peer.Close()
		defer server.Close()
		socket := &deadlineConn{Conn: server}
		tr := &transport{socket: socket, conn: socket, readStall: 10 * time.Millisecond}
		command, got := []byte("a NOOP\r\n"), make([]byte, 100)
		awaitWakeup := func(limit time.Duration, want wakeup) {
			t.Helper()
			until := time.Now().Add(limit)
			if woken, err := tr.await(until, limit/slackShare, true); woken != want || err != nil {
				t.Fatalf("await gave %v, %v; want %v", woken, err, want)
			}
			if want == wokenByTimeout && time.Now().Before(until) {
				t.Fatal("the time was over too early")
			}
		}

		for range 10 {
			go peer.Write(command)
			awaitWakeup(time.Hour, wokenByInput)
			if n, err := tr.Read(got); n != len(command) || err != nil {
				t.Fatalf("read %q, %v", got[:n], err)
			}
		}
		if n := socket.set.Load(); n != 1 {
			t.Errorf("the deadline was set %d times for ten commands", n)
		}

		// A shorter limit holds although the hour is not over.
		if _, err := tr.Read(got); err != errStalled {
			t.Errorf("a command that does not go on: %v", err)
		}
		awaitWakeup(10*time.Millisecond, wokenByTimeout)

		for range 10 {
			go peer.Write(command)
			awaitWakeup(time.Hour, wokenByInput)
			if _, err := tr.Read(got); err != nil {
				t.Fatal(err)
			}
			// The first mark is met before the wait; what it did to the deadline must not
			// be taken for the end of the hour, nor keep the second from waking.
			tr.wakeMail()
			awaitWakeup(time.Hour, wokenByMail)
			go tr.wakeMail()
			awaitWakeup(time.Hour, wokenByMail)
		}

		over := &bye{text: "over"}
		go tr.stop(over)
		if _, err := tr.await(time.Now().Add(time.Hour), time.Minute, true); err != over {
			t.Errorf("stopped, await gave %v", err)
		}
		if _, err := tr.Read(got); err != over {
			t.Errorf("stopped, Read gave %v", err)
		}
	})
}

// Without it a client that takes nothing would hold its session for ever.
func TestWriteStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, peer := net.Pipe() // has no buffer: a write waits for its reader
		defer peer.Close()
		tr := &transport{socket: server, conn: server, writeStall: 10 * time.Millisecond}
		defer server.Close()
		if _, err := tr.Write(make([]byte, 3*outputSize)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("writing to a client that does not read: %v", err)
		}
		if err := tr.flush(); err == nil {
			t.Error("the failure was forgotten")
		}
	})
}

// Without it octets would be lost or doubled between the buffer and the socket.
func TestOutputKeepsOrder(t *testing.T) {
	server, peer := net.Pipe()
	defer peer.Close()
	got := make(chan string)
	go func() {
		all, _ := io.ReadAll(peer) // ends with the pipe
		got <- string(all)
	}()
	tr := &transport{socket: server, conn: server, writeStall: stepTime}
	var want strings.Builder
	for i, n := range []int{1, outputSize - 1, outputSize, 5, 3*outputSize + 7, outputSize / 2, outputSize/2 + 1, 100_000} {
		chunk := strings.Repeat(string(rune('a'+i)), n)
		want.WriteString(chunk)
		if i%2 == 0 {
			if _, err := tr.Write([]byte(chunk)); err != nil {
				t.Fatal(err)
			}
		} else {
			tr.borrow()
			tr.buf = append(tr.buf, chunk...)
			if err := tr.spill(); err != nil {
				t.Fatal(err)
			}
		}
		if tr.total() != int64(want.Len()) {
			t.Fatalf("after %d octets the total is %d", want.Len(), tr.total())
		}
	}
	if err := tr.flush(); err != nil {
		t.Fatal(err)
	}
	tr.release()
	server.Close()
	if <-got != want.String() {
		t.Error("what was read is not what was written")
	}
}

// writeCounter counts writes.
type writeCounter struct {
	net.Conn
	n int
}

func (w *writeCounter) Write(p []byte) (int, error) {
	w.n++
	return w.Conn.Write(p)
}

// Without it a client could take the end of its session for an attack that cut it short, or
// is woken once more for TLS's own goodbye, which is of no use to it.
func TestLastAnswerComesWithTheEndOfTLS(t *testing.T) {
	server, peer := net.Pipe()
	defer peer.Close()
	defer server.Close()
	got := make(chan string)
	go func() {
		all, err := io.ReadAll(tls.Client(peer, &tls.Config{InsecureSkipVerify: true}))
		got <- fmt.Sprintf("%s, %v", all, err) // an end without a goodbye is an error
	}()
	socket := &writeCounter{Conn: server}
	config := testTLS(t)
	config.SessionTicketsDisabled = true
	conn := tls.Server(&tlsSocket{Conn: socket}, config)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	tr := &transport{socket: socket, conn: conn, writeStall: stepTime}
	if _, err := tr.Write([]byte("BYE")); err != nil {
		t.Fatal(err)
	}
	before := socket.n
	tr.finish()
	if n := socket.n - before; n != 1 {
		t.Errorf("%d writes", n)
	}
	if s := <-got; s != "BYE, <nil>" {
		t.Errorf("the client got %s", s)
	}
}
