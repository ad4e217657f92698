package lmtp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// wire is a connection as go-smtp sees it. It gives the library one command line
// at a time, so that the library never holds bytes of what follows: the message
// is read by readMessage, past the library, and the library is shown an empty one.
//
// Its methods are called by the connection's goroutine, or by the goroutine that
// go-smtp starts for a message while the former waits for it. Only drain may be
// called from elsewhere.
type wire struct {
	net.Conn
	server *Server
	in     *bufio.Reader
	out    []byte // replies that wait for the end of a pipelined group (RFC 2920 §3.2)
	err    error  // the reason why nothing more can be read

	command []byte // the command line at hand, without source route and SIZE
	size    int64  // its SIZE, 0 where it had none
	unread  []byte // what the library has still to read of it

	// answering is set while a message's recipients are answered: each reply then
	// goes out as soon as it is known (RFC 2033 §5).
	answering bool

	mu        sync.Mutex // guards what follows, and the read deadline
	inMessage bool
	draining  bool
}

func newWire(c net.Conn, s *Server) *wire {
	return &wire{Conn: c, server: s, in: bufio.NewReaderSize(c, 8<<10)}
}

// drain ends the connection as soon as it is between messages.
func (w *wire) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.draining = true
	if !w.inMessage {
		w.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// await sets the time until which the peer must have sent something, and says
// whether the connection may go on.
func (w *wire) await() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.draining && !w.inMessage {
		return false
	}
	w.Conn.SetReadDeadline(time.Now().Add(w.server.config.Timeout))
	return true
}

func (w *wire) setInMessage(on bool) {
	w.mu.Lock()
	w.inMessage = on
	w.mu.Unlock()
}

// SetReadDeadline does nothing: the wire's own deadlines are counted from the
// last octet, not from the beginning of a message.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// Read gives the library the next command line or a piece of it.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.unread) == 0 {
		if w.err == nil {
			w.err = w.nextCommand()
		}
		if w.err != nil {
			return 0, w.err
		}
	}
	n := copy(p, w.unread)
	w.unread = w.unread[n:]
	return n, nil
}

// nextCommand reads a command line into w.unread. It returns io.EOF, after the
// peer has been told why, where the connection must end.
func (w *wire) nextCommand() error {
	w.answering = false
	if w.in.Buffered() == 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if !w.await() {
		return w.bye("421 4.3.2 Shutting down")
	}
	line, err := w.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull), len(line) > maxCommand:
		return w.bye("500 5.5.6 Line too long")
	case err != nil && !w.await():
		return w.bye("421 4.3.2 Shutting down")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err // the library says goodbye
	case err != nil:
		return io.EOF // the peer has gone, which is no error of ours
	case !bytes.HasSuffix(line, []byte("\r\n")) || bytes.IndexByte(line, '\r') != len(line)-2:
		return w.bye("500 5.5.2 Lines must end in CR LF")
	case hasVerb(line, "BDAT"):
		// CHUNKING is not offered. What follows is a message and must not be read
		// as commands.
		return w.bye("502 5.5.1 CHUNKING is not offered")
	case hasVerb(line, "GET"), hasVerb(line, "POST"), hasVerb(line, "PUT"):
		// A web page made somebody's browser talk to us; the rest of the request
		// may be commands.
		return w.bye("421 4.7.0 This is not HTTP")
	case !isCommand(line):
		line = []byte("\r\n") // the library takes it for an error of syntax, as it should that
	}
	line, w.size = cutSize(withoutRoute(line))
	w.command = append(w.command[:0], qualify(line, w.server.config.Hostname)...)
	w.unread = w.command
	return nil
}

func (w *wire) bye(reply string) error {
	w.out = append(append(w.out, reply...), "\r\n"...)
	return io.EOF
}

// isCommand says whether a line begins with what could be a command of the library's. Others
// are not recognised, which is 500 (RFC 5321 §4.2.4), and not 501 as the library has it.
func isCommand(line []byte) bool {
	verb, _, _ := bytes.Cut(line[:len(line)-2], []byte(" "))
	return len(verb) == 4 || bytes.EqualFold(verb, []byte("STARTTLS"))
}

func hasVerb(line []byte, verb string) bool {
	return len(line) > len(verb) && bytes.EqualFold(line[:len(verb)], []byte(verb)) && line[len(verb)] <= ' '
}

// Write takes a reply line from the library.
func (w *wire) Write(p []byte) (int, error) {
	w.out = append(w.out, w.server.correct(p)...)
	if w.answering {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (w *wire) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	w.Conn.SetWriteDeadline(time.Now().Add(w.server.config.Timeout))
	_, err := w.Conn.Write(w.out)
	w.out = w.out[:0]
	return err
}

// Close sends what is left to send and closes the connection.
func (w *wire) Close() error {
	w.flush()
	w.server.forget(w)
	return w.Conn.Close()
}

// correct returns what is sent in place of a reply line of the library.
func (s *Server) correct(line []byte) []byte {
	if fixed, ok := s.replies[string(line)]; ok {
		return []byte(fixed)
	}
	// These two repeat an address after their words. Their codes are those of RFC 3463
	// §3.2.
	switch {
	case bytes.HasPrefix(line, []byte("250 2.0.0 Roger, ")):
		return []byte("250 2.1.0 Sender accepted\r\n")
	case bytes.HasPrefix(line, []byte("250 2.0.0 I'll make sure ")):
		return []byte("250 2.1.5 Recipient accepted\r\n")
	}
	return line
}

// corrections returns the replies of go-smtp that must be others, line by line.
func corrections(maxMessage int64) map[string]string {
	return map[string]string{
		// RFC 2033 §4.2 and RFC 5321 §4.2.5: a command at the wrong time is 503.
		"502 5.5.1 Missing RCPT TO command.\r\n":                      "503 5.5.1 No valid recipients\r\n",
		"502 5.5.1 Missing MAIL FROM command.\r\n":                    "503 5.5.1 MAIL first\r\n",
		"502 5.5.1 Please introduce yourself first.\r\n":              "503 5.5.1 LHLO first\r\n",
		"523 5.7.10 TLS is required\r\n":                              "502 5.5.1 AUTH is not offered\r\n",
		"501 5.5.2 Was expecting RCPT arg syntax of TO:<address>\r\n": "501 5.1.3 Bad recipient address syntax\r\n",
		"500 5.5.1 Too many errors. Quiting now\r\n":                  "421 4.7.0 Too many errors\r\n",
		"250 2.0.0 I have successfully done nothing\r\n":              "250 2.0.0 OK\r\n",
		// A chunk may end anywhere, also within CR LF, and go-smtp reads chunks with
		// a goroutine that outlives the connection.
		"250-CHUNKING\r\n": "",
		// The library counts one octet too many against the limit (RFC 1870 §3), so
		// it is told of none and the limit is kept here.
		"250-SIZE\r\n": fmt.Sprintf("250-SIZE %d\r\n", maxMessage),
	}
}
