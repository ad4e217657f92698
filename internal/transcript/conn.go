package transcript

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Target is a server to talk to.
type Target struct {
	Addr      string      // host:port with TLS from the first byte
	Plain     string      // host:port for STARTTLS; may be empty
	TLSConfig *tls.Config // for both

	// Login returns the name and the password of the user that a script calls
	// by a short name.
	Login func(user string) (name, password string)
}

// Conn is a client's connection. It knows lines, literals and the shape of
// responses, and nothing else. It is not for concurrent use.
type Conn struct {
	net     net.Conn
	r       *bufio.Reader
	timeout time.Duration
	tag     int
}

// maxLiteral bounds what a response may make a Conn hold, in octets.
const maxLiteral = 64 << 20

// Dial opens a connection to t, with TLS or without, and leaves the greeting
// unread. Every later read and write of the Conn has to be done in timeout.
func Dial(ctx context.Context, t Target, plain bool, timeout time.Duration) (*Conn, error) {
	var d net.Dialer
	addr := t.Addr
	if plain {
		addr = t.Plain
	}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := NewConn(nc, timeout)
	if plain {
		return c, nil
	}
	return c, c.StartTLS(ctx, t.TLSConfig)
}

// NewConn returns a Conn on a connection that was opened by other means, which it
// takes over. Nothing may have been read from it.
func NewConn(nc net.Conn, timeout time.Duration) *Conn {
	return &Conn{net: nc, r: bufio.NewReader(nc), timeout: timeout}
}

// StartTLS does the TLS handshake. Bytes that came before it are an error
// (RFC 9051 §6.2.1).
func (c *Conn) StartTLS(ctx context.Context, config *tls.Config) error {
	if n := c.r.Buffered(); n > 0 {
		return fmt.Errorf("%d octets before the TLS handshake", n)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	tc := tls.Client(c.net, config)
	if err := tc.HandshakeContext(ctx); err != nil {
		return errors.Join(err, c.net.Close())
	}
	c.net = tc
	c.r = bufio.NewReader(tc)
	return nil
}

// Close ends the connection without LOGOUT.
func (c *Conn) Close() error { return c.net.Close() }

// Write sends bytes as they are.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.net.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.net.Write(p)
}

// Read reads one response. At the end of the connection it returns io.EOF.
func (c *Conn) Read() (Response, error) {
	return c.ReadUntil(time.Now().Add(c.timeout))
}

// ReadUntil is Read with another deadline.
func (c *Conn) ReadUntil(deadline time.Time) (Response, error) {
	if err := c.net.SetReadDeadline(deadline); err != nil {
		return Response{}, err
	}
	var raw strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return Response{}, c.readError(raw.String()+line, err)
		}
		body, ok := strings.CutSuffix(line, "\r\n")
		if !ok {
			return Response{}, fmt.Errorf("%w: a line ends without CR: %q", errSyntax, line)
		}
		n, ok := literalAtEnd(body)
		if !ok {
			raw.WriteString(body)
			return ParseResponse(raw.String())
		}
		raw.WriteString(line)
		if n > maxLiteral {
			return Response{}, fmt.Errorf("literal of %d octets", n)
		}
		if _, err := io.CopyN(&raw, c.r, n); err != nil {
			return Response{}, c.readError(raw.String(), err)
		}
	}
}

func (c *Conn) readError(got string, err error) error {
	if got == "" {
		return err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("in the middle of %.200q: %w", got, err)
}

func literalAtEnd(line string) (int64, bool) {
	i := strings.LastIndexByte(line, '{')
	if i < 0 || !strings.HasSuffix(line, "}") {
		return 0, false
	}
	n, err := strconv.ParseInt(line[i+1:len(line)-1], 10, 64)
	return n, err == nil && n >= 0
}

// Command sends a command under a tag of its own and returns the untagged
// responses and the tagged one. Literals are given apart: the command is
// text[0] {literal} text[1] {literal} …, each synchronising.
func (c *Conn) Command(text string, literals ...string) ([]Response, Response, error) {
	c.tag++
	tag := "t" + strconv.Itoa(c.tag)
	return c.run(tag, tag+" "+text, literals)
}

// LiteralMark stands in the text of a Command for the next literal.
const LiteralMark = "{}"

func (c *Conn) run(tag, text string, literals []string) ([]Response, Response, error) {
	var untagged []Response
	for _, lit := range literals {
		before, after, ok := strings.Cut(text, LiteralMark)
		if !ok {
			return nil, Response{}, fmt.Errorf("no mark for a literal in %q", text)
		}
		if _, err := fmt.Fprintf(c, "%s{%d}\r\n", before, len(lit)); err != nil {
			return untagged, Response{}, err
		}
		more, r, err := c.await(tag)
		untagged = append(untagged, more...)
		if err != nil || r.Tag != "+" {
			return untagged, r, err
		}
		text = lit + after
	}
	if _, err := io.WriteString(c, text+"\r\n"); err != nil {
		return untagged, Response{}, err
	}
	more, r, err := c.await(tag)
	return append(untagged, more...), r, err
}

// await reads up to the tagged response or a continuation request.
func (c *Conn) await(tag string) ([]Response, Response, error) {
	var untagged []Response
	for {
		r, err := c.Read()
		switch {
		case err != nil:
			return untagged, r, err
		case r.Tag == tag || r.Tag == "+":
			return untagged, r, nil
		case r.Tag != "*":
			return untagged, r, fmt.Errorf("unexpected tag: %q", r.Raw)
		}
		untagged = append(untagged, r)
	}
}
