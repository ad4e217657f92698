package mail

import (
	"context"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
	"tidemark/internal/store/embedded"
)

// restarted returns a service on a store in which alice has an INBOX of n messages with a
// snapshot, and nothing of it is in memory.
func restarted(t *testing.T, n int) (*Service, *Account) {
	t.Helper()
	s, a, _ := restartedBehind(t, n)
	return s, a
}

// restartedBehind is restarted with an engine that looks at what is read.
func restartedBehind(t *testing.T, n int) (*Service, *Account, *scanHook) {
	t.Helper()
	fs := vfs.NewMem()
	e := openEngine(t, fs)
	s := New(Options{Engine: e})
	if err := s.CreateUser(t.Context(), "alice", nil); err != nil {
		t.Fatal(err)
	}
	a := openAccount(t, s)
	for i := range n {
		appendOne(t, a, "INBOX", i)
	}
	snapshotNow(t, openMailbox(t, a, "INBOX"))
	s.Close()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openEngine(t, fs)
	hook := &scanHook{Engine: e}
	s = New(Options{Engine: hook})
	t.Cleanup(func() {
		s.Close()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, openAccount(t, s), hook
}

// scanHook is an engine that calls run, once, before a View of it scans.
type scanHook struct {
	*embedded.Engine
	run func()
}

func (h *scanHook) View(ctx context.Context, id store.AccountID, fn func(store.Reader) error) error {
	return h.Engine.View(ctx, id, func(r store.Reader) error { return fn(hookedReader{r, h}) })
}

type hookedReader struct {
	store.Reader
	hook *scanHook
}

func (r hookedReader) Scan(start, end []byte, reverse bool) store.Iterator {
	if run := r.hook.run; run != nil {
		r.hook.run = nil
		run()
	}
	return r.Reader.Scan(start, end, reverse)
}

func snapshotNow(t *testing.T, m *Selected) {
	t.Helper()
	if _, _, err := m.update(t.Context(), func(c *change) error { return c.writeSnapshot() }); err != nil {
		t.Fatal(err)
	}
}

// A session that has seen an earlier version must get the details of its messages, though
// what was on disk of them has been overwritten and deleted since.
func TestDetailsOfEarlierVersion(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(a *Account, m *Selected) error
	}{
		{"one expunged", func(_ *Account, m *Selected) error { return expungeNow(m, 2, 2) }},
		{"all expunged", func(_ *Account, m *Selected) error { return expungeNow(m, 1, 5) }},
		{"moved", func(a *Account, m *Selected) error {
			_, _ = a.Create(t.Context(), "other", nil)
			_, err := m.Copy(t.Context(), imap.NumSet{{Start: 1, Stop: 5}}, "other", true)
			return err
		}},
		{"one more", func(a *Account, _ *Selected) error {
			appendOne(t, a, "INBOX", 9)
			return nil
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, a := restarted(t, 5)
			m := openMailbox(t, a, "INBOX")
			old := m.View()
			if old.(*view).hasDetails(old.(*view).all()) {
				t.Fatal("details were read to open the mailbox")
			}
			if err := tc.change(a, m); err != nil {
				t.Fatal(err)
			}
			snapshotNow(t, m)
			details, err := m.Details(t.Context(), old, imap.NumSet{{Start: 1, Stop: 5}})
			if err != nil {
				t.Fatal(err)
			}
			for i, d := range details {
				if want := uint32(len(testMessage) - 3); d.Size != want || d.Email != uint64(i+1) {
					t.Errorf("message %d: %+v, want %d octets", i+1, d, want)
				}
			}
			checkClean(t, s)
		})
	}
}

// A session that opens a mailbox while another reads or changes it must get the details of
// its messages for as long as it stays behind: there must not be two views of the mailbox
// that know nothing of each other.
func TestDetailsOfMailboxOpenedTwice(t *testing.T) {
	for name, meanwhile := range map[string]func(t *testing.T, m *mailbox){
		"STATUS": func(t *testing.T, m *mailbox) {
			err := m.account.svc.engine.View(t.Context(), m.account.id, func(r store.Reader) error {
				_, _, err := m.at(r)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		},
		"a change that is not durable yet": func(t *testing.T, m *mailbox) {
			err := m.account.svc.engine.Update(t.Context(), m.account.id, func(tx store.Tx) error {
				c, err := m.begin(tx)
				if err == nil {
					err = c.expunge(imap.NumSetOf[uint32](4))
				}
				if err == nil {
					c.finish()
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, a, hook := restartedBehind(t, 5)
			inner, err := a.open(t.Context(), "INBOX")
			if err != nil {
				t.Fatal(err)
			}
			defer a.release(inner)
			hook.run = func() { meanwhile(t, inner) }
			m := openMailbox(t, a, "INBOX")
			if hook.run != nil {
				t.Fatal("nothing was read")
			}
			old := m.View()
			if err := expungeNow(m, 2, 2); err != nil {
				t.Fatal(err)
			}
			snapshotNow(t, m)
			if _, err := m.Details(t.Context(), old, old.(*view).all()); err != nil {
				t.Error(err)
			}
			checkClean(t, s)
		})
	}
}

func expungeNow(m *Selected, first, last uint32) error {
	uids := imap.NumSet{{Start: first, Stop: last}}
	req := imapserver.StoreChange{UIDs: uids, Op: imap.StoreAdd, Flags: []imap.Flag{imap.FlagDeleted}}
	if _, err := m.Store(context.Background(), req); err != nil {
		return err
	}
	return m.Expunge(context.Background(), uids)
}

// A session that has a mailbox open when another deletes it must be able to go on with what
// it knows.
func TestDetailsOfDeletedMailbox(t *testing.T) {
	_, a := restarted(t, 0)
	if _, err := a.Create(t.Context(), "gone", nil); err != nil {
		t.Fatal(err)
	}
	appendOne(t, a, "gone", 1)
	m := openMailbox(t, a, "gone")
	v := m.View()
	if err := a.Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Details(t.Context(), v, imap.NumSetOf[uint32](1)); err != nil {
		t.Error(err)
	}
}

// A change of flags must not cost writing all that is known of a thousand messages.
func TestSnapshotOfFlags(t *testing.T) {
	_, a := restarted(t, 3)
	m := openMailbox(t, a, "INBOX")
	before := m.View().(*view).chunks[0].lazy.written.Load()
	req := imapserver.StoreChange{UIDs: imap.NumSetOf[uint32](2), Op: imap.StoreAdd, Flags: []imap.Flag{imap.FlagSeen}}
	if _, err := m.Store(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	snapshotNow(t, m)
	if c := m.View().(*view).chunks[0]; c.lazy.written.Load() != before || c.details() != nil {
		t.Error("the details were read or written")
	}
}

// Damage of details must keep nobody from the mailbox and its flags, must not show as
// messages of no size, and must be found by a check.
func TestDamagedDetails(t *testing.T) {
	for name, damage := range map[string]func(tx store.Tx, key, b []byte){
		"missing":       func(tx store.Tx, key, _ []byte) { tx.Delete(key) },
		"cut short":     func(tx store.Tx, key, b []byte) { tx.Set(key, b[:len(b)-1]) },
		"of another":    func(tx store.Tx, key, b []byte) { b[1]++; tx.Set(key, b) },
		"not a version": func(tx store.Tx, key, b []byte) { b[0]++; tx.Set(key, b) },
	} {
		t.Run(name, func(t *testing.T) {
			s, a := restarted(t, 3)
			m := openMailbox(t, a, "INBOX")
			key := detailsKey(m.mailbox.id, 1)
			err := s.engine.Update(t.Context(), a.id, func(tx store.Tx) error {
				b, err := tx.Get(key)
				if err == nil {
					damage(tx, key, append([]byte{}, b...))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			v := m.View()
			if v.Len() != 3 || v.Row(2).UID != 2 {
				t.Errorf("%d messages", v.Len())
			}
			all := imap.NumSet{{Start: 1, Stop: 3}}
			if _, err := m.Details(t.Context(), v, all); !isCorruption(err) {
				t.Errorf("details: %v", err)
			}
			if _, err := m.Search(t.Context(), v, imap.SearchSize{N: 1}); !isCorruption(err) {
				t.Errorf("search: %v", err)
			}
			if err := expungeNow(m, 2, 2); !isCorruption(err) {
				t.Errorf("expunge: %v", err)
			}
			var found []string
			_, err = s.Check(t.Context(), "", func(p Problem) { found = append(found, p.Mailbox+" "+p.UIDs+" "+p.Text) })
			if err != nil || !strings.Contains(strings.Join(found, "\n"), "INBOX 1:3 details") {
				t.Errorf("check found %q, %v", found, err)
			}
		})
	}
}

func isCorruption(err error) bool {
	return codeOf(err) == imap.CodeCorruption
}

// A mailbox of which one record has changed very many messages must not be replayed each
// time it is opened: such a record must count for as much as many small ones.
func TestSnapshotAfterLargeChange(t *testing.T) {
	_, a := newAccount(t)
	appendOne(t, a, "INBOX", 1)
	m := openMailbox(t, a, "INBOX")
	v := m.durable.Load()
	if m.behind(v, snapshotRecords, snapshotMessages, snapshotChanges) {
		t.Fatal("one message asks for a snapshot")
	}
	flag := func() {
		t.Helper()
		op := imap.StoreAdd
		if len(m.View().Row(1).Flags.Flags()) > 0 {
			op = imap.StoreRemove
		}
		change := imapserver.StoreChange{UIDs: imap.NumSetOf[uint32](1), Op: op, Flags: []imap.Flag{imap.FlagFlagged}}
		if _, err := m.Store(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	flag()
	flag()
	v = m.durable.Load()
	if !m.behind(v, snapshotRecords, snapshotMessages, v.changes) || v.changes != 2 {
		t.Errorf("%d changes are counted after 2", v.changes)
	}
	if _, _, err := m.update(t.Context(), func(c *change) error { return c.writeSnapshot() }); err != nil {
		t.Fatal(err)
	}
	if m.behind(m.durable.Load(), snapshotRecords, snapshotMessages, 1) {
		t.Error("the changes before the snapshot still count")
	}
}

// Mailboxes that nobody has open must stay in memory as far as it goes, whatever number of
// messages they have, and go when it does not.
func TestIdleListByMemory(t *testing.T) {
	s, a := newAccount(t)
	appendOne(t, a, "INBOX", 1)
	s.idle.limit = 1 << 20
	var id mailboxID
	visit := func() {
		t.Helper()
		m, err := a.OpenMailbox(t.Context(), "INBOX", false)
		if err != nil {
			t.Fatal(err)
		}
		id = m.(*Selected).mailbox.id
		m.Close()
	}
	visit()
	if s.accounts[a.id].byID[id] == nil {
		t.Fatal("a small mailbox was dropped")
	}
	s.idle.limit = 1
	visit()
	if s.accounts[a.id].byID[id] != nil {
		t.Error("a mailbox stayed that takes more memory than there is")
	}
}
