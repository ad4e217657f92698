package mbox

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"time"

	"tidemark/imap"
)

// Writer writes an mbox.
type Writer struct {
	w *bufio.Writer
}

// NewWriter writes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{bufio.NewWriterSize(w, 64<<10)} }

// Add writes a message, read from r with CR LF line ends. After an error the file
// may end within the message.
func (w *Writer) Add(flags []imap.Flag, date time.Time, r io.Reader) error {
	if _, err := w.w.Write(appendFrom(nil, date)); err != nil {
		return err
	}
	in := newLines(r)
	p := pieceWriter{w: w.w, form: newForm(), status: appendStatus(nil, flags), last: '\n'}
	for {
		piece, start, err := in.next()
		if errors.Is(err, io.EOF) {
			return p.end()
		}
		if err != nil {
			return err
		}
		if err := p.add(piece, start); err != nil {
			return err
		}
	}
}

// Flush writes what is buffered.
func (w *Writer) Flush() error { return w.w.Flush() }

// pieceWriter writes the lines of one message.
type pieceWriter struct {
	w      *bufio.Writer
	form   form
	status []byte // until it is written, at the end of the header
	openCR bool   // a CR is held back until it is known what follows
	last   byte
}

func (p *pieceWriter) add(piece []byte, start bool) error {
	if start && p.form.inHeader {
		p.form.header(piece)
		if !p.form.inHeader {
			if err := p.writeStatus(); err != nil {
				return err
			}
		}
	}
	if p.form.inHeader && p.form.dropping {
		return nil
	}
	if start && isQuotedFrom(piece, 0) {
		if err := p.w.WriteByte('>'); err != nil {
			return err
		}
	}
	if p.openCR {
		p.openCR = false
		if piece[0] != '\n' {
			if err := p.w.WriteByte('\r'); err != nil {
				return err
			}
		}
	}
	ended := bytes.HasSuffix(piece, []byte{'\n'})
	piece = bytes.TrimSuffix(piece, []byte{'\n'})
	if bytes.HasSuffix(piece, []byte{'\r'}) {
		piece = piece[:len(piece)-1]
		p.openCR = !ended
	}
	if _, err := p.w.Write(piece); err != nil {
		return err
	}
	p.last = 0
	if ended {
		p.last = '\n'
		return p.w.WriteByte('\n')
	}
	return nil
}

func (p *pieceWriter) writeStatus() error {
	_, err := p.w.Write(p.status)
	p.status = nil
	return err
}

// end writes what comes after a message.
func (p *pieceWriter) end() error {
	if p.openCR {
		if err := p.w.WriteByte('\r'); err != nil {
			return err
		}
	}
	if p.last != '\n' {
		if err := p.w.WriteByte('\n'); err != nil {
			return err
		}
	}
	if p.status != nil {
		if err := p.writeStatus(); err != nil {
			return err
		}
	}
	return p.w.WriteByte('\n')
}
