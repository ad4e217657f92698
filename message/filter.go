package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// filterBuffer is how much of a header line is looked at for its name: field names are
// shorter.
const filterBuffer = 4 << 10

// CopyHeader writes to w what FilterHeader would return for the header section that r
// yields, in memory that does not grow with it.
func CopyHeader(w io.Writer, r io.Reader, fields []string, not bool) error {
	f := headerFilter{named: fieldMatcher(fields), not: not}
	lines := bufio.NewReaderSize(r, filterBuffer)
	for {
		piece, err := lines.ReadSlice('\n')
		if len(piece) > 0 && f.take(piece) {
			if _, werr := w.Write(piece); werr != nil {
				return werr
			}
		}
		f.inLine = errors.Is(err, bufio.ErrBufferFull)
		switch {
		case err == nil && f.ended, errors.Is(err, io.EOF):
			return nil
		case err != nil && !f.inLine:
			return err
		}
	}
}

// headerFilter decides for each piece of a header section whether it belongs to the
// result.
type headerFilter struct {
	named  func(name []byte) bool
	not    bool
	inLine bool // the next piece goes on with a line
	taken  bool // the field in work belongs to the result
	begun  bool // there was a field already
	ended  bool // the blank line has come
}

func (f *headerFilter) take(piece []byte) bool {
	switch {
	case f.inLine:
		return f.taken
	case blankLine(piece) > 0:
		f.ended = true
		return true
	case f.begun && (piece[0] == ' ' || piece[0] == '\t'):
		return f.taken // a fold
	}
	f.begun = true
	f.taken = f.named(fieldName(piece)) != f.not
	return f.taken
}

// fieldName returns the name of the field that a line begins, nil if it is no field.
func fieldName(line []byte) []byte {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return nil
	}
	// White space before the colon is obsolete but meant so (RFC 5322 §4.5).
	name := line[:colon]
	for len(name) > 0 && (name[len(name)-1] == ' ' || name[len(name)-1] == '\t') {
		name = name[:len(name)-1]
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return nil
		}
	}
	return name
}
