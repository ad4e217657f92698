package admin

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"tidemark/imap"
	"tidemark/internal/transfer"
)

// The body of an import is a stream of messages. Each is a frame with a streamHead as
// JSON, frames with the content, an empty frame, and a frame with the reason why the
// content is not whole, which is empty if it is. A frame is its length as an unsigned
// varint and so many octets.

// maxFrame bounds a frame in octets.
const maxFrame = 64 << 10

type streamHead struct {
	Key   string      `json:"key"`
	Flags []imap.Flag `json:"flags"`
	Date  time.Time   `json:"date"`
	Size  int64       `json:"size"`
}

func writeFrame(w *bufio.Writer, b []byte) error {
	var head [binary.MaxVarintLen64]byte
	if _, err := w.Write(head[:binary.PutUvarint(head[:], uint64(len(b)))]); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

func readFrame(r *bufio.Reader, buf []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	if n > maxFrame {
		return nil, fmt.Errorf("frame of %d octets", n)
	}
	if uint64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, noEOF(err)
	}
	return buf, nil
}

// noEOF makes the end of a stream within a message an error.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// writeMessage writes a message. Its error is one of w.
func writeMessage(w *bufio.Writer, m transfer.Message) error {
	head, err := json.Marshal(streamHead{m.Key, m.Flags, m.Date, m.Size})
	if err != nil {
		return err
	}
	if err := writeFrame(w, head); err != nil {
		return err
	}
	broken := ""
	if err := writeContent(w, m); err != nil {
		u, ok := errors.AsType[*unreadable](err)
		if !ok {
			return err
		}
		broken = u.Error()
	}
	if err := writeFrame(w, nil); err != nil {
		return err
	}
	return writeFrame(w, []byte(broken[:min(len(broken), maxFrame)]))
}

func writeContent(w *bufio.Writer, m transfer.Message) error {
	content, err := m.Open()
	if err != nil {
		return &unreadable{err}
	}
	defer content.Close()
	return copyMarked(frameWriter{w}, content)
}

// frameWriter writes each piece as a frame.
type frameWriter struct{ w *bufio.Writer }

func (f frameWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maxFrame)
		if err := writeFrame(f.w, rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// streamReader reads what writeMessage wrote.
type streamReader struct {
	r   *bufio.Reader
	err error // what ended the stream early
}

// all yields the messages. The content of each must be read within its turn; what is
// left of it is passed over.
func (s *streamReader) all(yield func(transfer.Message) bool) {
	for {
		head, err := readFrame(s.r, nil)
		if err == io.EOF {
			return
		}
		var h streamHead
		if err == nil {
			err = json.Unmarshal(head, &h)
		}
		if err != nil {
			s.err = noEOF(err)
			return
		}
		content := &streamContent{stream: s}
		more := yield(transfer.Message{
			Key: h.Key, Flags: h.Flags, Date: h.Date, Size: h.Size,
			Open: func() (io.ReadCloser, error) { return content, nil },
		})
		if !more || !content.finish() {
			return
		}
	}
}

// streamContent is the content of one message within a stream.
type streamContent struct {
	stream *streamReader
	buf    []byte // where frames are read to
	left   []byte // what of the last frame was not read yet
	end    error  // what Read returns for ever
}

// Read implements io.Reader.
func (c *streamContent) Read(p []byte) (int, error) {
	for len(c.left) == 0 {
		if c.end != nil {
			return 0, c.end
		}
		if err := c.next(); err != nil {
			c.stream.err = noEOF(err)
			c.end = c.stream.err
		}
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

// next reads a frame, and at the end of the content the one that says how it ended.
func (c *streamContent) next() (err error) {
	if c.buf, err = readFrame(c.stream.r, c.buf); err != nil {
		return noEOF(err)
	}
	if c.left = c.buf; len(c.left) > 0 {
		return nil
	}
	reason, err := readFrame(c.stream.r, nil)
	if err != nil {
		return noEOF(err)
	}
	c.end = io.EOF
	if len(reason) > 0 {
		c.end = errors.New(string(reason))
	}
	return nil
}

// Close implements io.Closer. The rest is passed over when the next message is asked
// for.
func (c *streamContent) Close() error { return nil }

// finish passes over the rest of the content and says whether the stream goes on.
func (c *streamContent) finish() bool {
	for c.end == nil {
		c.left = nil
		if err := c.next(); err != nil {
			c.stream.err = noEOF(err)
			return false
		}
	}
	c.left = nil
	return c.stream.err == nil
}
