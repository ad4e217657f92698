package message

import (
	"strings"
	"testing"
)

// If this fails, replies are not sorted and threaded with what they answer.
func TestBaseSubject(t *testing.T) {
	for _, c := range []struct {
		in, want string
		reply    bool
	}{
		{"", "", false},
		{"lunch", "lunch", false},
		{"  two\t words ", "two words", false},
		{"Re: lunch", "lunch", true},
		{"RE:re: Fwd : FW:lunch", "lunch", true},
		{"Re[2]: lunch", "lunch", true},
		{"Re [x] : lunch", "lunch", true},
		{"[list] lunch", "lunch", false},
		{"[list] [x] Re: [y] lunch", "lunch", true},
		{"Re: [list]", "[list]", true},
		{"[a][b]", "[b]", false},
		{"[a] [b] ", "[b]", false},
		{"lunch (fwd)", "lunch", true},
		{"lunch (fwd) (FWD)  ", "lunch", true},
		{"[fwd: lunch]", "lunch", true},
		{"[Fwd: Re: [fwd: lunch (fwd)]]", "lunch", true},
		{"Re: ", "", true},
		{"Regarding: lunch", "Regarding: lunch", false},
		{"[unclosed lunch", "[unclosed lunch", false},
		{"Re: Größe", "Größe", true},
	} {
		got, reply := BaseSubject(c.in)
		if got != c.want || reply != c.reply {
			t.Errorf("%q: got %q %v, want %q %v", c.in, got, reply, c.want, c.reply)
		}
	}
}

// If this fails, a long subject made for it takes time by its square. Each of these
// takes minutes then, and no time otherwise.
func TestBaseSubjectIsLinear(t *testing.T) {
	const n = 300_000
	for _, c := range []struct{ in, want string }{
		{strings.Repeat("[a]", n), "[a]"},
		{strings.Repeat("Re:", n) + "x", "x"},
		{strings.Repeat("[fwd:", n) + "x" + strings.Repeat("]", n), "x"},
		{"x" + strings.Repeat("(fwd)", n), "x"},
		{strings.Repeat("[", n), strings.Repeat("[", n)},
	} {
		if got, _ := BaseSubject(c.in); got != c.want {
			t.Errorf("%.20q gives %.20q", c.in, got)
		}
	}
}

// If this fails, the sort keys of addresses are not those of RFC 5256 and RFC 5957.
func TestSortKeys(t *testing.T) {
	r := scanIn([]byte("From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>, x@y\r\n"+
		"To: list@example.org\r\nCc: Friends: a@b;\r\nSubject: Re: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\r\n\r\n"), 0)
	got := []string{r.FromMailbox, r.ToMailbox, r.CcMailbox, r.DisplayFrom, r.DisplayTo, r.Subject, r.BaseSubject}
	want := []string{"joerg", "list", "Friends", "Jörg", "list@example.org", "Re: Größe", "Größe"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
	if !r.IsReply {
		t.Error("the subject is that of a reply")
	}
}
