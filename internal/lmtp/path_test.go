package lmtp

import (
	"bytes"
	"testing"
)

// Mail with an old source route would be returned to its sender, or a part of the route
// taken for the address.
func TestWithoutRoute(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{"RCPT TO:<@a,@b:bob@c>", "RCPT TO:<bob@c>"},
		{"rcpt to: <@a:bob@c> X=<@y:z@y>", "rcpt to: <bob@c> X=<@y:z@y>"},
		{`RCPT TO:<@a:"b:o@b>"@c>`, `RCPT TO:<"b:o@b>"@c>`},
		{"RCPT TO:<@[IPv6:2001:db8::1],@b:bob@c>", "RCPT TO:<bob@c>"},
		{"MAIL FROM:<@a:bob@c> SIZE=5", "MAIL FROM:<bob@c> SIZE=5"},
		{"RCPT TO:<@a:postmaster>", "RCPT TO:<postmaster>"},
	} {
		if got := withoutRoute([]byte(tc.line)); string(got) != tc.want {
			t.Errorf("%s became %s", tc.line, got)
		}
	}
	for _, line := range []string{
		"RCPT TO:<bob@c>", "RCPT TO:<@a>", "RCPT TO:<@a,bob@c>", "RCPT TO:<@a,@b,bob@c>", "RCPT TO:<@:bob@c>", "RCPT TO:<@a..b:bob@c>",
		"RCPT TO:<@[::1:bob@c>", "RCPT TO:<@", "RCPT TO:<@a", `RCPT TO:<"@a:b"@c>`, `RCPT TO:<"a\`, "LHLO <@a:b>", "RCPT TO:<@a,",
	} {
		if got := withoutRoute([]byte(line)); string(got) != line {
			t.Errorf("%s became %s", line, got)
		}
	}
}

// A line of a stranger must neither end the server nor become longer or another command.
func FuzzCommandLine(f *testing.F) {
	for _, s := range []string{"MAIL FROM:<a@b> SIZE=5", "RCPT TO:<@a,@b:c@d>", `RCPT TO:<@[IPv6:::1]:"a\>"@b>`, `MAIL FROM:<"`, "RCPT <@a,:"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		rest := withoutRoute(line)
		if len(rest) > len(line) || !bytes.Equal(line, before) || len(line) >= 5 && !bytes.Equal(rest[:5], line[:5]) {
			t.Fatalf("%q became %q", before, rest)
		}
	})
}
