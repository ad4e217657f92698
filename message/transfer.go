package message

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/bits"
	"slices"
)

// DecodeTransfer returns a reader of r's content without its transfer encoding, as
// Part.Encoding names it (RFC 2045 §6). ok is false for an encoding that is not
// known. Mistakes in the encoded text are not errors: base64 skips what it does not
// know, quoted-printable lets it stand.
func DecodeTransfer(r io.Reader, encoding string) (decoded io.Reader, ok bool) {
	dec, ok := newTransferDecoder(encoding)
	if dec == nil {
		return r, ok
	}
	return &transferReader{r: r, dec: dec}, true
}

// transferDecoder removes a transfer encoding piece by piece. What it yields does
// not depend on where the pieces are cut.
type transferDecoder interface {
	// decode appends what src stands for to dst.
	decode(dst, src []byte) []byte
	// finish appends what was still held back at the end.
	finish(dst []byte) []byte
	// count returns how many octets decode would append, and changes the decoder
	// in the same way.
	count(src []byte) int64
}

// newTransferDecoder returns the decoder for an encoding in lower case, nil for
// the identity.
func newTransferDecoder(encoding string) (dec transferDecoder, ok bool) {
	switch encoding {
	case "", "7bit", "8bit", "binary":
		return nil, true
	case "base64":
		return &base64Decoder{}, true
	case "quoted-printable":
		return &quotedPrintableDecoder{}, true
	}
	return nil, false
}

// transferReader decodes what it reads from r.
type transferReader struct {
	r   io.Reader
	dec transferDecoder
	in  []byte
	out []byte // decoded, from off on not yet handed out
	off int
	err error
}

func (t *transferReader) Read(p []byte) (int, error) {
	if t.in == nil {
		t.in = make([]byte, 8<<10)
	}
	for t.off == len(t.out) && t.err == nil {
		var n int
		n, t.err = t.r.Read(t.in)
		t.out, t.off = t.dec.decode(t.out[:0], t.in[:n]), 0
		if t.err == io.EOF {
			t.out = t.dec.finish(t.out)
		}
	}
	if t.off == len(t.out) {
		return 0, t.err
	}
	n := copy(p, t.out[t.off:])
	t.off += n
	return n, nil
}

// base64Decoder decodes RFC 2045 §6.8. Octets outside of the alphabet are skipped;
// "=" ends a group, and what follows it is decoded as well, because several encoded
// texts are sometimes put after each other.
type base64Decoder struct {
	bits uint32
	n    int // characters in bits, 0 to 3
}

// base64Values has the value of each character of the alphabet, padValue for "=",
// junkValue for others.
var base64Values = func() (t [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range t {
		t[i] = junkValue
	}
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	t['='] = padValue
	return t
}()

const (
	padValue  = 0x40
	junkValue = 0x80
)

func (d *base64Decoder) decode(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		if d.n == 0 {
			var k int
			dst, k = appendGroups(dst, src[i:])
			i += k
		}
		if i < len(src) {
			dst = d.octet(dst, base64Values[src[i]])
			i++
		}
	}
	return dst
}

// appendGroups decodes the whole groups that src begins with, up to the first octet
// outside of the alphabet, and returns the octets taken.
func appendGroups(dst, src []byte) ([]byte, int) {
	out, n := slices.Grow(dst, len(src)/4*3), len(dst)
	out = out[:cap(out)]
	i := 0
	for ; i+4 <= len(src); i += 4 {
		a, b := base64Values[src[i]], base64Values[src[i+1]]
		c, e := base64Values[src[i+2]], base64Values[src[i+3]]
		if (a|b|c|e)&(padValue|junkValue) != 0 {
			break
		}
		out[n+2], out[n+1], out[n] = c<<6|e, b<<4|c>>2, a<<2|b>>4
		n += 3
	}
	return out[:n], i
}

