// Package client speaks IMAP and LMTP as cheaply as it can, to load servers: it looks at
// answers only as far as is needed to find where they end.
package client

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Conn is a connection to an IMAP server. It is for one goroutine.
type Conn struct {
	sock *socket
	rw   io.ReadWriter

	in         []byte // what was read; in[start:end] is not consumed
	start, end int
	out        []byte

	// Octets counts what was received, without TLS.
	Octets int64
}

// tag stands before every command: commands are answered in order, so that one does.
const tag = "x "

const bufferSize = 32 << 10

// buffers are those of connections that have nothing to read, or are closed.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// TLS returns the settings that clients share. Servers are measured with the same key
// exchange, which not all of them would choose by themselves. With resume, connections
// resume the sessions of earlier ones.
func TLS(resume bool) *tls.Config {
	c := &tls.Config{
		// The certificate is made for the run; its signature is checked all the same.
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS13,
		CurvePreferences:   []tls.CurveID{tls.X25519},
		ServerName:         "localhost",
	}
	if resume {
		c.ClientSessionCache = tls.NewLRUClientSessionCache(64)
	}
	return c
}

// Dial connects to an IMAPS port and reads the greeting.
func Dial(addr string, config *tls.Config) (*Conn, error) {
	sock, err := dialSocket(addr)
	if err != nil {
		return nil, err
	}
	c := &Conn{sock: sock, rw: tls.Client(sock, config)}
	greeting, err := c.line()
	if err == nil && !bytes.HasPrefix(greeting, []byte("* OK")) {
		err = fmt.Errorf("greeting %q", greeting)
	}
	if err != nil {
		sock.Close()
		return nil, err
	}
	return c, nil
}

// Login logs in.
func (c *Conn) Login(user, password string) error {
	return c.Do("LOGIN " + user + " " + password)
}

// Logout says LOGOUT and closes the connection.
func (c *Conn) Logout() error { return errors.Join(c.Do("LOGOUT"), c.Close()) }

// Close closes the connection without a word.
func (c *Conn) Close() error {
	c.start, c.end = 0, 0
	c.Park()
	return c.sock.Close()
}

// FD returns the descriptor of the connection's socket.
func (c *Conn) FD() int { return c.sock.fd }

// Do gives a command and waits for its OK.
func (c *Conn) Do(command string) error { return c.Each(command, nil) }

// Each gives a command, calls fn with every line of the answer without its CRLF, and
// waits for the OK. Literals are skipped; the line goes on after them in another call.
func (c *Conn) Each(command string, fn func(line []byte)) error {
	if err := c.Start(command); err != nil {
		return err
	}
	if err := c.Wait(fn); err != nil {
		verb, _, _ := strings.Cut(command, " ")
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

// Start sends a command without waiting.
func (c *Conn) Start(command string) error {
	c.out = append(append(append(c.out[:0], tag...), command...), "\r\n"...)
	_, err := c.rw.Write(c.out)
	return err
}

// Wait reads up to the OK of the oldest command that was not waited for.
func (c *Conn) Wait(fn func(line []byte)) error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte(tag)) {
			return ok(line[len(tag):])
		}
		if len(line) > 0 && line[0] == '+' {
			return fmt.Errorf("unexpected %q", line)
		}
		if fn != nil {
			fn(line)
		}
		if n := literal(line); n > 0 {
			if err := c.skip(n); err != nil {
				return err
			}
		}
	}
}

// Count gives a command whose answer has no literals and returns the number of lines
// before the tagged one. It is for answers of very many lines, which it does not look at.
func (c *Conn) Count(command string) (lines int, err error) {
	if err := c.Start(command); err != nil {
		return 0, err
	}
	for {
		have := c.in[c.start:c.end]
		end := bytes.LastIndexByte(have, '\n')
		last := bytes.LastIndexByte(have[:max(end, 0)], '\n') + 1
		if end >= 0 && bytes.HasPrefix(have[last:], []byte(tag)) {
			lines += bytes.Count(have[:last], []byte("\n"))
			c.start += last
			return lines, c.Wait(nil)
		}
		// The last complete line stays, as the tagged one is told from it.
		lines += bytes.Count(have[:last], []byte("\n"))
		c.start += last
		if err := c.fill(); err != nil {
			return lines, err
		}
	}
}

