package maildir

import (
	"bytes"
	"io"
)

// Maildirs hold messages with LF line ends, as a rule. On the way in each LF that
// has no CR before it gets one. On the way out a message in which every CR and LF
// is part of a CR LF is written with LF; any other is written as it is, and its name
// says so by equal sizes S and W, so that it comes back the same.

// crlfReader puts a CR before each LF that has none.
type crlfReader struct {
	r    io.ReadCloser
	buf  []byte // what has been read and not been given out
	mem  []byte
	err  error
	last byte // the octet given out last
}

func newCRLFReader(r io.ReadCloser) *crlfReader {
	return &crlfReader{r: r, mem: make([]byte, 32<<10)}
}

func (c *crlfReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(c.buf) == 0 {
			if n > 0 || c.err != nil {
				break
			}
			var k int
			k, c.err = c.r.Read(c.mem)
			c.buf = c.mem[:k]
			continue
		}
		n += c.convert(p[n:])
	}
	if n == 0 && len(p) > 0 {
		return 0, c.err
	}
	return n, nil
}

// convert moves octets from c.buf to p until a line ends or one of them does. Both
// must not be empty.
func (c *crlfReader) convert(p []byte) int {
	if c.buf[0] == '\n' {
		if c.last != '\r' {
			p[0] = '\r'
			c.last = '\r'
			return 1
		}
		p[0] = '\n'
		c.last = '\n'
		c.buf = c.buf[1:]
		return 1
	}
	k := bytes.IndexByte(c.buf, '\n')
	if k < 0 {
		k = len(c.buf)
	}
	k = copy(p, c.buf[:k])
	c.last = c.buf[k-1]
	c.buf = c.buf[k:]
	return k
}

func (c *crlfReader) Close() error { return c.r.Close() }

// lfWriter takes the CR out of each CR LF. It remembers whether that can be undone.
type lfWriter struct {
	w      io.Writer
	openCR bool // a CR is held back until it is known what follows
	exact  bool // every CR and LF so far was part of a CR LF
	in     int64
	out    int64
	buf    []byte
}

func newLFWriter(w io.Writer) *lfWriter { return &lfWriter{w: w, exact: true} }

func (l *lfWriter) Write(p []byte) (int, error) {
	l.buf = l.buf[:0]
	for _, c := range p {
		if l.openCR && c != '\n' {
			l.exact = false
			l.buf = append(l.buf, '\r')
		}
		if c == '\n' && !l.openCR {
			l.exact = false
		}
		l.openCR = c == '\r'
		if !l.openCR {
			l.buf = append(l.buf, c)
		}
	}
	l.in += int64(len(p))
	l.out += int64(len(l.buf))
	if _, err := l.w.Write(l.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// undoable says, at the end of a message, whether crlfReader gives back what was
// written.
func (l *lfWriter) undoable() bool { return l.exact && !l.openCR }
