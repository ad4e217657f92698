package message

import (
	"bytes"
	"time"

	"tidemark/imap"
)

// Scanned is what a Scanner has found.
type Scanned struct {
	Size      int64 // octets
	Root      *Part
	Envelope  *imap.Envelope
	Structure *imap.BodyStructure
	Header    []byte // the message's header section, at most 1 MiB of it

	// Sent is the Date field in its own zone, zero where it could not be read.
	Sent time.Time

	Subject     string // decoded, UTF-8
	BaseSubject string // RFC 5256 §2.1
	IsReply     bool   // BaseSubject lacks a mark of a reply or forward (RFC 5256 §3)

	// The addr-mailbox of the first From, To and Cc address: the sort keys of
	// RFC 5256 §3, before case folding.
	FromMailbox, ToMailbox, CcMailbox string
	// The sort keys of RFC 5957 §3, decoded, before case folding.
	DisplayFrom, DisplayTo string

	// Normalised message ids (RFC 5256 §3): without angle brackets and needless
	// quotes. References are oldest first, at most the last 1,000.
	MessageID  string
	References []string

	Preview string // RFC 8970: at most 200 characters, UTF-8, one line

	HasNUL, BareCR, BareLF bool
}

// Scanner reads a message as its octets are written to it, and keeps only what it
// will tell. Its memory is bounded whatever the message: at most maxHeader octets of
// header sections are held, and nothing of bodies but the start of a text for the
// preview. The result does not depend on how the octets are cut into writes. A
// Scanner is for one message and one goroutine.
type Scanner struct {
	size int64  // octets taken by line
	held []byte // an incomplete line
	mid  bool   // the start of this line has been looked at already

	lineEnds, crlf, cr, lf int64
	nul                    bool

	stack  []*openPart // the part in work is last
	parts  int
	state  scanState
	eol    []byte // the last line's end, which a boundary would claim
	target int    // stack index of the multipart whose delimiter is being read
	ending bool   // that delimiter is the last one

	header     []byte // the header section in work
	rootHeader []byte // the message's own, when it is complete
	headerLeft int    // octets of header that may still be held

	root    *openPart
	text    rootFields
	preview previewer
}

// scanState says what the line in work belongs to.
type scanState uint8

const (
	inHeader    scanState = iota
	inBody                // or preamble or epilogue
	inDelimiter           // the rest of a delimiter line
	inRest                // everything to the end is one leaf
)

// maxLine is how much of an incomplete line is held. Longer lines are worked off
// in pieces. Boundaries must fit, with their hyphens.
const maxLine = 4 << 10

// openPart is a part whose end has not been seen.
type openPart struct {
	part      *Part
	structure *imap.BodyStructure
	boundary  string
	closed    bool // the last delimiter was seen: what follows is epilogue
	digest    bool
	lines     int64 // line ends before the body
	isMessage bool  // a whole message: the root, or one within a part

	// Of a leaf, and of a multipart's preamble while it could become its only part.
	dec     transferDecoder
	known   bool // the transfer encoding is
	decoded int64
	sampled bool // the text also goes to the preview
}

// NewScanner returns a Scanner that awaits a message's first octet.
func NewScanner() *Scanner {
	s := &Scanner{headerLeft: maxHeader, preview: previewer{left: maxPreviewLook}}
	s.stack = make([]*openPart, 0, 8)
	s.header = make([]byte, 0, 4<<10)
	s.root = s.push(&Part{}, true)
	return s
}

// Write takes the next octets of the message. It never fails.
func (s *Scanner) Write(p []byte) (int, error) {
	n := len(p)
	s.nul = s.nul || bytes.IndexByte(p, 0) >= 0
	s.cr += int64(bytes.Count(p, []byte{'\r'}))
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			s.hold(p)
			break
		}
		line := p[:i+1]
		if len(s.held) > 0 {
			s.hold(line)
			line = s.held
		}
		s.lf++
		if len(line) > 1 && line[len(line)-2] == '\r' {
			s.crlf++
		}
		s.piece(line, true)
		s.held, s.mid = s.held[:0], false
		p = p[i+1:]
	}
	return n, nil
}

