package message

import (
	"encoding/binary"
	"errors"
)

// Extent is a run of octets of a message, counted from the message's start.
type Extent struct {
	Offset, Length int64
}

// End returns the offset of the first octet after e.
func (e Extent) End() int64 { return e.Offset + e.Length }

// Part is one node of a message's MIME tree: the message itself, a part of a
// multipart, or a message within a message/rfc822 part. A Part is not changed
// once the Scanner has given it out and may then be read concurrently.
type Part struct {
	// Lower case, with RFC 2045 §5.2's defaults filled in. Charset is empty where
	// the header named none. Encoding is "7bit" where it named none.
	Type, Subtype, Charset, Encoding string

	Header Extent // up to and with the blank line, if there is one
	Body   Extent // without the line end that belongs to the next boundary

	// Decoded is the octets of the body without its transfer encoding, which is
	// what DecodeTransfer yields; -1 where the encoding is not known.
	Decoded int64
	Lines   uint32 // line ends in Body

	Parts   []*Part // of multipart, never empty there
	Message *Part   // of message/rfc822 and message/global, if it could be read
}

// Extent returns header and body together.
func (p *Part) Extent() Extent {
	return Extent{p.Header.Offset, p.Body.End() - p.Header.Offset}
}

// IsMultipart says whether p has parts of its own.
func (p *Part) IsMultipart() bool { return len(p.Parts) > 0 }

// ErrPart says that an encoded Part tree is damaged or of an unknown version.
var ErrPart = errors.New("malformed part tree")

// partVersion is the first octet of an encoded tree.
const partVersion = 1

// Which of a part's children follow it in the encoding.
const (
	partLeaf = iota
	partMultipart
	partMessage
)

// AppendBinary appends an encoding of the tree under p that ParsePart reads.
func (p *Part) AppendBinary(b []byte) []byte {
	return p.appendNode(append(b, partVersion))
}

func (p *Part) appendNode(b []byte) []byte {
	kind := byte(partLeaf)
	switch {
	case len(p.Parts) > 0:
		kind = partMultipart
	case p.Message != nil:
		kind = partMessage
	}
	b = append(b, kind)
	for _, s := range [...]string{p.Type, p.Subtype, p.Charset, p.Encoding} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	for _, e := range [...]Extent{p.Header, p.Body} {
		b = binary.AppendUvarint(b, uint64(e.Offset))
		b = binary.AppendUvarint(b, uint64(e.Length))
	}
	b = binary.AppendVarint(b, p.Decoded)
	b = binary.AppendUvarint(b, uint64(p.Lines))
	switch kind {
	case partMultipart:
		b = binary.AppendUvarint(b, uint64(len(p.Parts)))
		for _, c := range p.Parts {
			b = c.appendNode(b)
		}
	case partMessage:
		b = p.Message.appendNode(b)
	}
	return b
}

// ParsePart reads what AppendBinary wrote, all of b. It fails with ErrPart.
func ParsePart(b []byte) (*Part, error) {
	if len(b) == 0 || b[0] != partVersion {
		return nil, ErrPart
	}
	d := partDecoder{b: b[1:]}
	p := d.node(1)
	if d.bad || len(d.b) > 0 {
		return nil, ErrPart
	}
	return p, nil
}

// partDecoder reads an encoded tree. bad is set at the first mistake, after which
// all it reads is zero.
type partDecoder struct {
	b     []byte
	parts int
	bad   bool
}

func (d *partDecoder) node(depth int) *Part {
	d.parts++
	// A multipart without parts is given one that the limits do not count.
	if depth > maxDepth+1 || d.parts > 2*maxParts || len(d.b) == 0 {
		d.bad = true
		return nil
	}
	kind := d.b[0]
	d.b = d.b[1:]
	p := &Part{Type: d.text(), Subtype: d.text(), Charset: d.text(), Encoding: d.text()}
	p.Header, p.Body = d.extent(), d.extent()
	p.Decoded = d.signed()
	lines := d.number()
	if lines > 1<<32-1 || p.Decoded < -1 {
		d.bad = true
	}
	p.Lines = uint32(lines)
	switch kind {
	case partLeaf:
	case partMultipart:
		n := d.number()
		// Each part takes at least an octet, so that n cannot lie by much.
		if n == 0 || n > uint64(len(d.b)) {
			d.bad = true
		}
		for i := uint64(0); i < n && !d.bad; i++ {
			p.Parts = append(p.Parts, d.node(depth+1))
		}
	case partMessage:
		p.Message = d.node(depth + 1)
	default:
		d.bad = true
	}
	return p
}

func (d *partDecoder) number() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 || d.bad {
		d.bad = true
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *partDecoder) signed() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 || d.bad {
		d.bad = true
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *partDecoder) text() string {
	n := d.number()
	if n > uint64(len(d.b)) {
		d.bad = true
		return ""
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return wellKnown(s)
}

func (d *partDecoder) extent() Extent {
	off, n := d.number(), d.number()
	if off > 1<<62 || n > 1<<62 {
		d.bad = true
		return Extent{}
	}
	return Extent{int64(off), int64(n)}
}

// wellKnown returns s as a string, without an allocation for the words that occur
// in nearly every message.
func wellKnown(s []byte) string {
	switch string(s) {
	case "":
		return ""
	case "text":
		return "text"
	case "plain":
		return "plain"
	case "html":
		return "html"
	case "multipart":
		return "multipart"
	case "mixed":
		return "mixed"
	case "alternative":
		return "alternative"
	case "related":
		return "related"
	case "application":
		return "application"
	case "image":
		return "image"
	case "utf-8":
		return "utf-8"
	case "us-ascii":
		return "us-ascii"
	case "iso-8859-1":
		return "iso-8859-1"
	case "7bit":
		return "7bit"
	case "8bit":
		return "8bit"
	case "base64":
		return "base64"
	case "quoted-printable":
		return "quoted-printable"
	}
	return string(s)
}
