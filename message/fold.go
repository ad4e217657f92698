package message

import (
	"encoding/binary"
	"math/bits"
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
	dst, _ = foldBytes(dst, []byte(s), false)
	return dst
}

// foldBytes is Fold for a piece of a text. If more is to come, an incomplete
// character at its end is not folded but returned as rest.
func foldBytes(dst, s []byte, more bool) (folded, rest []byte) {
	return folder{}.fold(dst, s, more)
}

// folder folds text to look for a key in it.
type folder struct {
	// ascii says that the key is ASCII. Characters that it cannot lie in are left out then,
	// each run of them for one octet that is in no folded text.
	ascii bool
}

// barrier stands for characters that no key lies in.
const barrier = 0xff

func (f folder) fold(dst, s []byte, more bool) (folded, rest []byte) {
	out, n := dst[:cap(dst)], len(dst)
	for i := 0; i < len(s); {
		if room := len(s) - i + wordSize; len(out)-n < room {
			out = slices.Grow(out[:n], room)
			out = out[:cap(out)]
		}
		if s[i] < utf8.RuneSelf {
			k := foldASCII(out[n:], s[i:])
			i, n = i+k, n+k
			continue
		}
		if f.ascii && s[i] >= firstForeign {
			if k := foreignRun(s[i:]); k > 0 {
				out[n] = barrier
				i, n = i+k, n+1
				continue
			}
		}
		if i+1 < len(s) {
			if f := pairFold(s[i], s[i+1]); f != 0 {
				n += f.put(out[n:])
				i += 2
				continue
			}
		}
		if more && !utf8.FullRune(s[i:]) {
			return out[:n], s[i:]
		}
		r, size := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && size == 1 {
			r = charmap.Windows1252.DecodeByte(s[i])
		}
		i += size
		if f := lookupFold(r); f != 0 {
			n += f.put(out[n:])
			continue
		}
		out = appendFold(out[:n], r)
		n, out = len(out), out[:cap(out)]
	}
	return out[:n], nil
}

// foreignRun returns how many octets at the start of s are characters without ASCII in
// their folds. It knows those that most texts in scripts other than Latin and Greek consist
// of: Cyrillic, kana and ideographs.
func foreignRun(s []byte) int {
	i := 0
	for i+2 < len(s) {
		switch c := s[i]; {
		case c>>2 == firstForeign>>2 && isContinuation(s[i+1]):
			i += 2
		case isForeign(c, s[i+1], s[i+2]):
			i += 3
		default:
			return i
		}
	}
	return i
}

// firstForeign is the first octet of Cyrillic, in UTF-8. It and the next three are followed by one more.
const firstForeign = 0xd0

// isForeign says whether three octets are an ideograph or kana. The sound marks that stand
// alone (U+309B, U+309C) have a space in their folds.
func isForeign(a, b, c byte) bool {
	switch {
	case !isContinuation(b) || !isContinuation(c):
		return false
	case a == 0xe3:
		return b == 0x81 || b == 0x83 || b == 0x82 && c != 0x9b && c != 0x9c
	}
	return 0xe4 <= a && a <= 0xe9
}

// isContinuation says whether an octet of UTF-8 goes on with a character.
func isContinuation(c byte) bool { return c&0xc0 == 0x80 }

// foldASCII writes the fold of the ASCII characters that src begins with to dst, and
// returns their number. It may write up to wordSize octets more.
func foldASCII(dst, src []byte) int {
	i := 0
	for ; i+wordSize <= len(src); i += wordSize {
		w := binary.LittleEndian.Uint64(src[i:])
		binary.LittleEndian.PutUint64(dst[i:], upperWord(w))
		if other := w & highBits; other != 0 {
			return i + bits.TrailingZeros64(other)/8
		}
	}
	for ; i < len(src) && src[i] < utf8.RuneSelf; i++ {
		dst[i] = upper(src[i])
	}
	return i
}

const (
	eachByte = 0x0101_0101_0101_0101
	highBits = 0x80 * eachByte
)

// upperWord gives eight ASCII letters their upper case at once. An octet that is not
// ASCII spoils those after it.
func upperWord(w uint64) uint64 {
	fromA := w + (0x80-'a')*eachByte   // has the high bit where an octet is at least 'a'
	pastZ := w + (0x80-'z'-1)*eachByte // and where it is more than 'z'
	return w ^ (fromA&^pastZ&highBits)>>2
}

// upper returns an ASCII letter in upper case and anything else as it is.
func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}

// The folds of the characters that most texts use beside ideographs.
var (
	alphabetFolds    = makeFolds(0, 0x500)       // Latin, Greek, Cyrillic
	punctuationFolds = makeFolds(0x2000, 0x2070) // dashes and quotes
	kanaFolds        = makeFolds(0x3000, 0x3100) // Hiragana, Katakana, their punctuation
	wideFolds        = makeFolds(0xff00, 0xfff0) // full-width and half-width forms
)

// makeFolds has the folds of the characters from first to end, end excluded.
func makeFolds(first, end rune) []packed {
	t := make([]packed, end-first)
	for i := range t {
		t[i] = pack(appendFold(nil, first+rune(i)))
	}
	return t
}

// pairFold returns the fold of a character of two octets if it is in a table.
func pairFold(a, b byte) packed {
	if a < 0xc2 || a > 0xd3 || b&0xc0 != 0x80 {
		return 0
	}
	return alphabetFolds[int(a&0x1f)<<6|int(b&0x3f)]
}

// lookupFold returns the fold of r if it is in a table.
func lookupFold(r rune) packed {
	switch {
	case int(r) < len(alphabetFolds):
		return alphabetFolds[r]
	case r < 0x2000:
		return 0
	case r < 0x2070:
		return punctuationFolds[r-0x2000]
	case r < 0x3000:
		return 0
	case r < 0x3100:
		return kanaFolds[r-0x3000]
	case 0xff00 <= r && r < 0xfff0:
		return wideFolds[r-0xff00]
	}
	return 0
}

// appendFold works out the fold of r and appends it.
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
