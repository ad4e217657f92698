package message

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// foldSlowly is Fold as its comment says it, a character at a time.
func foldSlowly(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			r = charmap.Windows1252.DecodeByte(s[0])
		}
		for _, part := range norm.NFKD.String(string(unicode.ToTitle(r))) {
			b.WriteRune(unicode.ToTitle(part))
		}
		s = s[n:]
	}
	return b.String()
}

// If this fails, a character is folded otherwise where it stands among ASCII, or is in a
// table, than its rule says, and stored texts no longer agree with what is searched for.
func TestFoldEveryCharacter(t *testing.T) {
	for r := range unicode.MaxRune + 1 {
		for _, s := range []string{string(r), "abcdefgz{" + string(r) + "`az{xyz"} {
			if r >= 0x3400 && r%64 > 1 && r < 0xf900 && len(s) > utf8.UTFMax {
				continue // one of many alike is enough
			}
			if got, want := string(Fold(nil, s)), foldSlowly(s); got != want {
				t.Fatalf("%U in %q: got %q, want %q", r, s, got, want)
			}
		}
	}
}

// If this fails, a search for ASCII passes over a character that it could be found in.
func TestFoldForASCII(t *testing.T) {
	check := func(text, alone string) {
		got, _ := folder{ascii: true}.fold(nil, []byte(text), false)
		if want := foldSlowly(text); string(got) == want {
			return
		}
		foreign := foldSlowly(alone)
		if strings.ContainsFunc(foreign, func(r rune) bool { return r < utf8.RuneSelf }) || string(got) != "A\xffBC" {
			t.Fatalf("%q: got %q, and %q folds to %q", text, got, alone, foreign)
		}
	}
	for r := range unicode.MaxRune + 1 {
		check("a"+string(r)+"bc", string(r))
	}
	for _, broken := range []string{"\xd0", "\xe4", "\xe4\xb8", "\xe3\x81", "\xe3\x82", "\xea\xb0"} {
		check("a"+broken+"bc", "a")
	}
}

// If FuzzFold fails, a text is found or not by where its pieces were cut, or by what
// stands beside it.
func FuzzFold(f *testing.F) {
	f.Add("caf\xe9 Grüße aus Köln, 日本語のメール ｶﾞ … ﷺ", uint8(3))
	f.Add("\x80\xff\xc3\xe2\x80\xf0\x9f\x98@[`{", uint8(1))
	f.Fuzz(func(t *testing.T, s string, n uint8) {
		want := foldSlowly(s)
		if got := string(Fold([]byte("x"), s)); got != "x"+want {
			t.Fatalf("%q: got %q, want %q", s, got, want)
		}
		var got, held []byte
		for text := []byte(s); len(text) > 0; {
			k := min(int(n)+1, len(text))
			held = append(held, text[:k]...)
			text = text[k:]
			var rest []byte
			got, rest = foldBytes(got, held, len(text) > 0)
			held = bytes.Clone(rest)
		}
		if string(got) != want {
			t.Fatalf("%q in pieces of %d: got %q, want %q", s, n, got, want)
		}
	})
}

func BenchmarkFold(b *testing.B) {
	for name, text := range map[string]string{
		"english":  "the harbour meeting report on budget and tide tables for next week\r\n",
		"german":   "die Rechnung für das Büro wäre schön grüße aus München über den Bericht\r\n",
		"russian":  "отчёт за месяц встреча завтра спасибо большое вопрос по проекту\r\n",
		"japanese": "会議 の 資料 を 送ります 来週 よろしく お願い します 請求書、確認。\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			text := []byte(strings.Repeat(text, 200))
			var dst []byte
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				dst, _ = foldBytes(dst[:0], text, false)
			}
		})
		b.Run(name+" for ASCII", func(b *testing.B) {
			text := []byte(strings.Repeat(text, 200))
			var dst []byte
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				dst, _ = folder{ascii: true}.fold(dst[:0], text, false)
			}
		})
	}
}
