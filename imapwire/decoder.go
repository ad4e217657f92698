package imapwire

import (
	"bytes"
	"io"
	"math"
	"unicode/utf8"

	"tidemark/imap"
)

// Charsets looks up a charset by its name in capitals. decode turns text in that
// charset into UTF-8; ok is false where the charset is not known.
type Charsets func(name string) (decode func([]byte) (string, error), ok bool)

// Decoder reads the commands of one client. It is not for concurrent use.
//
// Errors are of two sorts. A *SyntaxError is the client's mistake, after which the next
// command can be read unless it is Fatal. Every other error comes from the source or
// the continuation function. One that comes while waiting for a command, such as a
// deadline, loses nothing: the call can be made again. After any other, and after a
// Fatal one, the stream is broken and every later call returns that error. io.EOF says
// that the stream ended between two commands.
//
// While waiting for a command the Decoder holds no buffer.
type Decoder struct {
	framer
	limits Limits
	cont   func() error

	// UTF8 says that mailbox names come as UTF-8 and not as modified UTF-7: after
	// ENABLE of IMAP4rev2 or UTF8=ACCEPT (RFC 9051 §5.1, RFC 6855 §3). It may be
	// changed between commands.
	UTF8 bool

	// Charsets, where not nil, is asked for the charsets of SEARCH other than US-ASCII
	// and UTF-8. It may be changed between commands.
	Charsets Charsets

	// Of the command being read.
	tag          string
	line         []byte // the current line; valid until the next is read
	pos          int    // in line
	base         int    // octets of the command's earlier lines
	lit          announcement
	literals     int
	literalTotal int64
	searchKeys   int
	err          error // the first error; from then on every method that parses does nothing

	broken error // why nothing more can be read

	app appendState
}

// NewDecoder returns a Decoder that reads from src. cont is called to ask for a
// synchronising literal: it must send a continuation request and flush.
func NewDecoder(src io.Reader, limits Limits, cont func() error) *Decoder {
	return &Decoder{framer: framer{src: src}, limits: limits, cont: cont}
}

// SetLimits changes the limits from the next command on.
func (d *Decoder) SetLimits(limits Limits) { d.limits = limits }

// Buffered returns how many octets have been read from the source and not yet been
// used. When STARTTLS is answered it must be zero (RFC 9051 §6.2.1).
func (d *Decoder) Buffered() int { return d.w - d.r }

// Release gives the borrowed buffer back if nothing is buffered. Waiting for the next
// command does so by itself.
func (d *Decoder) Release() { d.release() }

// begin forgets the command before, but for its tag, and reads a line.
func (d *Decoder) begin(limit int) error {
	if d.broken != nil {
		return d.broken
	}
	d.err = nil
	d.line, d.pos, d.base = nil, 0, 0
	d.lit = announcement{}
	d.literals, d.literalTotal, d.searchKeys = 0, 0, 0
	d.nextLine(limit)
	if _, ok := d.err.(*SyntaxError); !ok {
		return d.err
	}
	return nil
}

// nextLine makes the command's next line the current one.
func (d *Decoder) nextLine(limit int) {
	d.base += d.pos
	d.pos = 0
	d.line = nil
	line, err := d.readLine(max(0, limit-d.base))
	switch {
	case err == errLineTooLong:
		d.refuseLongLine()
	case err != nil:
		d.err = err
	default:
		d.line = line
		d.lit = findAnnouncement(line)
	}
}

// refuseLongLine drops a line that is beyond the limit. Its tag is read first, so that
// the answer can be a tagged one.
func (d *Decoder) refuseLongLine() {
	if d.tag == "" && d.base == 0 {
		d.line = d.buf[d.r:d.w]
		d.tag = d.readTag()
		d.line, d.pos, d.err = nil, 0, nil
	}
	d.refuse(imap.BAD, imap.CodeTooBig, "line too long")
	budget := d.limits.Discard
	tail, err := d.skipLine(&budget)
	if err != nil {
		d.breakOff(err)
		d.err = d.broken
		return
	}
	d.lit = findAnnouncement(tail)
}

// finish ends the command: with an error the rest of it is thrown away first.
func (d *Decoder) finish() error {
	d.line = nil
	se, ok := d.err.(*SyntaxError)
	if !ok {
		return d.breakOff(d.err)
	}
	if err := d.discard(); err != nil {
		return err
	}
	return se
}