func (d *base64Decoder) octet(dst []byte, v byte) []byte {
	switch {
	case v == padValue:
		return d.finish(dst)
	case v == junkValue:
		return dst
	}
	d.bits = d.bits<<6 | uint32(v)
	if d.n++; d.n < 4 {
		return dst
	}
	dst = append(dst, byte(d.bits>>16), byte(d.bits>>8), byte(d.bits))
	d.bits, d.n = 0, 0
	return dst
}

// finish ends a group that is not complete: two characters are an octet, three are
// two, one alone is nothing.
func (d *base64Decoder) finish(dst []byte) []byte {
	switch d.n {
	case 2:
		dst = append(dst, byte(d.bits>>4))
	case 3:
		dst = append(dst, byte(d.bits>>10), byte(d.bits>>2))
	}
	d.bits, d.n = 0, 0
	return dst
}

func (d *base64Decoder) count(src []byte) int64 {
	var total int64
	n := d.n
	for _, c := range src {
		switch v := base64Values[c]; {
		case v < padValue:
			n++
		case v == padValue:
			total += groupOctets(n)
			n = 0
		}
	}
	total += int64(n / 4 * 3)
	// The rest of the group is counted when it is complete; its bits do not matter.
	d.n = n % 4
	return total
}

// groupOctets returns how many octets n characters before a "=" stand for.
func groupOctets(n int) int64 {
	rest := n % 4
	return int64(n/4*3 + max(0, rest-1))
}

// quotedPrintableDecoder decodes RFC 2045 §6.7.
type quotedPrintableDecoder struct {
	// held is what may not yet be decided: white space that could end a line, or the
	// start of an escape. White space is held up to maxHeldSpace octets.
	held    []byte
	counted []byte // scratch of count
}

// maxHeldSpace bounds the white space before a line end that is removed. Encoded
// lines are at most 76 characters long (RFC 2045 §6.7, rule 5).
const maxHeldSpace = 1_000

func (d *quotedPrintableDecoder) decode(dst, src []byte) []byte {
	for len(src) > 0 {
		if len(d.held) == 0 {
			var n int
			dst, n = appendCertain(dst, src)
			if src = src[n:]; len(src) == 0 {
				break
			}
		}
		d.held = append(d.held, src[0])
		src = src[1:]
		dst = d.decide(dst)
	}
	return dst
}

// appendCertain decodes what src begins with, as far as it is certain whatever follows and
// written as it should be, and returns the octets taken.
func appendCertain(dst, src []byte) ([]byte, int) {
	out, n := slices.Grow(dst, len(src)+wordSize), len(dst)
	out = out[:cap(out)]
	for i := 0; i < len(src); {
		k := copyPlain(out[n:], src[i:])
		i, n = i+k, n+k
		if i == len(src) || src[i] == '\n' {
			// White space at the end of a line is not certain, that within one is.
			if k := endSpace(src[:i]); k > 0 {
				return out[:n-k], i - k
			}
			if i < len(src) {
				out[n] = '\n'
				i, n = i+1, n+1
			}
			continue
		}
		switch escape := src[i:]; {
		case len(escape) < 3:
			return out[:n], i
		case escape[1] == '\r' && escape[2] == '\n': // a soft line break
		case unhex(escape[1]) >= 0 && unhex(escape[2]) >= 0:
			out[n] = byte(unhex(escape[1])<<4 | unhex(escape[2]))
			n++
		default:
			return out[:n], i
		}
		i += 3
	}
	return out[:n], len(src)
}

// copyPlain copies what stands in front of the first "=" or line feed, and returns the
// number of octets. It may write up to wordSize octets more.
func copyPlain(dst, src []byte) int {
	i := 0
	for ; i+wordSize <= len(src); i += wordSize {
		w := binary.LittleEndian.Uint64(src[i:])
		binary.LittleEndian.PutUint64(dst[i:], w)
		escape, end := w^'='*eachByte, w^'\n'*eachByte
		// Above the lowest octet that is one of the two, this may show others.
		stop := ((escape-eachByte)&^escape | (end-eachByte)&^end) & highBits
		if stop != 0 {
			return i + bits.TrailingZeros64(stop)/8
		}
	}
	for ; i < len(src) && src[i] != '=' && src[i] != '\n'; i++ {
		dst[i] = src[i]
	}
	return i
}

