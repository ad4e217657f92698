package imapserver

import (
	"strings"
	"testing"
)

// Without it a client would not know whether its command was carried out, and do it
// again: the mailbox may be deleted while a command in it runs.
func TestBugLostTaggedAnswer(t *testing.T) {
	b := newFakeBackend()
	c := inMailboxOf(t, b, nil)
	b.inbox().beforeStore = b.inbox().delete
	c.talk(`
		C: a1 STORE 1 +FLAGS.SILENT (\Seen)
		S: a1 OK
		S: * BYE [NONEXISTENT]
	`)
	c.wantEnd()

	b = newFakeBackend()
	c = inMailboxOf(t, b, nil)
	b.inbox().delete()
	c.talk(`
		C: a1 COPY 9 INBOX
		S: a1 BAD
		S: * BYE [NONEXISTENT]
	`)
	c.wantEnd()
}

// Without it of many connections that come at once any could be let in or refused,
// whatever their order.
func TestBugConnectionsCountedOutOfOrder(t *testing.T) {
	const most = 20
	addr := listen(t, startServer(t, newFakeBackend(), func(o *Options) { o.Limits.StrangersPerAddress = most }))
	var clients []*client
	for range most + 5 {
		clients = append(clients, dial(t, addr))
	}
	for i, c := range clients {
		want := "* OK"
		if i >= most {
			want = "* BYE [LIMIT]"
		}
		if got := c.line(); !strings.HasPrefix(got, want) {
			t.Errorf("connection %d got %q, want %q", i+1, got, want)
		}
	}
}
