package imapserver

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// errStalled is returned by reads and writes that made no progress in time.
var errStalled = errors.New("no progress")

// errLoginLimit is returned by reads beyond the octets or the time that a client
// has before it must have logged in.
var errLoginLimit = errors.New("too much before login")

// transport is the octet stream under a connection, with deadlines and with the
// one way to wake its owner: the owner alone reads and writes, others call
// wakeMail and stop, which set a mark and let a blocked read time out. A read
// that timed out loses nothing, not in TLS either: crypto/tls keeps what it has of
// a record and goes on with the next read.
type transport struct {
	socket net.Conn // below TLS; never replaced, so that others may set its deadlines
	conn   net.Conn // socket, or TLS over it

	mail   atomic.Bool         // the mailbox may have changed
	ending atomic.Pointer[bye] // why the connection is to end; nil while it is not

	first    [1]byte // an octet that await has read
	hasFirst bool

	readStall, writeStall time.Duration
	// Before login: the end of the time, and the octets that are left.
	loginEnd  time.Time
	loginLeft int64

	in, out     int64 // octets of IMAP read and written
	writeArmed  time.Time
	buf         []byte // output that has not been written; nil while idle
	writeFailed error
}

// outputSize is the size of one write: the plain text of a full TLS record.
const outputSize = 16 << 10

// outputBuffers lends the output buffers, which have some room above outputSize so
// that most appends fit.
var outputBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, outputSize+4<<10)
	return &b
}}

// wakeMail makes await return with wokenByMail. It may be called from any
// goroutine and does not block.
func (t *transport) wakeMail() {
	if !t.mail.Swap(true) {
		_ = t.socket.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed connection
	}
}

// stop makes reads end with b, now and later, and says whether it was the first: only
// that counts. It may be called from any goroutine and does not block.
func (t *transport) stop(b *bye) (first bool) {
	first = t.ending.CompareAndSwap(nil, b)
	_ = t.socket.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed connection
	return first
}

// A wakeup is why await returned.
type wakeup uint8

const (
	wokenByInput wakeup = iota
	wokenByMail
	wokenByTimeout
)

// await waits until there is input to read, without holding a buffer, or until
// the given time, or with forMail for wakeMail.
func (t *transport) await(until time.Time, forMail bool) (wakeup, error) {
	if !t.loginEnd.IsZero() && until.After(t.loginEnd) {
		until = t.loginEnd
	}
	for {
		if t.hasFirst {
			return wokenByInput, nil
		}
		// The order matters: whoever sets a mark after it was looked at here sets a
		// deadline that stays.
		if err := t.socket.SetReadDeadline(until); err != nil {
			return 0, err
		}
		if b := t.ending.Load(); b != nil {
			return 0, b
		}
		if forMail && t.mail.Swap(false) {
			return wokenByMail, nil
		}
		n, err := t.conn.Read(t.first[:])
		if n == 1 {
			t.hasFirst = true
			continue
		}
		if !isTimeout(err) {
			return 0, eofIfNil(err)
		}
		if !time.Now().Before(until) {
			return wokenByTimeout, nil
		}
	}
}

// Read reads what the client sends in the middle of a command.
func (t *transport) Read(p []byte) (int, error) {
	if !t.loginEnd.IsZero() && t.loginLeft <= 0 {
		return 0, errLoginLimit
	}
	if t.hasFirst && len(p) > 0 {
		t.hasFirst = false
		p[0] = t.first[0]
		t.count(1)
		return 1, nil
	}
	for {
		until := time.Now().Add(t.readStall)
		if !t.loginEnd.IsZero() && until.After(t.loginEnd) {
			until = t.loginEnd
		}
		if err := t.socket.SetReadDeadline(until); err != nil {
			return 0, err
		}
		if b := t.ending.Load(); b != nil {
			return 0, b
		}
		n, err := t.conn.Read(p)
		if n > 0 {
			t.count(n)
			return n, nil
		}
		if !isTimeout(err) {
			return 0, eofIfNil(err)
		}
		if !time.Now().Before(until) {
			return 0, errStalled
		}
	}
}

// count counts n octets that were read.
func (t *transport) count(n int) {
	t.in += int64(n)
	t.loginLeft -= int64(n)
}

// Write adds p to the output. It implements io.Writer for message content.
func (t *transport) Write(p []byte) (int, error) {
	t.borrow()
	total := len(p)
	if len(t.buf) > 0 && len(t.buf)+len(p) >= outputSize {
		n := max(outputSize-len(t.buf), 0)
		t.buf = append(t.buf, p[:n]...)
		p = p[n:]
		t.flush()
	}
	if whole := len(p) - len(p)%outputSize; whole > 0 {
		t.send(p[:whole])
		p = p[whole:]
	}
	t.borrow()
	t.buf = append(t.buf, p...)
	if t.writeFailed != nil {
		return 0, t.writeFailed
	}
	return total, nil
}

// borrow makes sure that there is an output buffer.
func (t *transport) borrow() {
	if t.buf == nil {
		t.buf = (*outputBuffers.Get().(*[]byte))[:0]
	}
}

// total returns how many octets have been put out, written or not.
func (t *transport) total() int64 { return t.out + int64(len(t.buf)) }

// spill writes full buffers out and keeps the rest.
func (t *transport) spill() error {
	if len(t.buf) >= outputSize {
		whole := len(t.buf) - len(t.buf)%outputSize
		t.send(t.buf[:whole])
		t.buf = t.buf[:copy(t.buf, t.buf[whole:])]
	}
	return t.writeFailed
}

// flush writes all output.
func (t *transport) flush() error {
	if len(t.buf) > 0 {
		t.send(t.buf)
		t.buf = t.buf[:0]
	}
	return t.writeFailed
}

// release gives the output buffer back; nothing may be in it.
func (t *transport) release() {
	if t.buf == nil {
		return
	}
	if cap(t.buf) <= 4*outputSize {
		b := t.buf[:0]
		outputBuffers.Put(&b)
	}
	t.buf = nil
}

// sendPiece is how much is written with one deadline: a client that takes this
// much within WriteStall is slow and not stuck.
const sendPiece = 256 << 10

// send writes p. After an error nothing more is written.
func (t *transport) send(p []byte) {
	for len(p) > 0 && t.writeFailed == nil {
		if now := time.Now(); now.Sub(t.writeArmed) > time.Second {
			t.writeArmed = now
			if t.writeFailed = t.socket.SetWriteDeadline(now.Add(t.writeStall)); t.writeFailed != nil {
				return
			}
		}
		n, err := t.conn.Write(p[:min(len(p), sendPiece)])
		t.out += int64(n)
		p = p[n:]
		t.writeFailed = err
	}
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// eofIfNil turns a read of nothing without an error into the end of the stream.
func eofIfNil(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}
