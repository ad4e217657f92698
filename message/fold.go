package message

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// Fold appends to dst the form of s in which texts are compared and searched
// without regard to case: each character in title case and then decomposed, as the
// collation i;unicode-casemap has it (RFC 5255 §4.6). So "é" equals "É", "ﬁ" equals
// "FI", and "ß" only itself. Each character is folded by itself, which lets a text be
// folded in pieces. Octets that are not UTF-8 are taken for windows-1252.
func Fold(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			dst = append(dst, asciiUpper[c])
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			r = charmap.Windows1252.DecodeByte(s[i])
		}
		dst = foldRune(dst, r)
		i += n
	}
	return dst
}

// foldBytes is Fold for a piece of a text. If more is to come, an incomplete
// character at its end is not folded but returned as rest.
func foldBytes(dst, s []byte, more bool) (folded, rest []byte) {
	dst = slices.Grow(dst, len(s))
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			dst = append(dst, asciiUpper[c])
			i++
			continue
		}
		if more && !utf8.FullRune(s[i:]) {
			return dst, s[i:]
		}
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n == 1 {
			r = charmap.Windows1252.DecodeByte(s[i])
		}
		dst = foldRune(dst, r)
		i += n
	}
	return dst, nil
}

// asciiUpper is the fold of each ASCII character.
var asciiUpper = func() (t [utf8.RuneSelf]byte) {
	for i := range t {
		t[i] = byte(unicode.ToTitle(rune(i)))
	}
	return t
}()

// foldTable has the folds of the characters that most alphabets use: Latin, Greek and
// Cyrillic.
var foldTable = func() (t [0x500]string) {
	for r := range t {
		t[r] = string(appendFold(nil, rune(r)))
	}
	return t
}()

// foldRune appends the fold of r.
func foldRune(dst []byte, r rune) []byte {
	if int(r) < len(foldTable) {
		return append(dst, foldTable[r]...)
	}
	return appendFold(dst, r)
}

func appendFold(dst []byte, r rune) []byte {
	switch {
	case 0x4e00 <= r && r <= 0x9fff: // ideographs have neither case nor parts
		return utf8.AppendRune(dst, r)
	case 0xac00 <= r && r <= 0xd7a3:
		return appendJamo(dst, r)
	}
	r = unicode.ToTitle(r)
	var buf [utf8.UTFMax]byte
	d := norm.NFKD.Properties(buf[:utf8.EncodeRune(buf[:], r)]).Decomposition()
	if d == nil {
		return utf8.AppendRune(dst, r)
	}
	for len(d) > 0 {
		part, n := utf8.DecodeRune(d)
		dst = utf8.AppendRune(dst, unicode.ToTitle(part))
		d = d[n:]
	}
	return dst
}

// appendJamo appends the parts of a Hangul syllable. They follow from its number
// (Unicode §3.12), and so are in no table.
func appendJamo(dst []byte, r rune) []byte {
	const vowels, tails = 21, 28
	i := r - 0xac00
	dst = utf8.AppendRune(dst, 0x1100+i/(vowels*tails))
	dst = utf8.AppendRune(dst, 0x1161+i/tails%vowels)
	if i%tails != 0 {
		dst = utf8.AppendRune(dst, 0x11a7+i%tails)
	}
	return dst
}
