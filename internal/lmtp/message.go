package lmtp

import (
	"bufio"
	"bytes"
	"errors"
)

// Flaws for which a message is refused.
var (
	// errBare: a CR without LF or an LF without CR. Servers disagree about where
	// such a message ends, which is how one message is made into two; and it could
	// not be kept byte for byte by everyone who handles it.
	errBare   = errors.New("message has a bare CR or LF")
	errNUL    = errors.New("message has a NUL octet")
	errTooBig = errors.New("message is too large")
)

// readMessage reads a message up to the CR LF "." CR LF that ends it, and nothing
// else does (RFC 5321 §4.1.1.4). It removes the dots of RFC 5321 §4.5.2 and gives
// what remains to keep, piece by piece. After a flaw, or when keep has failed, it
// reads on to the end, keeping nothing, and returns the first reason.
//
// broken says that the connection ended first.
func (w *wire) readMessage(limit int64, keep func([]byte) error) (broken bool, err error) {
	w.setInMessage(true)
	defer w.setInMessage(false)
	defer func() {
		if broken {
			w.err = err
			return
		}
		// The library waits for the end of a message: it gets that of an empty one.
		w.unread = []byte(".\r\n")
	}()
	if err := w.flush(); err != nil {
		return true, err
	}
	var (
		flaw   error
		size   int64
		scan   = lineScan{atStart: true}
		newest []byte
	)
	for {
		if w.in.Buffered() == 0 {
			w.await()
		}
		newest, err = w.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return true, err
		}
		piece, end := scan.next(newest)
		if end {
			return false, flaw
		}
		size += int64(len(piece))
		if flaw == nil {
			flaw = scan.flaw
		}
		if flaw == nil && size > limit {
			flaw = errTooBig
		}
		if flaw == nil {
			flaw = keep(piece)
		}
	}
}

// lineScan goes through a message in pieces that end with an LF or are part of a
// longer line.
type lineScan struct {
	atStart bool // the last piece ended with CR LF
	openCR  bool // the last piece ended with CR
	flaw    error
}

// next returns the piece without the dot that was put before it, and whether it
// is the line that ends the message.
func (s *lineScan) next(piece []byte) (content []byte, end bool) {
	if s.atStart {
		if string(piece) == ".\r\n" {
			return nil, true
		}
		if piece[0] == '.' {
			piece = piece[1:]
		}
	}
	s.inspect(piece)
	return piece, false
}

// inspect looks for flaws and remembers how the piece ends. A piece without its
// dot may be empty.
func (s *lineScan) inspect(piece []byte) {
	rest := piece
	if s.openCR && (len(rest) == 0 || rest[0] != '\n') {
		s.flaw = errBare
	}
	complete := s.openCR && len(piece) == 1 && piece[0] == '\n'
	s.openCR = false
	for {
		i := bytes.IndexByte(rest, '\r')
		if i < 0 {
			break
		}
		switch {
		case i == len(rest)-1:
			s.openCR = true
		case rest[i+1] == '\n':
			complete = true // only the last octet of a piece is an LF
		default:
			s.flaw = errBare
		}
		rest = rest[i+1:]
	}
	if !complete && len(piece) > 0 && piece[len(piece)-1] == '\n' {
		s.flaw = errBare
	}
	if bytes.IndexByte(piece, 0) >= 0 {
		s.flaw = errNUL
	}
	s.atStart = complete
}
