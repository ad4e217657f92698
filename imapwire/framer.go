package imapwire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"sync"
)

const (
	// inlineSize lets a short command such as NOOP or DONE be read without borrowing a
	// buffer, and a connection wait for one without holding any.
	inlineSize = 64
	// borrowedSize holds nearly every command that clients send.
	borrowedSize = 4 << 10
	// announcementSize is the longest literal announcement: "~{", 19 digits, "+}".
	announcementSize = 23
	// emptyReads is how often a source may return nothing before it is given up.
	emptyReads = 100
)

var buffers = sync.Pool{New: func() any { return new([borrowedSize]byte) }}

var (
	errLineTooLong = errors.New("line too long")
	errDiscard     = errors.New("too much to discard")
)

// framer cuts a stream into lines and runs of counted octets.
type framer struct {
	src      io.Reader
	buf      []byte // unread octets are buf[r:w]
	r, w     int
	borrowed *[borrowedSize]byte // nil, or what buf is or was made of
	inline   [inlineSize]byte
}

// release gives the borrowed buffer back if nothing is buffered.
func (f *framer) release() {
	if f.r != f.w {
		return
	}
	if f.borrowed != nil {
		clear(f.borrowed[:]) // the next session must not find a password in it
		buffers.Put(f.borrowed)
		f.borrowed = nil
	}
	clear(f.inline[:])
	f.buf, f.r, f.w = f.inline[:], 0, 0
}

// readLine returns the next line without its end. The slice is valid until the next
// call of any method. A line longer than max octets is left unread and errLineTooLong
// is returned.
//
// CRLF ends a line. A bare LF does, too: no production of RFC 9051 §9 allows it inside
// a line, and hand-written clients send it.
func (f *framer) readLine(max int) ([]byte, error) {
	scanned := 0
	for {
		if i := bytes.IndexByte(f.buf[f.r+scanned:f.w], '\n'); i >= 0 {
			line := trimCR(f.buf[f.r : f.r+scanned+i])
			if len(line) > max {
				return nil, errLineTooLong
			}
			f.r += scanned + i + 1
			return line, nil
		}
		scanned = f.w - f.r
		if scanned > max+1 {
			return nil, errLineTooLong
		}
		if err := f.fill(); err != nil {
			if err == io.EOF && scanned > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// skipLine throws away octets up to and with the next LF and takes them off *budget. It
// returns the last octets of the line, enough to see an announcement.
func (f *framer) skipLine(budget *int64) ([]byte, error) {
	var tail []byte
	for {
		chunk := f.buf[f.r:f.w]
		i := bytes.IndexByte(chunk, '\n')
		if i >= 0 {
			chunk = chunk[:i]
		}
		if *budget -= int64(len(chunk)); *budget < 0 {
			return nil, errDiscard
		}
		tail = append(tail, chunk[max(0, len(chunk)-announcementSize-1):]...)
		tail = tail[max(0, len(tail)-announcementSize-1):]
		f.r += len(chunk)
		if i >= 0 {
			f.r++
			return trimCR(tail), nil
		}
		if err := f.fillInside(); err != nil {
			return nil, err
		}
	}
}

// skip throws away n octets and takes them off *budget.
func (f *framer) skip(n int64, budget *int64) error {
	if n > *budget {
		return errDiscard
	}
	*budget -= n
	for n > 0 {
		if f.r == f.w {
			if err := f.fillInside(); err != nil {
				return err
			}
		}
		k := min(n, int64(f.w-f.r))
		f.r += int(k)
		n -= k
	}
	return nil
}

// read reads what is buffered, or else from the source. An end of input is not
// expected.
func (f *framer) read(p []byte) (int, error) {
	if f.r == f.w {
		n, err := f.readSource(p)
		return n, unexpected(err)
	}
	n := copy(p, f.buf[f.r:f.w])
	f.r += n
	return n, nil
}

// readSource reads at least one octet into p, which must not be empty. An error that
// comes with octets is left for the next time.
func (f *framer) readSource(p []byte) (int, error) {
	for range emptyReads {
		n, err := f.src.Read(p)
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// readFull returns the next n octets in a slice of their own. It allocates by what has
// arrived and not by n.
func (f *framer) readFull(n int) ([]byte, error) {
	out := make([]byte, 0, min(n, borrowedSize))
	for len(out) < n {
		if len(out) == cap(out) {
			grown := make([]byte, len(out), min(n, 2*cap(out)))
			copy(grown, out)
			out = grown
		}
		k, err := f.read(out[len(out):cap(out)])
		if err != nil {
			return nil, err
		}
		out = out[:len(out)+k]
	}
	return out, nil
}

// fillInside is fill where an end of input is not expected.
func (f *framer) fillInside() error { return unexpected(f.fill()) }

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fill reads at least one more octet.
func (f *framer) fill() error {
	f.makeRoom()
	n, err := f.readSource(f.buf[f.w:])
	f.w += n
	return err
}

// makeRoom makes sure that buf has room after w. A command that is short never leaves
// the inline buffer, and nearly all others fit a borrowed one.
func (f *framer) makeRoom() {
	switch {
	case f.r == f.w:
		f.release()
	case f.w < len(f.buf):
	case f.borrowed == nil:
		f.borrowed = buffers.Get().(*[borrowedSize]byte)
		f.moveTo(f.borrowed[:])
	case f.r > 0:
		f.moveTo(f.buf)
	default:
		f.moveTo(make([]byte, 2*len(f.buf)))
	}
}

func (f *framer) moveTo(dst []byte) {
	f.w = copy(dst, f.buf[f.r:f.w])
	f.r = 0
	f.buf = dst
}

func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

// announcement is the announcement of a literal at the end of a line (RFC 9051 §9,
// literal and literal8; RFC 7888 §8).
type announcement struct {
	present bool
	start   int   // where in the line it begins
	size    int64 // octets; math.MaxInt64 stands for more than 63 bits
	sync    bool  // the client waits for "+"
	binary  bool  // literal8
}

// findAnnouncement looks for an announcement at the end of line. It must be looked for
// even where the line makes no sense otherwise (RFC 7888 §3).
func findAnnouncement(line []byte) announcement {
	i := len(line) - 1
	if i < 0 || line[i] != '}' {
		return announcement{}
	}
	i--
	a := announcement{present: true, sync: true}
	if i >= 0 && line[i] == '+' {
		a.sync = false
		i--
	}
	end := i + 1
	for i >= 0 && isDigit(line[i]) {
		i--
	}
	if i < 0 || line[i] != '{' || i+1 == end {
		return announcement{}
	}
	a.size = literalSize(line[i+1 : end])
	if i > 0 && line[i-1] == '~' {
		a.binary = true
		i--
	}
	a.start = i
	return a
}

func literalSize(digits []byte) int64 {
	n, ok := parseNumber(digits, math.MaxInt64)
	if !ok {
		return math.MaxInt64
	}
	return int64(n)
}

// parseNumber returns the value of digits, which must be at least one and no more than
// max.
func parseNumber(digits []byte, max uint64) (uint64, bool) {
	var n uint64
	for _, c := range digits {
		v := uint64(c - '0')
		if n > (max-v)/10 {
			return 0, false
		}
		n = n*10 + v
	}
	return n, len(digits) > 0
}
