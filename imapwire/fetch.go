package imapwire

import (
	"math"
	"strconv"

	"tidemark/imap"
)

// The macros of FETCH (RFC 9051 §6.4.5).
var (
	macroFast = []imap.FetchItem{{Kind: imap.FetchFlags}, {Kind: imap.FetchInternalDate}, {Kind: imap.FetchRFC822Size}}
	macroAll  = append(macroFast[:3:3], imap.FetchItem{Kind: imap.FetchEnvelope})
	macroFull = append(macroAll[:4:4], imap.FetchItem{Kind: imap.FetchBody})
)

// usualItems is as many items, or header fields of one item, as clients mostly ask for.
const usualItems = 6

// fetch reads FETCH (RFC 9051 §6.4.5) with the modifiers of RFC 7162.
func (d *Decoder) fetch(uid bool) imap.Command {
	c := &imap.Fetch{UID: uid}
	d.sp()
	c.Set = d.setRef()
	d.sp()
	switch {
	case d.peek() == '(':
		c.Items = make([]imap.FetchItem, 0, usualItems)
		d.list(func() { c.Items = append(c.Items, d.fetchItem()) })
	case d.acceptLabel("ALL"):
		c.Items = append(c.Items, macroAll...)
	case d.acceptLabel("FAST"):
		c.Items = append(c.Items, macroFast...)
	case d.acceptLabel("FULL"):
		c.Items = append(c.Items, macroFull...)
	default:
		c.Items = []imap.FetchItem{d.fetchItem()}
	}
	if d.atEnd() || !d.sp() {
		return c
	}
	d.list(func() { d.fetchModifier(c) })
	if c.Vanished && (!c.UID || c.ChangedSince == nil) {
		d.fail("VANISHED needs UID FETCH and CHANGEDSINCE") // RFC 7162 §3.2.6
	}
	return c
}

func (d *Decoder) fetchModifier(c *imap.Fetch) {
	switch {
	case d.acceptLabel("CHANGEDSINCE") && c.ChangedSince == nil:
		d.sp()
		n := d.modSeq()
		c.ChangedSince = &n
	case d.acceptLabel("VANISHED"):
		c.Vanished = true
	default:
		d.fail("unknown FETCH modifier")
	}
}

func (d *Decoder) fetchItem() imap.FetchItem {
	var buf [labelSize]byte
	name := string(d.label(classLabel, &buf))
	if d.peek() == '[' {
		return d.fetchSection(name)
	}
	item := imap.FetchItem{}
	switch name {
	case "UID":
		item.Kind = imap.FetchUID
	case "FLAGS":
		item.Kind = imap.FetchFlags
	case "INTERNALDATE":
		item.Kind = imap.FetchInternalDate
	case "RFC822.SIZE":
		item.Kind = imap.FetchRFC822Size
	case "MODSEQ":
		item.Kind = imap.FetchModSeq
	case "ENVELOPE":
		item.Kind = imap.FetchEnvelope
	case "BODY":
		item.Kind = imap.FetchBody
	case "BODYSTRUCTURE":
		item.Kind = imap.FetchBodyStructure
	case "RFC822":
		item.Kind = imap.FetchRFC822
	case "RFC822.HEADER":
		item = imap.FetchItem{Kind: imap.FetchRFC822Header, Peek: true}
	case "RFC822.TEXT":
		item.Kind = imap.FetchRFC822Text
	case "EMAILID":
		item.Kind = imap.FetchEmailID
	case "THREADID":
		item.Kind = imap.FetchThreadID
	case "SAVEDATE":
		item.Kind = imap.FetchSaveDate
	case "PREVIEW":
		item.Kind = d.preview()
	default:
		d.fail("unknown FETCH item")
	}
	return item
}

// preview reads what follows PREVIEW (RFC 8970 §6).
func (d *Decoder) preview() imap.FetchKind {
	if d.peek() != ' ' || d.pos+1 >= len(d.line) || d.line[d.pos+1] != '(' {
		return imap.FetchPreview
	}
	d.pos++
	d.list(func() {
		if !d.acceptLabel("LAZY") {
			d.fail("unknown PREVIEW modifier")
		}
	})
	return imap.FetchPreviewLazy
}

