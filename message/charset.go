package message

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
	"golang.org/x/text/transform"
)

// charsetDecoder returns what turns text of a charset into valid UTF-8. A label that is
// missing or not known is read as UTF-8, and so is US-ASCII; octets that are not UTF-8 are
// then taken one by one for windows-1252.
func charsetDecoder(label string) transform.Transformer {
	if e := lookupCharset(label); e != nil {
		return e.NewDecoder()
	}
	return lenientUTF8{}
}

// decodeText appends text of a charset as UTF-8.
func decodeText(dst []byte, label string, text []byte) []byte {
	e := lookupCharset(label)
	if e == nil && utf8.Valid(text) {
		return append(dst, text...)
	}
	out, _, err := transform.Append(charsetDecoder(label), dst, text)
	if err != nil {
		return append(dst, strings.ToValidUTF8(string(text), "\uFFFD")...)
	}
	return out
}

// lookupCharset returns the encoding that a mail's charset label means, nil for
// UTF-8, US-ASCII and what is not known. Mail's own names come first: it uses labels
// that the web, whose list comes next, gives another meaning or refuses.
func lookupCharset(label string) encoding.Encoding {
	label = strings.ToLower(strings.TrimSpace(label))
	switch label {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "ansi_x3.4-1968", "unknown-8bit", "x-unknown":
		return nil
	case "utf-7", "unicode-1-1-utf-7", "x-unicode-1-1-utf-7":
		return utf7{}
	case "utf-16":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM) // RFC 2781 §4.3
	case "utf-16be":
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	case "utf-16le":
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case "utf-32":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	case "utf-32be":
		return utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM)
	case "utf-32le":
		return utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM)
	case "gb2312", "gb_2312-80", "cp936", "ms936", "windows-936", "x-gbk":
		return simplifiedchinese.GBK
	case "hz-gb-2312":
		return simplifiedchinese.HZGB2312
	case "cp950", "x-x-big5":
		return traditionalchinese.Big5
	case "cp932", "ms932", "windows-932", "x-ms-cp932", "shift-jis", "x-sjis":
		return japanese.ShiftJIS
	case "cp51932", "eucjp", "x-euc-jp":
		return japanese.EUCJP
	case "iso-2022-jp-2", "iso-2022-jp-ms", "cp50220", "cp50221":
		return japanese.ISO2022JP
	case "ks_c_5601-1987", "ks_c_5601", "ksc5601", "ksc_5601", "cp949", "uhc", "x-windows-949":
		return korean.EUCKR
	case "cp850", "ibm850":
		return charmap.CodePage850
	case "cp437", "ibm437":
		return charmap.CodePage437
	}
	if n, ok := strings.CutPrefix(label, "cp125"); ok {
		label = "windows-125" + n
	}
	if e, err := htmlindex.Get(label); err == nil && e != encoding.Replacement {
		return notUTF8(e)
	}
	if e, err := ianaindex.MIME.Encoding(label); err == nil && e != nil {
		return notUTF8(e)
	}
	return nil
}

func notUTF8(e encoding.Encoding) encoding.Encoding {
	if e == unicode.UTF8 {
		return nil
	}
	return e
}

// lenientUTF8 lets UTF-8 pass and takes what is not for windows-1252.
type lenientUTF8 struct{ transform.NopResetter }

func (lenientUTF8) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		c := src[nSrc]
		if c < utf8.RuneSelf {
			if nDst == len(dst) {
				return nDst, nSrc, transform.ErrShortDst
			}
			dst[nDst] = c
			nDst++
			nSrc++
			continue
		}
		if !atEOF && !utf8.FullRune(src[nSrc:]) {
			return nDst, nSrc, transform.ErrShortSrc
		}
		r, n := utf8.DecodeRune(src[nSrc:])
		if r == utf8.RuneError && n == 1 {
			r = charmap.Windows1252.DecodeByte(c)
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += n
	}
	return nDst, nSrc, nil
}