// endSpace returns the length of the white space at the end of a line, and of the CR after
// it if there is one: 0 if there is a CR alone.
func endSpace(line []byte) int {
	text := bytes.TrimSuffix(line, []byte{'\r'})
	if plain := trimEnd(text); len(plain) < len(text) {
		return len(line) - len(plain)
	}
	return 0
}

// decide appends what the held octets stand for, if that is certain by now.
func (d *quotedPrintableDecoder) decide(dst []byte) []byte {
	if d.held[0] == '=' {
		return d.escape(dst)
	}
	switch last := d.held[len(d.held)-1]; {
	case last == '\n':
		// White space at the end of a line was added on the way (rule 3).
		end := "\n"
		if len(d.held) > 1 && d.held[len(d.held)-2] == '\r' {
			end = "\r\n"
		}
		d.held = d.held[:0]
		return append(dst, end...)
	case last == '=':
		dst = append(dst, d.held[:len(d.held)-1]...)
		d.held = append(d.held[:0], '=')
		return dst
	case last == '\r' && d.held[len(d.held)-2] != '\r':
		return dst
	case (last == ' ' || last == '\t') && len(d.held) < maxHeldSpace && !d.hasCR():
		return dst
	}
	return d.release(dst)
}

// hasCR says whether a CR stands before the last held octet.
func (d *quotedPrintableDecoder) hasCR() bool {
	return len(d.held) > 1 && d.held[len(d.held)-2] == '\r'
}

// escape decides about held octets that begin with "=".
func (d *quotedPrintableDecoder) escape(dst []byte) []byte {
	h := d.held
	last := h[len(h)-1]
	switch {
	case len(h) == 1:
		return dst
	case last == '\n':
		d.held = h[:0] // a soft line break, perhaps with white space before it
		return dst
	case len(h) == 2 && unhex(last) >= 0:
		return dst
	case len(h) == 3 && unhex(h[1]) >= 0 && unhex(last) >= 0:
		d.held = h[:0]
		return append(dst, byte(unhex(h[1])<<4|unhex(last)))
	case isSpace(last) && unhex(h[1]) < 0 && len(h) < maxHeldSpace && h[len(h)-2] != '\r':
		return dst
	}
	return d.release(dst)
}

// release lets the held octets stand for themselves. The last one may begin
// something new.
func (d *quotedPrintableDecoder) release(dst []byte) []byte {
	last := d.held[len(d.held)-1]
	if len(d.held) > 1 && (last == '=' || last == ' ' || last == '\t') {
		dst = append(dst, d.held[:len(d.held)-1]...)
		d.held = append(d.held[:0], last)
		return dst
	}
	dst = append(dst, d.held...)
	d.held = d.held[:0]
	return dst
}

func (d *quotedPrintableDecoder) finish(dst []byte) []byte {
	// White space at the very end ends a line too; a lone "=" is a soft line break.
	if len(d.held) > 0 && (d.held[0] != '=' || len(trimSpace(d.held)) > 1) {
		dst = append(dst, trimEnd(d.held)...)
	}
	d.held = d.held[:0]
	return dst
}

func trimEnd(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

func (d *quotedPrintableDecoder) count(src []byte) int64 {
	d.counted = d.decode(d.counted[:0], src)
	return int64(len(d.counted))
}

// unhex returns the value of a hexadecimal digit, -1 if c is none.
func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= lower(c) && lower(c) <= 'f':
		return int(lower(c)-'a') + 10
	}
	return -1
}