func ok(status []byte) error {
	if !bytes.HasPrefix(status, []byte("OK")) {
		return errors.New(string(status))
	}
	return nil
}

// literal returns the size of the literal that the line announces, 0 if it does not.
func literal(line []byte) int {
	if len(line) == 0 || line[len(line)-1] != '}' {
		return 0
	}
	open := bytes.LastIndexByte(line, '{')
	if open < 0 {
		return 0
	}
	n, err := strconv.Atoi(string(line[open+1 : len(line)-1]))
	if err != nil {
		return 0
	}
	return n
}

// line returns the next line without its CRLF. It holds until the next call.
func (c *Conn) line() ([]byte, error) {
	searched := 0
	for {
		if i := bytes.IndexByte(c.in[c.start+searched:c.end], '\n'); i >= 0 {
			line := c.in[c.start : c.start+searched+i]
			c.start += searched + i + 1
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		searched = c.end - c.start
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

func (c *Conn) skip(n int) error {
	for {
		have := min(n, c.end-c.start)
		c.start += have
		if n -= have; n == 0 {
			return nil
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// fill reads once. The buffer lives from the first octet to the last that is in it, so
// that thousands of idle connections cost the generator little.
func (c *Conn) fill() error {
	switch {
	case c.start == c.end:
		c.start, c.end = 0, 0
		if c.in == nil {
			c.in = buffers.Get().(*[bufferSize]byte)[:]
		}
	case c.end == len(c.in) && c.start > len(c.in)/2:
		c.end = copy(c.in, c.in[c.start:c.end])
		c.start = 0
	case c.end == len(c.in):
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	n, err := c.rw.Read(c.in[c.end:])
	c.end += n
	c.Octets += int64(n)
	return err
}

// Park gives back the buffers of a connection that has nothing left to read.
func (c *Conn) Park() {
	if c.start < c.end {
		return
	}
	if len(c.in) == bufferSize {
		buffers.Put((*[bufferSize]byte)(c.in))
	}
	c.in, c.out, c.start, c.end = nil, nil, 0, 0
}

// Read reads once and throws away what comes.
func (c *Conn) Read() error {
	c.start, c.end = 0, 0
	if err := c.fill(); err != nil {
		return err
	}
	c.start, c.end = 0, 0
	return nil
}

// Idle begins IDLE. It ends with the connection.
func (c *Conn) Idle() error {
	if err := c.Start("IDLE"); err != nil {
		return err
	}
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte("+")) {
			return nil
		}
		if bytes.HasPrefix(line, []byte(tag)) {
			return fmt.Errorf("IDLE: %s", line)
		}
	}
}

// Message is a message to append.
type Message struct {
	Text []byte
	Seen bool
	Date time.Time // zero for now
}

// Append appends messages to a mailbox by one command; more than one takes MULTIAPPEND
// (RFC 3502). The literals are non-synchronising (RFC 7888).
func (c *Conn) Append(mailbox string, messages ...Message) error {
	if err := c.StartAppend(mailbox, messages...); err != nil {
		return err
	}
	return c.Wait(nil)
}

// StartAppend sends an APPEND without waiting.
func (c *Conn) StartAppend(mailbox string, messages ...Message) error {
	b := append(append(append(c.out[:0], tag...), "APPEND "...), mailbox...)
	for _, m := range messages {
		if m.Seen {
			b = append(b, ` (\Seen)`...)
		}
		if !m.Date.IsZero() {
			b = m.Date.AppendFormat(b, ` "_2-Jan-2006 15:04:05 -0700"`)
		}
		b = strconv.AppendInt(append(b, " {"...), int64(len(m.Text)), 10)
		b = append(append(b, "+}\r\n"...), m.Text...)
	}
	c.out = append(b, "\r\n"...)
	_, err := c.rw.Write(c.out)
	return err
}