// discard throws away the literal that the current line announces and the lines and
// literals after it. A synchronising literal has not been asked for, so the client
// will not send it, and the command ends there.
func (d *Decoder) discard() error {
	if d.broken != nil {
		return d.broken
	}
	budget := d.limits.Discard
	for d.lit.present && !d.lit.sync {
		if err := d.skip(d.lit.size, &budget); err != nil {
			return d.breakOff(err)
		}
		tail, err := d.skipLine(&budget)
		if err != nil {
			return d.breakOff(err)
		}
		d.lit = findAnnouncement(tail)
	}
	d.lit = announcement{}
	return nil
}

// breakOff records and returns why nothing more can be read.
func (d *Decoder) breakOff(err error) error {
	d.broken = unexpected(err)
	if err == errDiscard {
		d.broken = &SyntaxError{
			Tag: d.tag, Kind: KindLimit, Status: imap.BYE, Code: imap.CodeTooBig,
			Text: "too much data for a refused command", Pos: d.base + d.pos, Fatal: true,
		}
	}
	return d.broken
}

// fail records that the command is not of the grammar's form.
func (d *Decoder) fail(text string) {
	d.failKind(KindSyntax, imap.BAD, "", text)
}

// refuse records that the command is beyond a limit.
func (d *Decoder) refuse(status imap.StatusKind, code imap.Code, text string) {
	d.failKind(KindLimit, status, code, text)
}

func (d *Decoder) failKind(kind ErrorKind, status imap.StatusKind, code imap.Code, text string) {
	if d.err == nil {
		d.err = &SyntaxError{Tag: d.tag, Kind: kind, Status: status, Code: code, Text: text, Pos: d.base + d.pos}
	}
}

// peek returns the next octet of the line, 0 at its end and after an error.
func (d *Decoder) peek() byte {
	if d.err != nil || d.pos >= len(d.line) {
		return 0
	}
	return d.line[d.pos]
}

// accept skips c if it is next.
func (d *Decoder) accept(c byte) bool {
	if c == 0 || d.peek() != c {
		return false
	}
	d.pos++
	return true
}

// expect skips c, which must be next. text is the error if it is not.
func (d *Decoder) expect(c byte, text string) bool {
	if d.accept(c) {
		return true
	}
	d.fail(text)
	return false
}

// sp skips one space, which must be next.
func (d *Decoder) sp() bool { return d.expect(' ', "space expected") }

func (d *Decoder) open() bool  { return d.expect('(', "opening parenthesis expected") }
func (d *Decoder) close() bool { return d.expect(')', "closing parenthesis expected") }

// end wants the command to be over. Spaces before CRLF do no harm and some clients send
// them.
func (d *Decoder) end() {
	for d.accept(' ') {
	}
	if d.err == nil && d.pos < len(d.line) {
		d.fail("end of command expected")
	}
}

// atEnd says whether nothing but spaces is left of the line. After an error it says so
// as well.
func (d *Decoder) atEnd() bool {
	return d.err != nil || len(bytes.TrimLeft(d.line[d.pos:], " ")) == 0
}

// run returns the longest run of octets in class, perhaps none. It is valid until the
// next line is read.
func (d *Decoder) run(class uint8) []byte {
	if d.err != nil {
		return nil
	}
	start := d.pos
	for d.pos < len(d.line) && classes[d.line[d.pos]]&class != 0 {
		d.pos++
	}
	return d.line[start:d.pos]
}

// word returns a run of class that must not be empty.
func (d *Decoder) word(class uint8, text string) []byte {
	w := d.run(class)
	if len(w) == 0 {
		d.fail(text)
	}
	return w
}

// atom reads an atom.
func (d *Decoder) atom() string { return string(d.word(classAtom, "atom expected")) }

// label reads a name of the grammar and returns it in capitals. The result is valid
// until the next call.
func (d *Decoder) label(class uint8, buf *[labelSize]byte) []byte {
	w := d.run(class)
	if len(w) > len(buf) {
		return nil // longer than any name there is
	}
	for i, c := range w {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(w)]
}

// labelSize is above the longest name of the grammar, HEADER.FIELDS.NOT.
const labelSize = 24

// acceptLabel skips the label want, given in capitals, if it is next and a space, a
// parenthesis or the end of the line follows.
func (d *Decoder) acceptLabel(want string) bool {
	start := d.pos
	var buf [labelSize]byte
	if string(d.label(classLabel, &buf)) == want && want != "" {
		return true
	}
	d.pos = start
	return false
}

