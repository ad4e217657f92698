package lmtp

import (
	"reflect"
	"strings"
	"testing"
)

// If this failed, mail would go to the wrong user, or one address would be read in two
// ways.
func TestParseRecipient(t *testing.T) {
	for _, tc := range []struct{ path, local, domain string }{
		{"<a@b>", "a", "b"},
		{" <a@b>", "a", "b"},
		{"<a@b> X=Y", "a", "b"},
		{"<a.b+c@Example.ORG.>", "a.b+c", "example.org"},
		{`<"a b"@c>`, "a b", "c"},
		{`<"a\"\\b"@c>`, `a"\b`, "c"},
		{`<"a@b"@c>`, "a@b", "c"},
		{`<"a>b"@c>`, "a>b", "c"},
		{"<jörg@müller.de>", "jörg", "müller.de"},
		{"<a@[192.0.2.1]>", "a", "[192.0.2.1]"},
		{"<a@[IPv6:2001:db8::1]>", "a", "[ipv6:2001:db8::1]"},
	} {
		got, err := parseRecipient([]byte("RCPT TO:" + tc.path + "\r\n"))
		if err != nil || got.Local != tc.local || got.Domain != tc.domain {
			t.Errorf("%s: got %q at %q, %v", tc.path, got.Local, got.Domain, err)
		}
	}
	for _, path := range []string{
		"", "<", "<>", "<a>", "<a@>", "<@b>", `<""@b>`, "<a@b", "<a@b>x", "a@b", "<.a@b>", "<a.@b>", "<a..b@c>", "<a@b@c>",
		"<a b@c>", "<a@b c>", "<a@.b>", "<a@b..c>", "<@x:a@b>", `<"a"b@c>`, `<"a@b>`, `<"a\`, "<\"a\r\"@b>", "<a@[x]>", "<a@[]>",
		"<\xff@b>", "<a@\xff>", "<a\x7f@b>", "<a\x00@b>", "<" + strings.Repeat("a", maxPath) + "@b>",
	} {
		if got, err := parseRecipient([]byte("RCPT TO:" + path + "\r\n")); err == nil {
			t.Errorf("%q was read as %q", path, got)
		}
	}
}

// If this failed, a user with a plus sign in the name would lose mail to another.
func TestCandidates(t *testing.T) {
	for _, tc := range []struct {
		a    address
		want []candidate
	}{
		{address{"a", "x"}, []candidate{{"a@x", ""}, {"a", ""}}},
		{address{"a+b+c", "x"}, []candidate{{"a+b+c@x", ""}, {"a@x", "b+c"}, {"a+b+c", ""}, {"a", "b+c"}}},
		{address{"+b", "x"}, []candidate{{"+b@x", ""}, {"+b", ""}}},
		{address{"a@y", "x"}, []candidate{{"a@y@x", ""}}},
	} {
		if got := tc.a.candidates(); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%v: got %v", tc.a, got)
		}
	}
}

// Anything but one reading of an address, in linear time, is an attack's beginning.
func FuzzParseRecipient(f *testing.F) {
	for _, s := range []string{"<a@b>", `<"a b"@c>`, "<jörg@müller.de>", "<@x:a@b>", `<""@b>`, "<a@[IPv6:::1]>", "<a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		a, err := parseRecipient(append([]byte("RCPT TO:"), path...))
		if err != nil {
			return
		}
		if a.Local == "" || a.Domain == "" || strings.ContainsAny(a.String(), "\r\n\x00") {
			t.Fatalf("%q was read as %+v", path, a)
		}
		again, err := parseRecipient([]byte("RCPT TO:<" + a.String() + ">"))
		// Quoting may make an address longer than is allowed.
		if err == nil && again != a || err != nil && len(a.String()) <= maxPath {
			t.Fatalf("%q was read as %+v, then as %+v, %v", path, a, again, err)
		}
	})
}

// A message's end must be found at the same place however the octets are cut.
func FuzzLineScan(f *testing.F) {
	for _, s := range []string{"a\r\n.\r\n", "a\n.\n", "a\r\r\n.\r\n", "..a\r\n.\r\n", "a\r", "\r\n.\r\nNOOP\r\n"} {
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, s string, cut uint8) {
		whole, wholeEnd, wholeFlaw := scanIn(s, len(s)+1)
		// No buffer is so small that it cuts the line that ends a message.
		pieces, end, flaw := scanIn(s, max(3, int(cut)))
		if whole != pieces || wholeEnd != end || (wholeFlaw == nil) != (flaw == nil) {
			t.Fatalf("%q: in one %q %v %d, in pieces %q %v %d", s, whole, wholeFlaw, wholeEnd, pieces, flaw, end)
		}
		want := strings.Index("\r\n"+s, "\r\n.\r\n")
		if want >= 0 {
			want += 3
		}
		if end != want {
			t.Fatalf("%q ends at %d, want %d", s, end, want)
		}
		if bad := strings.ContainsAny(strings.ReplaceAll(whole, "\r\n", ""), "\r\n\x00"); bad && wholeFlaw == nil && end >= 0 {
			t.Fatalf("%q was accepted", whole)
		}
	})
}

// scanIn feeds s in lines, cut at n octets, and returns the content, the
// offset after the end, -1 where it did not come, and the flaw.
func scanIn(s string, n int) (string, int, error) {
	var out strings.Builder
	scan := lineScan{atStart: true}
	for at := 0; at < len(s); {
		k := min(n, len(s)-at)
		if i := strings.IndexByte(s[at:at+k], '\n'); i >= 0 {
			k = i + 1
		}
		piece, end := scan.next([]byte(s[at : at+k]))
		at += k
		if end {
			return out.String(), at, scan.flaw
		}
		out.Write(piece)
	}
	return out.String(), -1, scan.flaw
}