// fetchSection reads an item with a section, from the bracket on.
func (d *Decoder) fetchSection(name string) imap.FetchItem {
	item := imap.FetchItem{}
	d.pos++
	switch name {
	case "BODY.PEEK":
		item.Peek = true
		fallthrough
	case "BODY":
		item.Kind = imap.FetchBodySection
		item.Section = d.section()
	case "BINARY.PEEK":
		item.Peek = true
		fallthrough
	case "BINARY":
		item.Kind = imap.FetchBinary
		item.Section.Part = d.binaryPart()
	case "BINARY.SIZE":
		item.Kind = imap.FetchBinarySize
		item.Section.Part = d.binaryPart()
	default:
		d.fail("unknown FETCH item")
	}
	d.expect(']', "section does not end")
	if d.peek() == '<' && item.Kind != imap.FetchBinarySize {
		item.Partial = d.partial()
	}
	return item
}

// section reads a section-spec (RFC 9051 §9).
func (d *Decoder) section() imap.Section {
	var s imap.Section
	if d.peek() == ']' {
		return s
	}
	if isDigit(d.peek()) {
		var dot bool
		if s.Part, dot = d.sectionPart(); !dot {
			return s
		}
	}
	var buf [labelSize]byte
	switch string(d.label(classLabel, &buf)) {
	case "HEADER":
		s.Text = imap.SectionHeader
	case "HEADER.FIELDS":
		s.Text = imap.SectionHeaderFields
	case "HEADER.FIELDS.NOT":
		s.Text = imap.SectionHeaderFieldsNot
	case "TEXT":
		s.Text = imap.SectionBody
	case "MIME":
		s.Text = imap.SectionMIME
		if s.Part == nil {
			d.fail("MIME needs a part number")
		}
	default:
		d.fail("unknown section")
	}
	if s.Text == imap.SectionHeaderFields || s.Text == imap.SectionHeaderFieldsNot {
		d.sp()
		s.Fields = make([]string, 0, usualItems)
		d.list(func() { s.Fields = append(s.Fields, d.fieldName()) })
	}
	return s
}

// sectionPart reads part numbers with dots between them. dot says that another one
// follows, which must lead to a section-text.
func (d *Decoder) sectionPart() (part []uint32, dot bool) {
	for {
		part = append(part, d.nzNumber())
		if !d.accept('.') {
			return part, false
		}
		if !isDigit(d.peek()) {
			return part, true
		}
	}
}

// binaryPart reads what a section-binary has in its brackets: part numbers or nothing.
func (d *Decoder) binaryPart() []uint32 {
	if d.peek() == ']' {
		return nil
	}
	part, dot := d.sectionPart()
	if dot {
		d.fail("part number expected")
	}
	return part
}

// fieldName reads a header-fld-name that is to be sent back in the response's label. It
// may be any astring (RFC 9051 §9), also one that no field can have, but for octets with
// which the label would not fit into a line of ASCII.
func (d *Decoder) fieldName() string {
	name := d.astring()
	for _, c := range []byte(name) {
		if c < ' ' || c >= 0x7f {
			d.fail("invalid header field name")
		}
	}
	return name
}

// partial reads <offset.length> (RFC 9051 §9, partial).
func (d *Decoder) partial() *imap.Partial {
	p := &imap.Partial{}
	d.pos++
	p.Offset = d.number64()
	d.expect('.', "length expected in partial")
	p.Length = d.number(math.MaxInt64)
	if p.Length == 0 {
		d.fail("length of partial is zero")
	}
	d.expect('>', "partial does not end")
	return p
}

// A FETCH response is put together from AppendFetchStart, items with a space between
// each two, and AppendFetchEnd. An item with contents is AppendFetchLabel, a space and
// a string: NIL, AppendString, or AppendLiteralHeader or AppendLiteral8Header and that
// many octets.

// AppendFetchStart appends the beginning of a FETCH response.
func AppendFetchStart(b []byte, seq imap.SeqNum) []byte {
	b = appendUint(append(b, "* "...), seq)
	return append(b, " FETCH ("...)
}

// AppendFetchEnd ends a FETCH response.
func AppendFetchEnd(b []byte) []byte { return append(b, ")\r\n"...) }

// AppendFetchUID appends the UID item.
func AppendFetchUID(b []byte, uid imap.UID) []byte {
	return appendUint(append(b, "UID "...), uid)
}

