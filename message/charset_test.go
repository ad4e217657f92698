package message

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/transform"
)

// If this fails, mail in the charsets that are in use is not readable or not found.
func TestCharsets(t *testing.T) {
	for _, c := range []struct{ label, in, want string }{
		{"", "café", "café"},
		{"utf-8", "a\xc3\xa4\xe4b\xc3", "aääbÃ"},
		{"US-ASCII", "a\x80b", "a€b"},
		{"x-unheard-of", "\xe9", "é"},
		{"iso-8859-1", "\xe9\x80", "é€"}, // windows-1252 in fact
		{" ISO-8859-15 ", "\xa4", "€"},
		{"windows-1251", "\xcf\xf0", "Пр"},
		{"cp1250", "\xe8", "č"},
		{"koi8-r", "\xf0\xd2", "Пр"},
		{"koi8-u", "\xa4", "є"},
		{"cp932", "\x93\xfa\x96{", "日本"},
		{"shift_jis", "\x93\xfa", "日"},
		{"iso-2022-jp", "\x1b$BF|K\\\x1b(B", "日本"},
		{"euc-jp", "\xc6\xfc", "日"},
		{"gb2312", "\xc4\xe3", "你"},
		{"gbk", "\xc4\xe3", "你"},
		{"gb18030", "\xc4\xe3", "你"},
		{"hz-gb-2312", "~{Dc~}", "你"},
		{"big5", "\xa7A", "你"},
		{"ks_c_5601-1987", "\xbe\xc8", "안"},
		{"euc-kr", "\xbe\xc8", "안"},
		{"cp437", "\x84", "ä"},
		{"utf-16", "\x00a\x00b", "ab"},
		{"utf-16", "\xff\xfea\x00b\x00", "ab"},
		{"utf-16le", "a\x00", "a"},
		{"utf-32be", "\x00\x00\x00a", "a"},

		// RFC 2152.
		{"utf-7", "A+ImIDkQ.", "A≢Α."},
		{"utf-7", "Hi Mom -+Jjo--!", "Hi Mom -☺-!"},
		{"utf-7", "+ZeVnLIqe-", "日本語"},
		{"utf-7", "1 +- 1", "1 + 1"},
		{"utf-7", "+2D3eAA-", "😀"},
		{"utf-7", "+2D0-x", "\uFFFDx"},
		{"utf-7", "+2D0", "\uFFFD"},
		{"utf-7", "\x80", "\uFFFD"},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
			got, err := io.ReadAll(charsetReader(c.label, r))
			if err != nil || string(got) != c.want {
				t.Errorf("%q as %s: got %q, want %q, %v", c.in, c.label, got, c.want, err)
			}
		}
	}
}

// charsetReader returns a reader of r's text as UTF-8.
func charsetReader(label string, r io.Reader) io.Reader {
	return transform.NewReader(r, charsetDecoder(label))
}
