package imapserver

import (
	"crypto/tls"
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

	ahead  [aheadSize]byte // what await has read and Read has not given out yet,
	ar, aw int             // which is ahead[ar:aw]

	readStall, writeStall time.Duration
	// The deadlines that the socket has; zero where that is not known. wakeMail and stop
	// set another one, which ends a read, and await or Read learn of it by that.
	readEnd, writeEnd time.Time
	// Before login: the end of the time, and the octets that are left.
	loginEnd  time.Time
	loginLeft int64

	in, out     int64  // octets of IMAP read and written
	buf         []byte // output that has not been written; nil while idle
	writeFailed error
}

// aheadSize is above the size of most commands, so that a session that waits holds no
// more, and yet reads a command at once.
const aheadSize = 64

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

// slackShare is the share of a time limit by which it may come late. To set a deadline
// costs about as much as to decode a short command, and with slack one serves for many.
const slackShare = 32

// armRead makes a read end at until, or up to slack later.
func (t *transport) armRead(until time.Time, slack time.Duration) error {
	if late := t.readEnd.Sub(until); late >= 0 && late <= slack {
		return nil
	}
	t.readEnd = until.Add(slack)
	return t.socket.SetReadDeadline(t.readEnd)
}

// armWrite is armRead for a write.
func (t *transport) armWrite(until time.Time, slack time.Duration) error {
	if late := t.writeEnd.Sub(until); late >= 0 && late <= slack {
		return nil
	}
	t.writeEnd = until.Add(slack)
	return t.socket.SetWriteDeadline(t.writeEnd)
}

// disarm takes the socket's deadlines away.
func (t *transport) disarm() error {
	t.readEnd, t.writeEnd = time.Time{}, time.Time{}
	return t.socket.SetDeadline(time.Time{})
}

// await waits until there is input to read, without holding a buffer, or until
// the given time or up to slack later, or with forMail for wakeMail.
func (t *transport) await(until time.Time, slack time.Duration, forMail bool) (wakeup, error) {
	if !t.loginEnd.IsZero() && until.After(t.loginEnd) {
		until, slack = t.loginEnd, 0
	}
	for !t.hasAhead() {
		// The order matters: whoever sets a mark after it was looked at here sets a
		// deadline that stays.
		if err := t.armRead(until, slack); err != nil {
			return 0, err
		}
		if b := t.ending.Load(); b != nil {
			return 0, b
		}
		if forMail && t.mail.Swap(false) {
			return wokenByMail, nil
		}
		n, err := t.conn.Read(t.ahead[:])
		if n > 0 {
			t.ar, t.aw = 0, n
			break
		}
		if !isTimeout(err) {
			return 0, eofIfNil(err)
		}
		t.readEnd = time.Time{}
		if !time.Now().Before(until) {
			return wokenByTimeout, nil
		}
	}
	return wokenByInput, nil
}

// Read reads what the client sends in the middle of a command.
func (t *transport) Read(p []byte) (int, error) {
	if !t.loginEnd.IsZero() && t.loginLeft <= 0 {
		return 0, errLoginLimit
	}
	if t.hasAhead() && len(p) > 0 {
		return t.readAhead(p), nil
	}
	for {
		until, slack := time.Now().Add(t.readStall), t.readStall/slackShare
		if !t.loginEnd.IsZero() && until.After(t.loginEnd) {
			until, slack = t.loginEnd, 0
		}
		if err := t.armRead(until, slack); err != nil {
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
		t.readEnd = time.Time{}
		if !time.Now().Before(until) {
			return 0, errStalled
		}
	}
}

// hasAhead says whether there are octets that await has read and Read has not given out.
func (t *transport) hasAhead() bool { return t.ar < t.aw }

// readAhead gives out what await has read.
func (t *transport) readAhead(p []byte) int {
	unread := t.ahead[t.ar:t.aw]
	n := copy(p, unread)
	clear(unread[:n]) // it may be a password
	t.ar += n
	t.count(n)
	return n
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

// finish writes all output and, where there is TLS, that no more will come (RFC 8446
// §6.1), as one packet: the client is woken once. The connection is over either way, so
// that errors do not matter.
func (t *transport) finish() {
	conn, ok := t.conn.(*tls.Conn)
	if !ok {
		_ = t.flush()
		return
	}
	under := conn.NetConn().(*tlsSocket)
	under.holding = true
	_ = t.flush()
	_ = conn.CloseWrite()
	if t.writeFailed == nil && t.armWrite(time.Now().Add(t.writeStall), t.writeStall/slackShare) == nil {
		_, _ = t.socket.Write(under.held)
	}
}

// tlsSocket is the socket as TLS writes to it.
type tlsSocket struct {
	net.Conn
	holding bool   // keep what is written
	held    []byte // what was kept
}

// Write writes p, or keeps it.
func (s *tlsSocket) Write(p []byte) (int, error) {
	if s.holding {
		s.held = append(s.held, p...)
		return len(p), nil
	}
	return s.Conn.Write(p)
}

// SetWriteDeadline sets the deadline, but not with what is kept: crypto/tls forbids further
// writes after its last one.
func (s *tlsSocket) SetWriteDeadline(end time.Time) error {
	if s.holding {
		return nil
	}
	return s.Conn.SetWriteDeadline(end)
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
		if t.writeFailed = t.armWrite(time.Now().Add(t.writeStall), t.writeStall/slackShare); t.writeFailed != nil {
			return
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