// AppendFetchFlags appends the FLAGS item, with \Recent if recent is set.
func AppendFetchFlags(b []byte, flags *imap.FlagSet, recent bool) []byte {
	b = append(b, "FLAGS ("...)
	wire := flags.Wire()
	b = append(b, wire...)
	if recent {
		if wire != "" {
			b = append(b, ' ')
		}
		b = append(b, imap.FlagRecent...)
	}
	return append(b, ')')
}

// AppendFetchModSeq appends the MODSEQ item (RFC 7162 §7).
func AppendFetchModSeq(b []byte, m imap.ModSeq) []byte {
	return append(appendUint(append(b, "MODSEQ ("...), m), ')')
}

// AppendFetchSize appends the RFC822.SIZE item; size is in octets.
func AppendFetchSize(b []byte, size uint64) []byte {
	return appendUint(append(b, "RFC822.SIZE "...), size)
}

// AppendFetchInternalDate appends the INTERNALDATE item; see AppendDateTime.
func AppendFetchInternalDate(b []byte, unix int64, zone int16) []byte {
	return AppendDateTime(append(b, "INTERNALDATE "...), unix, zone)
}

// AppendFetchSaveDate appends the SAVEDATE item in UTC (RFC 8514 §5).
func AppendFetchSaveDate(b []byte, unix int64) []byte {
	return AppendDateTime(append(b, "SAVEDATE "...), unix, 0)
}

// AppendFetchEmailID appends the EMAILID item (RFC 8474 §7).
func AppendFetchEmailID(b []byte, id imap.ObjectID) []byte {
	return append(append(append(b, "EMAILID ("...), id...), ')')
}

// AppendFetchThreadID appends the THREADID item, NIL for the empty id (RFC 8474 §7).
func AppendFetchThreadID(b []byte, id imap.ObjectID) []byte {
	if id == "" {
		return append(b, "THREADID NIL"...)
	}
	return append(append(append(b, "THREADID ("...), id...), ')')
}

// AppendFetchPreview appends the PREVIEW item; nil is NIL (RFC 8970 §6).
func AppendFetchPreview(b []byte, text *string) []byte {
	return AppendNString(append(b, "PREVIEW "...), text)
}

// AppendFetchLabel appends the name of an item with contents as it stands in the
// response: BODY[…], BINARY[…], BINARY.SIZE[…], RFC822, RFC822.HEADER or RFC822.TEXT.
// .PEEK is left out and of a partial only the offset is sent (RFC 9051 §7.5.2).
func AppendFetchLabel(b []byte, item *imap.FetchItem) []byte {
	switch item.Kind {
	case imap.FetchRFC822:
		return append(b, "RFC822"...)
	case imap.FetchRFC822Header:
		return append(b, "RFC822.HEADER"...)
	case imap.FetchRFC822Text:
		return append(b, "RFC822.TEXT"...)
	case imap.FetchBinary:
		b = append(b, "BINARY["...)
	case imap.FetchBinarySize:
		b = append(b, "BINARY.SIZE["...)
	default:
		b = append(b, "BODY["...)
	}
	b = append(appendSection(b, &item.Section), ']')
	if item.Partial != nil {
		b = strconv.AppendUint(append(b, '<'), item.Partial.Offset, 10)
		b = append(b, '>')
	}
	return b
}

func appendSection(b []byte, s *imap.Section) []byte {
	for i, n := range s.Part {
		if i > 0 {
			b = append(b, '.')
		}
		b = appendUint(b, n)
	}
	if s.Text != imap.SectionAll && len(s.Part) > 0 {
		b = append(b, '.')
	}
	switch s.Text {
	case imap.SectionHeader:
		b = append(b, "HEADER"...)
	case imap.SectionHeaderFields:
		b = appendFields(append(b, "HEADER.FIELDS ("...), s.Fields)
	case imap.SectionHeaderFieldsNot:
		b = appendFields(append(b, "HEADER.FIELDS.NOT ("...), s.Fields)
	case imap.SectionBody:
		b = append(b, "TEXT"...)
	case imap.SectionMIME:
		b = append(b, "MIME"...)
	}
	return b
}

func appendFields(b []byte, fields []string) []byte {
	for i, name := range fields {
		if i > 0 {
			b = append(b, ' ')
		}
		b = AppendAString(b, name)
	}
	return append(b, ')')
}
