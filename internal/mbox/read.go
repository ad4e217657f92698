package mbox

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"strconv"
	"time"

	"tidemark/imap"
)

// ErrFormat is returned for a file that does not begin like an mbox.
var ErrFormat = errors.New("mbox: the file does not begin with a From line")

// pieceSize is how much of a line is looked at in one. The fields we read and the
// lines we quote are shorter than that up to the place that matters.
const pieceSize = 64 << 10

// Reader reads an mbox. It may be used again and again, and concurrently.
type Reader struct {
	file io.ReaderAt
	size int64
}

// NewReader reads the mbox in the first size octets of file.
func NewReader(file io.ReaderAt, size int64) *Reader { return &Reader{file, size} }

// Message is one message of an mbox.
type Message struct {
	Flags []imap.Flag
	Date  time.Time // of the From line
	Size  int64     // octets that Open gives
	Sum   [sha256.Size]byte

	reader     *Reader
	start, end int64 // the lines of the message, without what separates it
}

// Messages yields the messages in the order of the file. An error ends the
// iteration. The message that Dovecot and others put first to keep their own data
// in is passed over.
func (r *Reader) Messages() iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		s := &scanner{reader: r}
		s.seek(0)
		if err := s.begin(); err != nil {
			if !errors.Is(err, io.EOF) {
				yield(Message{}, err)
			}
			return
		}
		for first := true; s.found; first = false {
			m, internal, err := s.message()
			if err != nil {
				yield(Message{}, fmt.Errorf("mbox: %w", err))
				return
			}
			if !(first && internal) && !yield(m, nil) {
				return
			}
		}
	}
}

// Open gives the message with CR LF line ends and without what belongs to the mbox.
func (m Message) Open() (io.ReadCloser, error) {
	section := io.NewSectionReader(m.reader.file, m.start, m.end-m.start)
	return &contentReader{lines: newLines(section), form: newForm()}, nil
}

// lines cuts a stream into lines, and those into pieces of at most pieceSize.
type lines struct {
	r       *bufio.Reader
	midLine bool
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, pieceSize)} }

// next returns the next piece and whether it begins a line. It is valid until the
// next call. The last line may lack its LF.
func (l *lines) next() (piece []byte, start bool, err error) {
	piece, err = l.r.ReadSlice('\n')
	start = !l.midLine
	l.midLine = errors.Is(err, bufio.ErrBufferFull)
	if l.midLine || errors.Is(err, io.EOF) && len(piece) > 0 {
		err = nil
	}
	return piece, start, err
}

// form turns the lines of an mbox into those of the message.
type form struct {
	inHeader bool
	dropping bool // within a field of the mbox's own
	openCR   bool
}

func newForm() form { return form{inHeader: true} }

// add appends what a piece of a line is in the message.
func (f *form) add(b, piece []byte, start bool) []byte {
	if start && f.inHeader {
		f.header(piece)
	}
	if f.inHeader && f.dropping {
		return b
	}
	if start && isQuotedFrom(piece, 1) {
		piece = piece[1:]
	}
	body, ended := bytes.CutSuffix(piece, []byte{'\n'})
	hasCR := bytes.HasSuffix(body, []byte{'\r'}) || len(body) == 0 && f.openCR && !start
	f.openCR = !ended && bytes.HasSuffix(body, []byte{'\r'})
	b = append(b, body...)
	switch {
	case ended && hasCR:
		b = append(b, '\n')
	case ended:
		b = append(b, '\r', '\n')
	}
	return b
}

// header looks at the beginning of a header line.
func (f *form) header(piece []byte) {
	if isBlank(piece) {
		f.inHeader = false
		return
	}
	if piece[0] == ' ' || piece[0] == '\t' {
		return // a folded line goes where its field goes
	}
	name, _ := field(piece)
	f.dropping = ownFields[name]
}

func isBlank(line []byte) bool {
	return len(line) == 1 && line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n'
}

// contentReader gives the message of a range of lines.
type contentReader struct {
	lines *lines
	form  form
	buf   []byte
	ready []byte
}

