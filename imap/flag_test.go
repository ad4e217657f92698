package imap

import "testing"

// If this fails, a keyword that comes from a file could not be sent to a client, or is
// lost although it could.
func TestIsKeyword(t *testing.T) {
	for c := range 256 {
		special := c <= ' ' || c >= 0x7f
		for _, s := range `(){%*"\]` { // atom-specials and resp-specials of RFC 9051 §9
			special = special || c == int(s)
		}
		f := Flag([]byte{'a', byte(c)})
		if got := f.IsKeyword(); got == special {
			t.Errorf("IsKeyword(%q) = %v", f, got)
		}
	}
	for _, f := range []Flag{"", FlagSeen, "gr\u00f6\u00dfe"} {
		if f.IsKeyword() {
			t.Errorf("%q is no keyword", f)
		}
	}
}
