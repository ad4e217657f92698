package imapwire

import (
	"strings"
	"testing"
)

// If this failed, a character would be taken where the grammar forbids it, or refused
// where it allows it. The sets are written out here from RFC 9051 §9 and not computed.
func TestClasses(t *testing.T) {
	const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	const atom = alnum + "!#$&'+,-./:;<=>?@[^_`|}~"
	for _, test := range []struct {
		name  string
		class uint8
		want  string
	}{
		{"ATOM-CHAR", classAtom, atom},
		{"ASTRING-CHAR", classAString, atom + "]"},
		{"tag", classTag, strings.ReplaceAll(atom, "+", "") + "]"},
		{"list-char", classList, atom + "]%*"},
		{"objectid", classObjectID, alnum + "_-"},
		{"label", classLabel, alnum + ".-"},
	} {
		for i := range 256 {
			c := byte(i)
			want := strings.IndexByte(test.want, c) >= 0
			if got := classes[c]&test.class != 0; got != want {
				t.Errorf("%s: %#02x is in it: %v, want %v", test.name, c, got, want)
			}
		}
	}
	for i := range 256 {
		c := byte(i)
		want := c != 0 && c != '\r' && c != '\n' && c != '"' && c != '\\'
		if got := classes[c]&classQuoted != 0; got != want {
			t.Errorf("QUOTED-CHAR: %#02x is in it: %v, want %v", c, got, want)
		}
	}
}
