package imapserver

import (
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
