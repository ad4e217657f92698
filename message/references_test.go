package message

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// If this fails, threads fall apart.
func TestParseReferences(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", []string{}},
		{"<a@b> <c@d>", []string{"a@b", "c@d"}},
		{"<a@b><c@d>,\r\n\t<e@f>", []string{"a@b", "c@d", "e@f"}},
		{`<"01KF8JCEOCBS0045PS"@xxx.yyy.com>`, []string{"01KF8JCEOCBS0045PS@xxx.yyy.com"}},
		{"<a.b @ c.d (comment)>", []string{"a.b@c.d"}},
		{"Your message of Monday <x> from <a@b", []string{}},
		{"<<a@b>", []string{"a@b"}},
		{"a@b", []string{}},
	} {
		if got := ParseReferences([]byte(c.in)); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

// If this fails, one message can fill the thread index, or loses its parent.
func TestReferencesLimit(t *testing.T) {
	var b strings.Builder
	for i := range maxReferences + 7 {
		fmt.Fprintf(&b, "<%d@x> ", i)
	}
	got := ParseReferences([]byte(b.String()))
	if len(got) != maxReferences || got[0] != "7@x" || got[maxReferences-1] != fmt.Sprintf("%d@x", maxReferences+6) {
		t.Fatalf("%d references, from %s to %s", len(got), got[0], got[len(got)-1])
	}
}

// If this fails, an answer without References stands alone in its thread.
func TestInReplyToIsUsedWithoutReferences(t *testing.T) {
	r := scanIn([]byte("Message-ID: <\"m\"@x>\r\nReferences: nothing\r\nIn-Reply-To: <a@b> <c@d>\r\n\r\n"), 0)
	if r.MessageID != "m@x" || !slices.Equal(r.References, []string{"a@b"}) {
		t.Fatalf("%q %q", r.MessageID, r.References)
	}
}
