package message

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold appends to dst the form of s in which texts are compared and searched
// without regard to case: each character in title case and then decomposed, as the
// collation i;unicode-casemap has it (RFC 5051 §2, RFC 5255 §4.6). So "é" equals "É",
// "ß" stays, and "ﬁ" equals "FI". Each character is folded by itself, which lets a
// text be folded in pieces. What is not UTF-8 becomes U+FFFD.
func Fold(dst []byte, s string) []byte {
	i := 0
	for i < len(s) {
		c := s[i]
		if c < utf8.RuneSelf {
			dst = append(dst, asciiUpper[c])
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		dst = foldRune(dst, r)
		i += n
	}
	return dst
}

// foldBytes is Fold for bytes. An incomplete character at the end of s is returned
// as rest, if more is to come.
func foldBytes(dst, s []byte, more bool) (folded, rest []byte) {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			dst = append(dst, asciiUpper[c])
			i++
			continue
		}
		if more && !utf8.FullRune(s[i:]) {
			return dst, s[i:]
		}
		r, n := utf8.DecodeRune(s[i:])
		dst = foldRune(dst, r)
		i += n
	}
	return dst, nil
}

var asciiUpper = func() (t [utf8.RuneSelf]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'a' <= i && i <= 'z' {
			t[i] = byte(i - 'a' + 'A')
		}
	}
	return t
}()

func foldRune(dst []byte, r rune) []byte {
	r = unicode.ToTitle(r)
	var buf [utf8.UTFMax]byte
	d := norm.NFKD.Properties(buf[:utf8.EncodeRune(buf[:], r)]).Decomposition()
	if d == nil {
		return utf8.AppendRune(dst, r)
	}
	for len(d) > 0 {
		r, n := utf8.DecodeRune(d)
		dst = utf8.AppendRune(dst, unicode.ToTitle(r))
		d = d[n:]
	}
	return dst
}