func (c *contentReader) Read(p []byte) (int, error) {
	for len(c.ready) == 0 {
		piece, start, err := c.lines.next()
		if err != nil {
			return 0, err
		}
		c.buf = c.form.add(c.buf[:0], piece, start)
		c.ready = c.buf
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

func (c *contentReader) Close() error { return nil }

// scanner finds where messages begin and end.
type scanner struct {
	reader *Reader
	lines  *lines
	at     int64     // offset after the last piece
	found  bool      // the last line was a From line
	date   time.Time // of it
}

func (s *scanner) seek(at int64) {
	s.lines = newLines(io.NewSectionReader(s.reader.file, at, s.reader.size-at))
	s.at = at
}

func (s *scanner) next() (piece []byte, start bool, err error) {
	piece, start, err = s.lines.next()
	s.at += int64(len(piece))
	return piece, start, err
}

// begin reads the first From line. Empty lines before it are passed over.
func (s *scanner) begin() error {
	for {
		piece, _, err := s.next()
		if err != nil {
			return err
		}
		if isBlank(piece) {
			continue
		}
		s.date, s.found = parseFrom(piece)
		if !s.found {
			return ErrFormat
		}
		return nil
	}
}

// message reads the message after a From line up to after the next. internal says
// that it is not mail but what a program keeps in the file.
func (s *scanner) message() (m Message, internal bool, err error) {
	p := partial{
		Message: Message{Date: s.date, reader: s.reader, start: s.at},
		form:    newForm(), sum: sha256.New(), blank: -1, length: -1,
	}
	s.found = false
	stop := int64(-1) // where the message ends by its Content-Length
	for {
		before := s.at
		piece, start, err := s.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return m, false, err
		}
		if start && before >= stop && err == nil {
			s.date, s.found = parseFrom(piece)
		}
		if s.found || err != nil {
			return p.finish(before), p.internal, nil
		}
		p.keepBlank()
		if start && p.form.inHeader && isBlank(piece) {
			stop = s.bodyEnd(p.length)
		}
		p.add(piece, start, before)
	}
}

// partial is a message of which the end has not been seen.
type partial struct {
	Message
	form     form
	sum      hash.Hash
	out      []byte
	blank    int64 // where an empty line begins that may be what separates the message from the next, else -1
	length   int64 // Content-Length, -1 where there is none
	internal bool  // the message has Dovecot's own data
}

// keepBlank takes the last empty line into the message, as another line follows.
func (p *partial) keepBlank() {
	if p.blank >= 0 {
		p.emit([]byte{'\n'}, true)
		p.blank = -1
	}
}

// add takes the next piece of a line, which lies at the offset at.
func (p *partial) add(piece []byte, start bool, at int64) {
	if start && isBlank(piece) {
		p.blank = at
		return
	}
	if start && p.form.inHeader {
		p.header(piece)
	}
	p.emit(piece, start)
}

func (p *partial) header(line []byte) {
	name, value := field(line)
	p.Flags = flagsIn(p.Flags, name, value)
	switch name {
	case "x-imap":
		p.internal = true
	case "content-length":
		p.length = parseLength(value)
	}
}

func (p *partial) emit(piece []byte, start bool) {
	p.out = p.form.add(p.out[:0], piece, start)
	p.Size += int64(len(p.out))
	p.sum.Write(p.out)
}

// finish returns the message, whose lines end at the offset end.
func (p *partial) finish(end int64) Message {
	p.end = end
	if p.blank >= 0 {
		p.end = p.blank
	}
	p.sum.Sum(p.Sum[:0])
	return p.Message
}

func parseLength(value string) int64 {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// bodyEnd returns where a body that begins here ends by its Content-Length, -1
// where there is none or no From line and no end of the file is found there: many
// programs have copied the field without knowing what it means.
func (s *scanner) bodyEnd(length int64) int64 {
	if length < 0 || length > s.reader.size-s.at {
		return -1
	}
	end := s.at + length
	after := make([]byte, 1024)
	n, err := s.reader.file.ReadAt(after[:min(int64(len(after)), s.reader.size-end)], end)
	if err != nil && !errors.Is(err, io.EOF) {
		return -1
	}
	rest := bytes.TrimLeft(after[:n], "\r\n")
	if len(rest) == 0 && end+int64(n) == s.reader.size {
		return end
	}
	line, _, _ := bytes.Cut(rest, []byte{'\n'})
	if _, ok := parseFrom(line); !ok || len(rest) == n && length > 0 && !s.endsLine(end) {
		return -1
	}
	return end
}

// endsLine says whether the octet before offset at is an LF.
func (s *scanner) endsLine(at int64) bool {
	var last [1]byte
	_, err := s.reader.file.ReadAt(last[:], at-1)
	return err == nil && last[0] == '\n'
}
