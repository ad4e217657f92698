package imapserver

import (
	"strings"
	"testing"
)

// Without it a command could run where it must not, or a row of the table could have a
// handler that takes another command's struct (RFC 9051 §3).
func TestCommandsInStates(t *testing.T) {
	const (
		before  = 1 << iota // not authenticated
		after               // authenticated
		mailbox             // selected
	)
	tests := []struct {
		line   string
		states int
	}{
		{"CAPABILITY", before | after | mailbox},
		{"NOOP", before | after | mailbox},
		{"ID NIL", before | after | mailbox},
		{"LOGOUT", before | after | mailbox},
		{"STARTTLS", 0}, // not available here
		{"LOGIN alice wrong", before},
		{"AUTHENTICATE OTHER", before},
		{"ENABLE CONDSTORE", after | mailbox},
		{"NAMESPACE", after | mailbox},
		{"SELECT nothing", after | mailbox},
		{"EXAMINE nothing", after | mailbox},
		{"CREATE new", after | mailbox},
		{"DELETE INBOX", after | mailbox},
		{"RENAME a b", after | mailbox},
		{"SUBSCRIBE a", after | mailbox},
		{"UNSUBSCRIBE a", after | mailbox},
		{`LIST "" *`, after | mailbox},
		{`LSUB "" *`, after | mailbox},
		{"STATUS INBOX (MESSAGES)", after | mailbox},
		{"APPEND nothing {1}", after | mailbox},
		{"IDLE\r\nDONE", after | mailbox},
		{"CHECK", mailbox},
		{"CLOSE", mailbox},
		{"UNSELECT", mailbox},
		{"EXPUNGE", mailbox},
		{"UID EXPUNGE 1", mailbox},
		{"FETCH 1 UID", mailbox},
		{"UID FETCH 1 UID", mailbox},
		{`STORE 1 FLAGS (\Seen)`, mailbox},
		{`UID STORE 1 FLAGS (\Seen)`, mailbox},
		{"SEARCH ALL", mailbox},
		{"UID SEARCH ALL", mailbox},
		{"SORT (DATE) UTF-8 ALL", mailbox},
		{"UID SORT (DATE) UTF-8 ALL", mailbox},
		{"THREAD REFERENCES UTF-8 ALL", mailbox},
		{"UID THREAD REFERENCES UTF-8 ALL", mailbox},
		{"COPY 1 nothing", mailbox},
		{"UID COPY 1 nothing", mailbox},
		{"MOVE 1 nothing", mailbox},
		{"UID MOVE 1 nothing", mailbox},
	}
	untested := make(map[string]bool)
	for name := range commands {
		untested[name] = true
	}
	for _, test := range tests {
		words := strings.Fields(test.line)
		name := words[0]
		if name == "UID" {
			name += " " + words[1]
		}
		delete(untested, name)
		for state := before; state <= mailbox; state <<= 1 {
			allowed := inState(t, state == after, state == mailbox, test.line)
			if want := test.states&state != 0; allowed != want {
				t.Errorf("%s in state %d: allowed %v, want %v", test.line, state, allowed, want)
			}
		}
	}
	for name := range untested {
		t.Errorf("%s has no test", name)
	}
}

// inState sends a command in a state and says whether it was allowed there.
func inState(t *testing.T, after, mailbox bool, line string) bool {
	t.Helper()
	b := newFakeBackend()
	addr := listen(t, startServer(t, b, nil))
	var c *client
	switch {
	case mailbox:
		b.inbox().add("one")
		c = login(t, addr)
		c.send("s SELECT INBOX")
		c.skipTo("s OK")
	case after:
		c = login(t, addr)
	default:
		c = dial(t, addr)
		c.want("* OK")
	}
	c.send("a " + line)
	for range 100 {
		answer := c.line()
		if answer == "" || strings.Contains(answer, "SERVERBUG") {
			t.Errorf("%s: got %q", line, answer)
			return false
		}
		if status, ok := strings.CutPrefix(answer, "a "); ok {
			return !strings.HasPrefix(status, "BAD")
		}
	}
	t.Errorf("%s was not answered", line)
	return false
}

// Without it a client could be promised what does not work: each capability that can
// be enabled is enabled by its name, and none is announced twice.
func TestCapabilities(t *testing.T) {
	c := login(t, listen(t, startServer(t, newFakeBackend(), nil)))
	c.send("a1 CAPABILITY")
	line := c.line()
	c.want("a1 OK")
	seen := make(map[string]bool)
	for _, name := range strings.Fields(line)[2:] {
		if seen[name] {
			t.Errorf("%s is announced twice", name)
		}
		seen[name] = true
	}
	for _, cap := range capabilities {
		if cap.rfc == "" {
			t.Errorf("%s: no RFC", cap.name)
		}
		if cap.enable == nil {
			continue
		}
		c.send("a2 ENABLE X-OTHER " + strings.ToLower(cap.name))
		c.want("* ENABLED " + cap.name)
		c.want("a2 OK")
		if !seen[cap.name] {
			t.Errorf("%s can be enabled and is not announced", cap.name)
		}
	}
	c.talk("C: a3 ENABLE X-OTHER\nS: * ENABLED\nS: a3 OK")
}