// number reads a number of at most max.
func (d *Decoder) number(max uint64) uint64 {
	if d.err != nil {
		return 0
	}
	start := d.pos
	for d.pos < len(d.line) && isDigit(d.line[d.pos]) {
		d.pos++
	}
	n, ok := parseNumber(d.line[start:d.pos], max)
	if !ok {
		d.fail("number expected or out of range")
	}
	return n
}

// number64 reads a number of at most 63 bits.
func (d *Decoder) number64() uint64 { return d.number(math.MaxInt64) }

// nzNumber reads a number of at most 32 bits that is not zero. As nz-number says, it
// has no leading zero.
func (d *Decoder) nzNumber() uint32 {
	if d.peek() == '0' {
		d.fail("number other than zero expected")
	}
	return uint32(d.number(math.MaxUint32))
}

// modSeq reads a mod-sequence-valzer (RFC 7162 §7).
func (d *Decoder) modSeq() imap.ModSeq { return imap.ModSeq(d.number64()) }

// astring reads an astring.
func (d *Decoder) astring() string { return d.text(classAString) }

// text reads a quoted string, a literal or an unquoted run of class. A literal is
// returned as it came; 8-bit octets in a quoted string must be UTF-8 (RFC 9051 §9,
// QUOTED-CHAR).
func (d *Decoder) text(class uint8) string {
	quoted := d.peek() == '"'
	s := d.rawString(class)
	if quoted && !utf8.Valid(s) {
		d.fail("invalid UTF-8 in quoted string")
	}
	return string(s)
}

// str reads a quoted string or a literal.
func (d *Decoder) str() string { return d.text(0) }

// rawString reads a quoted string, a literal or a run of class. The result is valid
// until the next line is read.
func (d *Decoder) rawString(class uint8) []byte {
	switch d.peek() {
	case '"':
		return d.quoted()
	case '{':
		return d.literal()
	default:
		return d.word(class, "string expected")
	}
}

// quoted reads a quoted string.
func (d *Decoder) quoted() []byte {
	d.pos++
	start := d.pos
	d.run(classQuoted)
	if d.accept('"') {
		return d.line[start : d.pos-1]
	}
	out := append([]byte(nil), d.line[start:d.pos]...)
	for d.peek() == '\\' && d.pos+1 < len(d.line) {
		c := d.line[d.pos+1]
		if c != '"' && c != '\\' {
			d.fail("invalid escape in quoted string")
			return nil
		}
		d.pos += 2
		out = append(out, c)
		out = append(out, d.run(classQuoted)...)
	}
	if !d.accept('"') {
		d.fail("quoted string does not end")
		return nil
	}
	return out
}

// literal reads the literal that the current line announces, and the line after it.
func (d *Decoder) literal() []byte {
	a := d.lit
	if !a.present || a.start != d.pos {
		d.fail("literal announcement expected at the end of the line")
		return nil
	}
	d.checkLiteral(a)
	if d.err == nil && a.sync {
		d.err = d.cont()
	}
	if d.err != nil {
		return nil
	}
	d.lit = announcement{}
	d.pos = len(d.line)
	s, err := d.readFull(int(a.size))
	if err != nil {
		d.err = err
		return nil
	}
	d.nextLine(d.limits.Line)
	if bytes.IndexByte(s, 0) >= 0 {
		d.fail("NUL is not allowed") // RFC 9051 §9, rule 3; in a line no class has it
	}
	return s
}

// checkLiteral refuses a literal that is beyond the limits.
func (d *Decoder) checkLiteral(a announcement) {
	d.literals++
	switch {
	case a.size > d.limits.Literal:
		d.refuse(imap.NO, imap.CodeTooBig, "literal too large")
	case d.literals > d.limits.Literals:
		d.refuse(imap.NO, imap.CodeTooBig, "too many literals")
	case d.literalTotal+a.size > d.limits.LiteralTotal:
		d.refuse(imap.NO, imap.CodeTooBig, "literals too large together")
	default:
		d.literalTotal += a.size
	}
}

// list reads a parenthesised list of at least one item, separated by single spaces.
func (d *Decoder) list(item func()) {
	if !d.open() {
		return
	}
	for {
		item()
		if !d.accept(' ') {
			break
		}
	}
	d.close()
}

// listOrEmpty is list where "()" is allowed.
func (d *Decoder) listOrEmpty(item func()) {
	if d.peek() == '(' && d.pos+1 < len(d.line) && d.line[d.pos+1] == ')' {
		d.pos += 2
		return
	}
	d.list(item)
}
