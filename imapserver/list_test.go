package imapserver

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tidemark/imap"
	"tidemark/internal/testbed"
)

// Without it LIST would show mailboxes that were not asked for, or hide some.
func TestPattern(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a/b/c", true},
		{"%", "a", true},
		{"%", "a/b", false},
		{"a/%", "a/b", true},
		{"a/%", "a", false},
		{"a/%", "a/b/c", false},
		{"%/%", "a/b", true},
		{"*b", "a/b", true},
		{"%b", "a/b", false},
		{"a*c", "a/b/c", true},
		{"a%c", "abc", true},
		{"a%c", "ac", true},
		{"%%b%%", "abc", true},
		{"%*%", "a/b", true},
		{"inbox", "INBOX", true},
		{"inb*", "INBOX", true},
		{"In%x", "INBOX", true},
		{"inbox/a", "INBOX/a", true},
		{"inbox/a", "INBOX/A", false},
		{"inboxes/a", "INBOXES/a", false},
		{"abc", "ABC", false},
		{"a", "a", true},
		{"a", "ab", false},
		{"*x*y%z", "axbyc/z", false},
		{"*x*y%z", "ax/b/ycz", true},
		{strings.Repeat("a*", 5000), "a", false},
	}
	for _, test := range tests {
		p := newPattern(test.pattern)
		if got := p.matches(test.name); got != test.want {
			t.Errorf("%.40q matches %q: %v, want %v", test.pattern, test.name, got, test.want)
		}
	}
}

// matchSlowly is the definition of RFC 9051 §6.3.9: does the rest of pattern match the
// rest of name? known has the answers so far, by what is left of both.
func matchSlowly(pattern, name string, known map[[2]int]bool) (matches bool) {
	left := [2]int{len(pattern), len(name)}
	if m, ok := known[left]; ok {
		return m
	}
	defer func() { known[left] = matches }()
	switch {
	case pattern == "":
		return name == ""
	case pattern[0] == '*' || pattern[0] == '%':
		takes := name != "" && (pattern[0] == '*' || name[0] != imap.Delimiter)
		return matchSlowly(pattern[1:], name, known) || takes && matchSlowly(pattern, name[1:], known)
	default:
		return name != "" && name[0] == pattern[0] && matchSlowly(pattern[1:], name[1:], known)
	}
}

// Without it the state sets of the matcher could differ from what wildcards mean.
func TestPatternAgainstDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(alphabet string, most int) string {
		b := make([]byte, r.IntN(most+1))
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	compare := func(pattern, name string) {
		p := newPattern(pattern)
		if got, want := p.matches(name), matchSlowly(pattern, name, map[[2]int]bool{}); got != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, name, got, want)
		}
	}
	for range 20_000 {
		compare(random("ab/*%", 8), random("ab/", 10))
	}
	for range 300 { // beyond one word of states
		name := random("ab/", 200)
		pattern := []byte(name)
		for i := range pattern {
			if r.IntN(3) == 0 {
				pattern[i] = "*%ab"[r.IntN(4)]
			}
		}
		compare(string(pattern), name)
	}
}

// Without it one LIST could keep the server busy for hours, and so this test.
func TestPatternBomb(t *testing.T) {
	name := strings.Repeat("a/", 15) + strings.Repeat("a", 200)
	for range 300 {
		p := newPattern(strings.Repeat("*%a", 300) + "b")
		for range 10 {
			if p.matches(name) {
				t.Fatal("it matches")
			}
		}
	}
}

// numbered returns n words of a pattern or name with a number in each.
func numbered(format string, n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(words, " ")
}

// Without it one line could keep the server busy for minutes: many patterns, each of
// which is tried on many names.
func TestBugListOfManyPatterns(t *testing.T) {
	b := newFakeBackend()
	for i := range 3000 {
		name := fmt.Sprintf("%s%d", strings.Repeat("ab", 120), i)
		b.mailboxes[name] = newFakeMailbox(name)
	}
	c := login(t, listen(t, startServer(t, b, nil)))
	long := strings.Repeat("*a%%b", 120)
	for _, test := range []struct{ command, want string }{
		{`LIST "" (` + numbered("*a*b%d", 7000) + ")", "NO [LIMIT]"},
		{`LIST "" (` + numbered("*a*x%d", 40) + ")", "OK"},
		{`LIST "" (` + strings.Repeat("*a*x ", 7000) + "*)", "OK"},
		{`LIST "" (` + numbered(long+"%d", maxPatterns) + ")", "NO [LIMIT]"},
		{`LIST (SUBSCRIBED RECURSIVEMATCH) "" (` + numbered("%%/*a*x%d", 40) + ")", "OK"},
		{`LIST "` + strings.Repeat("%a", 20_000) + `" (` + numbered("%d", maxPatterns) + ")", "OK"},
		{`LSUB "" ` + strings.Repeat("*a%b", 500), "OK"},
	} {
		c.send("a " + test.command)
		line := c.line()
		for strings.HasPrefix(line, "* ") {
			line = c.line()
		}
		if !strings.HasPrefix(line, "a "+test.want) {
			t.Errorf("%.60s: got %q, want %q", test.command, line, test.want)
		}
	}
}

// Without it a user could have many costly LISTs run at a time, and leave them behind by
// hanging up.
func TestBugListIsNotHeavy(t *testing.T) {
	b, log := newFakeBackend(), &testbed.Log{}
	for i := range 300 {
		name := fmt.Sprintf("%s%d", strings.Repeat("ab", 120), i)
		b.mailboxes[name] = newFakeMailbox(name)
	}
	b.inbox().searching = make(chan struct{})
	addr := listen(t, startServer(t, b, func(o *Options) {
		logTo(log)(o)
		o.Limits.HeavyPerUser = 1
	}))
	searching := login(t, addr)
	searching.send("s SELECT INBOX")
	searching.skipTo("s OK")
	searching.send("a SEARCH ALL")
	<-b.inbox().searching // and has the only slot

	listing := login(t, addr)
	listing.send(`a LIST "" (` + numbered("*a*x%d", maxPatterns) + ")")
	listing.conn.Close()
	log.Await(t, errHungUp.reason)
	searching.conn.Close()
}

// Without it a client would not find mailboxes whose parents are not there, or show
// an arrow where nothing is below.
func TestMailboxTree(t *testing.T) {
	tree := newMailboxTree([]MailboxInfo{
		{Name: "b"}, {Name: "INBOX"}, {Name: "a/x/y"}, {Name: "a b"}, {Name: "INBOX/c"},
		{Name: "gone/z", NonExistent: true, Subscribed: true}, {Name: "B"},
	})
	var got []string
	for _, n := range tree.nodes {
		words := []string{n.name}
		for _, a := range n.attributes(listExtended) {
			words = append(words, string(a))
		}
		got = append(got, strings.Join(words, " "))
	}
	want := []string{
		`INBOX \HasChildren`, `INBOX/c \HasNoChildren`,
		`B \HasNoChildren`,
		`a \NonExistent \HasChildren`, `a/x \NonExistent \HasChildren`, `a/x/y \HasNoChildren`,
		`a b \HasNoChildren`, `b \HasNoChildren`,
		`gone \NonExistent \HasNoChildren`, `gone/z \NonExistent \HasNoChildren`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i, n := range tree.nodes {
		if n.name == "a" && (n.first != i+1 || n.end != i+3) {
			t.Errorf("below a are the nodes %d to %d, want %d to %d", n.first, n.end, i+1, i+3)
		}
	}
}
