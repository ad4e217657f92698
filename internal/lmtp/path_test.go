package lmtp

import (
	"bytes"
	"math"
	"testing"
)

// If this failed, mail with an old source route would be returned to its sender, or a
// part of the route taken for the address.
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

// If this failed, a message that is far too large would be refused for its syntax, which
// MTAs do not understand, or its size would be read from somebody's address.
func TestCutSize(t *testing.T) {
	for _, tc := range []struct {
		line, rest string
		size       int64
	}{
		{"MAIL FROM:<a@b> SIZE=5\r\n", "MAIL FROM:<a@b>\r\n", 5},
		{"MAIL FROM:<> BODY=8BITMIME size=0099 SMTPUTF8\r\n", "MAIL FROM:<> BODY=8BITMIME SMTPUTF8\r\n", 99},
		{"MAIL FROM:<a@b> SIZE=99999999999\r\n", "MAIL FROM:<a@b>\r\n", 99999999999},
		{"MAIL FROM:<a@b> SIZE=99999999999999999999\r\n", "MAIL FROM:<a@b>\r\n", math.MaxInt64},
		{"MAIL FROM:<a@b> SIZE=999999999999999999999\r\n", "MAIL FROM:<a@b> SIZE=999999999999999999999\r\n", 0},
		{"MAIL FROM:<a@b> SIZE=-1\r\n", "MAIL FROM:<a@b> SIZE=-1\r\n", 0},
		{"MAIL FROM:<a@b> SIZE=1x\r\n", "MAIL FROM:<a@b> SIZE=1x\r\n", 0},
		{"MAIL FROM:<a@b> SIZE=\r\n", "MAIL FROM:<a@b> SIZE=\r\n", 0},
		{"MAIL FROM:<a@b> XSIZE=1\r\n", "MAIL FROM:<a@b> XSIZE=1\r\n", 0},
		{"MAIL FROM:<\"> SIZE=1 \"@b>\r\n", "MAIL FROM:<\"> SIZE=1 \"@b>\r\n", 0},
		{"RCPT TO:<a@b> SIZE=1\r\n", "RCPT TO:<a@b> SIZE=1\r\n", 0},
		{"MAIL FROM:<a@b> SIZE=7", "MAIL FROM:<a@b>", 7},
	} {
		rest, size := cutSize([]byte(tc.line))
		if string(rest) != tc.rest || size != tc.size {
			t.Errorf("%q: got %q and %d", tc.line, rest, size)
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
		rest, size := cutSize(withoutRoute(line))
		if len(rest) > len(line) || size < 0 || !bytes.Equal(line, before) || len(line) >= 5 && !bytes.Equal(rest[:5], line[:5]) {
			t.Fatalf("%q became %q and %d", before, rest, size)
		}
	})
}