// hold adds to the line that is held. A long line is worked off but for its last
// octets, so that they still tell its end.
func (s *Scanner) hold(p []byte) {
	for len(s.held)+len(p) > maxLine {
		n := maxLine - len(s.held)
		s.held = append(s.held, p[:n]...)
		p = p[n:]
		keep := 0
		if s.held[maxLine-1] == '\r' {
			keep = 1
		}
		s.piece(s.held[:maxLine-keep], false)
		s.mid = true
		s.held = append(s.held[:0], s.held[maxLine-keep:]...)
	}
	s.held = append(s.held, p...)
}

// piece takes a line, or a long line's next piece, last set with its end.
func (s *Scanner) piece(b []byte, last bool) {
	if !s.mid && s.state < inDelimiter && len(b) > 2 && b[0] == '-' && b[1] == '-' {
		s.delimiter(b)
	}
	switch s.state {
	case inHeader:
		s.headerPiece(b, last)
	case inBody, inRest:
		s.bodyPiece(b, last)
	case inDelimiter:
		s.size += int64(len(b))
		if last {
			s.afterDelimiter(b)
		}
		return
	}
}

// lineEnd returns the line end that b closes with, empty if it has none.
func lineEnd(b []byte) []byte {
	switch n := len(b); {
	case n >= 2 && b[n-2] == '\r' && b[n-1] == '\n':
		return b[n-2:]
	case n >= 1 && b[n-1] == '\n':
		return b[n-1:]
	}
	return nil
}

func (s *Scanner) headerPiece(b []byte, last bool) {
	blank := !s.mid && blankLine(b) > 0
	n := min(len(b), s.headerLeft)
	s.header = append(s.header, b[:n]...)
	s.headerLeft -= n
	s.size += int64(len(b))
	if last {
		s.lineEnds++
	}
	if blank {
		s.endHeader()
	}
}

func (s *Scanner) bodyPiece(b []byte, last bool) {
	top := s.stack[len(s.stack)-1]
	if len(s.eol) > 0 {
		s.feed(top, s.eol)
		s.eol = s.eol[:0]
	}
	if last {
		end := lineEnd(b)
		s.eol = append(s.eol, end...)
		s.feed(top, b[:len(b)-len(end)])
		s.lineEnds++
	} else {
		s.feed(top, b)
	}
	s.size += int64(len(b))
}

// feed takes octets of a leaf's body.
func (s *Scanner) feed(top *openPart, b []byte) {
	if !top.sampled {
		if top.dec != nil {
			top.decoded += top.dec.count(b)
		}
		return
	}
	if top.dec == nil {
		s.preview.sample = append(s.preview.sample, b...)
	} else {
		have := len(s.preview.sample)
		s.preview.sample = top.dec.decode(s.preview.sample, b)
		top.decoded += int64(len(s.preview.sample) - have)
	}
	top.sampled = s.preview.grown(top.part)
}

// delimiter looks whether the line that begins with b is a boundary delimiter of
// an open multipart, and if so ends what lies within it. Where boundaries begin with
// each other the longest counts; a boundary need not be all of the line
// (RFC 2046 §5.1.1).
func (s *Scanner) delimiter(b []byte) {
	found := -1
	for i, o := range s.stack {
		if o.boundary == "" || found >= 0 && len(o.boundary) < len(s.stack[found].boundary) {
			continue
		}
		if len(b) >= 2+len(o.boundary) && string(b[2:2+len(o.boundary)]) == o.boundary {
			found = i
		}
	}
	if found < 0 || s.stack[found].closed {
		return
	}
	s.closeTo(found + 1)
	rest := b[2+len(s.stack[found].boundary):]
	s.target, s.ending = found, bytes.HasPrefix(rest, []byte("--"))
	s.state = inDelimiter
}

