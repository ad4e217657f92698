package mail

import (
	"context"
	"testing"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store/embedded"
)

// coldSize is the number of messages of the mailbox that is opened.
const coldSize = 100_000

// diskAccount returns the account of a store in dir, and what closes it.
func diskAccount(b *testing.B, dir string) (*Account, func()) {
	b.Helper()
	e, err := embedded.Open(dir, embedded.Options{MinFree: -1, Ballast: -1})
	if err != nil {
		b.Fatal(err)
	}
	s := New(Options{Engine: e})
	if err := s.CreateUser(b.Context(), "alice", nil); err != nil && err != ErrUserExists {
		b.Fatal(err)
	}
	a, err := s.Account(b.Context(), "alice")
	if err != nil {
		b.Fatal(err)
	}
	return a, func() {
		a.Close()
		s.Close()
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	}
}

// fillCold makes a mailbox "big" as use would leave it: flags that differ, MODSEQs of many
// changes, UIDs with gaps, and a log that goes on after the snapshot.
func fillCold(b *testing.B, dir string, used bool) {
	b.Helper()
	a, stop := diskAccount(b, dir)
	defer stop()
	ctx := context.Background()
	const batch = 1000
	messages := make([]imapserver.AppendMessage, batch)
	for i := range messages {
		messages[i] = benchUpload(b, a, []byte("Subject: x\r\n\r\n"))
		if i%10 > 0 {
			messages[i].Flags = []imap.Flag{imap.FlagSeen}
		}
	}
	if _, err := a.Append(ctx, "INBOX", messages); err != nil {
		b.Fatal(err)
	}
	if _, err := a.Create(ctx, "big", nil); err != nil {
		b.Fatal(err)
	}
	inbox, big := openBench(b, a, "INBOX"), openBench(b, a, "big")
	defer inbox.Close()
	defer big.Close()
	for range coldSize / batch {
		if _, err := inbox.Copy(ctx, imap.NumSet{{Start: 1, Stop: batch}}, "big", false); err != nil {
			b.Fatal(err)
		}
	}
	if used {
		wearMailbox(b, big)
	}
	if _, _, err := big.update(ctx, func(c *change) error { return c.writeSnapshot() }); err != nil {
		b.Fatal(err)
	}
	if used {
		for i := range uint32(500) {
			storeFlag(b, big, imap.NumSetOf(i*150+1), "later")
		}
	}
}

func openBench(b *testing.B, a *Account, name string) *Selected {
	m, err := a.OpenMailbox(context.Background(), name, false)
	if err != nil {
		b.Fatal(err)
	}
	return m.(*Selected)
}

func storeFlag(b *testing.B, m *Selected, uids imap.NumSet, flag imap.Flag) {
	req := imapserver.StoreChange{UIDs: uids, Op: imap.StoreAdd, Flags: []imap.Flag{flag}}
	if _, err := m.Store(context.Background(), req); err != nil {
		b.Fatal(err)
	}
}

// wearMailbox changes flags of many messages one by one and in groups, and expunges each
// twentieth message.
func wearMailbox(b *testing.B, m *Selected) {
	for i := range uint32(2000) {
		flag := []imap.Flag{imap.FlagFlagged, imap.FlagAnswered, "$Forwarded", "work"}[i%4]
		storeFlag(b, m, imap.NumSetOf(i*49%coldSize+1), flag)
	}
	var deleted imap.NumSet
	for uid := uint32(7); uid <= coldSize; uid += 20 {
		deleted.Add(uid)
	}
	storeFlag(b, m, deleted, imap.FlagDeleted)
	if err := m.Expunge(context.Background(), nil); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpenCold opens a mailbox of 100,000 messages that nothing in memory knows of.
func BenchmarkOpenCold(b *testing.B) {
	for _, bc := range []struct {
		name string
		used bool
	}{{"new", false}, {"used", true}} {
		b.Run(bc.name, func(b *testing.B) {
			dir := b.TempDir()
			fillCold(b, dir, bc.used)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				a, stop := diskAccount(b, dir)
				b.StartTimer()
				m := openBench(b, a, "big")
				b.StopTimer()
				if m.View().Len() < coldSize*9/10 {
					b.Fatalf("%d messages", m.View().Len())
				}
				m.Close()
				stop()
				b.StartTimer()
			}
		})
	}
}
