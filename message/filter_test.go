package message

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// Fields of a header too large for memory must be chosen as those of a small one are.
func TestCopyHeader(t *testing.T) {
	line := rapid.OneOf(
		rapid.SampledFrom([]string{
			"To: a", "X: b", " folded", "\tfolded", "no field", ": empty", "To : c", "t\x01: d", "X:",
			strings.Repeat("long", filterBuffer), "To: " + strings.Repeat("long", filterBuffer), " ",
		}),
		rapid.StringMatching(`[A-Za-z:]{0,5}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		var header []byte
		for _, l := range rapid.SliceOfN(line, 0, 8).Draw(t, "lines") {
			header = append(header, l...)
			header = append(header, rapid.SampledFrom([]string{"\r\n", "\n"}).Draw(t, "end")...)
		}
		if i := bytes.Index(header, []byte("\n\r\n")); i >= 0 {
			header = header[:i+3] // a header section ends at its blank line
		}
		if i := bytes.Index(header, []byte("\n\n")); i >= 0 {
			header = header[:i+2]
		}
		if n := blankLine(header); n > 0 {
			header = header[:n]
		}
		fields := rapid.SampledFrom([][]string{{"to"}, {"X", "To"}, {"none"}, {""}}).Draw(t, "fields")
		not := rapid.Bool().Draw(t, "not")
		want := FilterHeader(nil, header, fields, not)
		var got bytes.Buffer
		if err := CopyHeader(&got, iotest.HalfReader(bytes.NewReader(header)), fields, not); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Fatalf("of %q: %q, want %q", header, got.Bytes(), want)
		}
	})
}

// If this failed, lines that are no fields would be returned to who asks for a field that
// cannot be: BODY[HEADER.FIELDS ("" "a:b")].
func TestBugImpossibleFields(t *testing.T) {
	header := []byte("no field\r\na: b: c\r\n: empty\r\n x\r\n\r\n")
	if got := FilterHeader(nil, header, []string{"", "a:b", "x y"}, false); string(got) != "\r\n" {
		t.Errorf("got %q", got)
	}
	if got := FilterHeader(nil, header, []string{"", "a:b"}, true); !bytes.Equal(got, header) {
		t.Errorf("the others are %q", got)
	}
}
