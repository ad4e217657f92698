package mail

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/internal/store"
)

// A server that was stopped in order must find its mailboxes without going through their
// logs when it starts again.
func TestCloseWritesSnapshots(t *testing.T) {
	e := openEngine(t, vfs.NewMem())
	defer e.Close()
	s := New(Options{Engine: e})
	if err := s.CreateUser(t.Context(), "alice", nil); err != nil {
		t.Fatal(err)
	}
	a := openAccount(t, s)
	for n := range lastRecords {
		appendOne(t, a, "INBOX", n)
	}
	inbox := openMailbox(t, a, "INBOX")
	meta := func() (meta *mailboxMeta) {
		err := e.View(t.Context(), a.id, func(r store.Reader) (err error) {
			meta, err = get(r, mailboxKey(inbox.mailbox.id), decodeMailboxMeta)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return meta
	}
	if m := meta(); m.Snapshot == m.ModSeq {
		t.Errorf("there is a snapshot at MODSEQ %d already", m.Snapshot)
	}
	s.Close()
	if m := meta(); m.Snapshot != m.ModSeq {
		t.Errorf("snapshot at MODSEQ %d, log goes to %d", m.Snapshot, m.ModSeq)
	}
	s = New(Options{Engine: e})
	defer s.Close()
	checkClean(t, s)
}
