package message

import (
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

// utf7 reads UTF-7 (RFC 2152), which some old mail is written in.
type utf7 struct{}

func (utf7) NewDecoder() *encoding.Decoder {
	return &encoding.Decoder{Transformer: &utf7Decoder{}}
}

// NewEncoder makes utf7 an encoding.Encoding. Nothing here writes UTF-7: it passes
// UTF-8 on.
func (utf7) NewEncoder() *encoding.Encoder {
	return &encoding.Encoder{Transformer: transform.Nop}
}

// utf7Decoder keeps what a shifted sequence has so far.
type utf7Decoder struct {
	shifted bool
	first   bool // directly after the "+"
	bits    uint32
	n       uint // bits in bits
	high    rune // a surrogate that awaits its second half
}

func (d *utf7Decoder) Reset() { *d = utf7Decoder{} }

func (d *utf7Decoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		// One octet yields at most two characters: a lone surrogate and its own.
		if len(dst)-nDst < 2*utf8.UTFMax {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += len(d.octet(dst[nDst:nDst], src[nSrc]))
		nSrc++
	}
	if atEOF && d.high != 0 {
		if len(dst)-nDst < utf8.UTFMax {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], utf8.RuneError)
		d.high = 0
	}
	return nDst, nSrc, nil
}

// octet appends what is certain with the next octet.
func (d *utf7Decoder) octet(dst []byte, c byte) []byte {
	if !d.shifted {
		switch {
		case c == '+':
			d.shifted, d.first, d.bits, d.n = true, true, 0, 0
			return dst
		case c >= utf8.RuneSelf:
			return utf8.AppendRune(dst, utf8.RuneError)
		}
		return append(dst, c)
	}
	if v := base64Values[c]; v < padValue {
		d.first = false
		return d.sextet(dst, v)
	}
	d.shifted = false
	if d.high != 0 {
		dst = utf8.AppendRune(dst, utf8.RuneError)
		d.high = 0
	}
	switch {
	case c == '-' && d.first:
		return append(dst, '+')
	case c == '-':
		return dst
	case c >= utf8.RuneSelf:
		return utf8.AppendRune(dst, utf8.RuneError)
	}
	return append(dst, c)
}

func (d *utf7Decoder) sextet(dst []byte, v byte) []byte {
	d.bits, d.n = d.bits<<6|uint32(v), d.n+6
	if d.n < 16 {
		return dst
	}
	d.n -= 16
	u := rune(d.bits >> d.n & 0xffff)
	if high := d.high; high != 0 {
		d.high = 0
		if r := utf16.DecodeRune(high, u); r != utf8.RuneError {
			return utf8.AppendRune(dst, r)
		}
		dst = utf8.AppendRune(dst, utf8.RuneError)
	}
	if 0xd800 <= u && u < 0xdc00 {
		d.high = u
		return dst
	}
	return utf8.AppendRune(dst, u)
}