// afterDelimiter goes on after a delimiter line: with the next part, or with the
// epilogue.
func (s *Scanner) afterDelimiter(b []byte) {
	s.lineEnds++
	parent := s.stack[s.target]
	if s.ending {
		parent.closed = true
		s.state = inBody
		s.eol = append(s.eol[:0], lineEnd(b)...)
		return
	}
	s.eol = s.eol[:0]
	p := &Part{}
	parent.part.Parts = append(parent.part.Parts, p)
	child := s.push(p, false)
	if s.parts >= maxParts {
		s.leafToEnd(child)
	}
}

// push begins a part with its header.
func (s *Scanner) push(p *Part, isMessage bool) *openPart {
	s.parts++
	p.Header.Offset = s.size
	o := &openPart{part: p, isMessage: isMessage}
	s.stack = append(s.stack, o)
	s.header, s.state = s.header[:0], inHeader
	return o
}

// leafToEnd makes the part too many a leaf that takes all the rest.
func (s *Scanner) leafToEnd(o *openPart) {
	s.endHeader()
	s.state = inRest
	o.boundary = ""
}

// endHeader interprets the header section of the part in work, and begins its body.
func (s *Scanner) endHeader() {
	o := s.stack[len(s.stack)-1]
	p := o.part
	p.Header.Length = s.size - p.Header.Offset
	p.Body.Offset = s.size
	o.lines = s.lineEnds
	s.eol = s.eol[:0]
	s.state = inBody

	parent := s.parent()
	m := s.readHeader(o, parent != nil && parent.digest && s.parts < maxParts)
	if len(s.stack) >= maxDepth && (m.boundary != "" || m.part.Type == "multipart" || m.isMessage()) {
		m.setType("TEXT", "PLAIN")
	}
	multipart, nested := m.part.Type == "multipart", m.isMessage() && s.parts < maxParts
	if m.part.Type == "message" && !nested && (m.part.Subtype == "rfc822" || m.part.Subtype == "global") {
		// Without an envelope it cannot be described as a message.
		m.setType("APPLICATION", "OCTET-STREAM")
	}
	m.addCharset()
	p.Type, p.Subtype, p.Charset, p.Encoding = m.part.Type, m.part.Subtype, m.part.Charset, m.part.Encoding
	o.structure = &m.structure
	s.attach(parent, o)
	switch {
	case multipart:
		o.known, o.digest = true, p.Subtype == "digest"
		if len(m.boundary) <= maxBoundary {
			o.boundary = m.boundary
		}
	case nested:
		o.known = true
		p.Message = &Part{}
		s.push(p.Message, true)
	default:
		o.dec, o.known = newTransferDecoder(p.Encoding)
		o.sampled = o.known && s.preview.begin(o.structure)
	}
}

// parent returns the part around the one in work, nil for the root.
func (s *Scanner) parent() *openPart {
	if len(s.stack) < 2 {
		return nil
	}
	return s.stack[len(s.stack)-2]
}

// attach puts the structure of o where its parent has it.
func (s *Scanner) attach(parent, o *openPart) {
	switch {
	case parent == nil:
	case o.isMessage:
		parent.structure.Message = o.structure
	default:
		parent.structure.Parts = append(parent.structure.Parts, o.structure)
	}
}

// readHeader reads the header section in work: its MIME fields, and for a message
// its envelope.
func (s *Scanner) readHeader(o *openPart, inDigest bool) *mimeHeader {
	m := &mimeHeader{}
	if o == s.root {
		s.rootHeader = bytes.Clone(s.header)
	}
	var e envelopeReader
	var buf [maxFieldName]byte
	for h := s.header; ; {
		f, rest, ok := nextField(h)
		if !ok {
			break
		}
		h = rest
		name := f.lowerName(&buf)
		switch {
		case len(name) > 8 && string(name[:8]) == "content-":
			m.field(name, f.value)
		case o.isMessage:
			e.field(name, f.value)
			if o == s.root {
				s.text.field(name, f.value)
			}
		}
	}
	m.defaults(inDigest)
	if o.isMessage {
		env := e.finish()
		if parent := s.parent(); parent != nil {
			parent.structure.Envelope = env
		} else {
			s.text.envelope = env
		}
	}
	return m
}

// closeTo ends the parts on the stack from depth on, at a boundary delimiter or at
// the end of the message.
func (s *Scanner) closeTo(depth int) {
	if s.state == inHeader && len(s.stack) > depth {
		s.endHeader()
		if s.state == inHeader {
			s.endHeader() // a message began within it, which is empty
		}
	}
	end, lines := s.size-int64(len(s.eol)), s.lineEnds
	if len(s.eol) > 0 {
		lines--
	}
	for i := len(s.stack) - 1; i >= depth; i-- {
		s.close(s.stack[i], end, lines)
	}
	clear(s.stack[depth:])
	s.stack = s.stack[:depth]
}

// close ends one part, whose body ends before end.
func (s *Scanner) close(o *openPart, end, lines int64) {
	p := o.part
	p.Body.Length = end - p.Body.Offset
	p.Lines = uint32(min(lines-o.lines, 1<<32-1))
	p.Decoded = p.Body.Length
	switch {
	case !o.known:
		p.Decoded = -1
	case o.dec != nil:
		s.finishDecoder(o)
		p.Decoded = o.decoded
	}
	if o.sampled {
		s.preview.end(p)
	}
	st := o.structure
	st.Size = uint32(min(p.Body.Length, 1<<32-1))
	st.Lines = p.Lines
	if p.Type == "multipart" {
		st.Size, st.Lines = 0, 0
		if len(p.Parts) == 0 {
			s.adoptBody(o)
		}
	}
}

func (s *Scanner) finishDecoder(o *openPart) {
	if o.sampled {
		have := len(s.preview.sample)
		s.preview.sample = o.dec.finish(s.preview.sample)
		o.decoded += int64(len(s.preview.sample) - have)
		return
	}
	o.decoded += int64(len(o.dec.finish(nil)))
}

// adoptBody gives a multipart in which no boundary was found one text part, so that
// what it holds can still be read.
func (s *Scanner) adoptBody(o *openPart) {
	body := o.part.Body
	p := &Part{
		Type: "text", Subtype: "plain", Encoding: "7bit",
		Header: Extent{Offset: body.Offset}, Body: body,
		Decoded: body.Length, Lines: o.part.Lines,
	}
	m := &mimeHeader{}
	m.defaults(false)
	m.addCharset()
	m.structure.Size, m.structure.Lines = uint32(min(body.Length, 1<<32-1)), p.Lines
	o.part.Parts = []*Part{p}
	o.structure.Parts = []*imap.BodyStructure{&m.structure}
}

// Finish ends the message and returns what was found. The Scanner cannot be used
// afterwards.
func (s *Scanner) Finish() *Scanned {
	if len(s.held) > 0 {
		s.piece(s.held, false)
	}
	if s.state == inDelimiter {
		s.state = inBody
	}
	// No boundary follows: the last line end belongs to the body.
	if len(s.eol) > 0 && s.state != inHeader {
		s.feed(s.stack[len(s.stack)-1], s.eol)
		s.eol = s.eol[:0]
	}
	s.closeTo(0)
	r := &Scanned{
		Size: s.size, Root: s.root.part, Structure: s.root.structure, Header: s.rootHeader, Preview: s.preview.text,
		HasNUL: s.nul, BareCR: s.cr > s.crlf, BareLF: s.lf > s.crlf,
	}
	s.text.fill(r)
	return r
}
