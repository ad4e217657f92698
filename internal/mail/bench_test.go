package mail

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store/embedded"
)

// benchSize is the number of messages of the mailbox that is measured.
const benchSize = 20_000

// benchAccount returns an account in memory, so that what is measured is our own work
// and not the disk's.
func benchAccount(b *testing.B) *Account {
	b.Helper()
	e, err := embedded.Open("store", embedded.Options{FS: vfs.NewMem(), MinFree: -1, Ballast: -1})
	if err != nil {
		b.Fatal(err)
	}
	s := New(Options{Engine: e})
	if err := s.CreateUser(b.Context(), "alice", nil); err != nil {
		b.Fatal(err)
	}
	a := openAccount(b, s)
	b.Cleanup(func() {
		a.Close()
		s.Close()
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	return a
}

// benchMailbox returns the inbox with benchSize messages, each tenth of which is unseen.
func benchMailbox(b *testing.B) *Selected {
	b.Helper()
	a := benchAccount(b)
	const batch = 1000
	for n := 0; n < benchSize; n += batch {
		messages := make([]imapserver.AppendMessage, batch)
		for i := range messages {
			messages[i] = benchUpload(b, a, fmt.Appendf(nil, testMessage, n+i, n+i, n+i))
			if i%10 > 0 {
				messages[i].Flags = []imap.Flag{imap.FlagSeen}
			}
		}
		if _, err := a.Append(context.Background(), "INBOX", messages); err != nil {
			b.Fatal(err)
		}
	}
	return openMailbox(b, a, "INBOX")
}

func benchUpload(b testing.TB, a *Account, text []byte) imapserver.AppendMessage {
	up, err := a.NewUpload(context.Background(), "INBOX", int64(len(text)))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := up.Write(text); err != nil {
		b.Fatal(err)
	}
	return imapserver.AppendMessage{Upload: up}
}

// flagged returns a log record that flags or unflags one message in the middle.
func flagged(set bool) *logRecord {
	c := flagChange{UIDs: imap.NumSetOf[uint32](benchSize / 2)}
	if set {
		c.Add = flagBits([]byte{1 << bitFlagged})
	} else {
		c.Remove = flagBits([]byte{1 << bitFlagged})
	}
	return &logRecord{Flags: []flagChange{c}}
}

// BenchmarkViewApply makes the next version of a mailbox from the change of one message.
func BenchmarkViewApply(b *testing.B) {
	v := benchMailbox(b).View().(*view)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		next, err := v.apply(nil, flagged(i%2 == 0), v.modseq+1, v.keywords)
		if err != nil {
			b.Fatal(err)
		}
		v = next
	}
}

// BenchmarkDelta finds the one message that has changed between two versions.
func BenchmarkDelta(b *testing.B) {
	old := benchMailbox(b).View().(*view)
	v, err := old.apply(nil, flagged(true), old.modseq+1, old.keywords)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if d := v.Delta(old); d.Changed.Count() != 1 {
			b.Fatalf("%d changes", d.Changed.Count())
		}
	}
}

// BenchmarkDeltaOfAppend finds the one message that a version has more than the other.
func BenchmarkDeltaOfAppend(b *testing.B) {
	m := benchMailbox(b)
	old := m.View()
	message := benchUpload(b, m.acct, fmt.Appendf(nil, testMessage, 1, 1, 1))
	if _, err := m.acct.Append(b.Context(), "INBOX", []imapserver.AppendMessage{message}); err != nil {
		b.Fatal(err)
	}
	v := m.View()
	b.ReportAllocs()
	for b.Loop() {
		if d := v.Delta(old); d.Added != 1 {
			b.Fatalf("%d new messages", d.Added)
		}
	}
}

// BenchmarkSearchColumns answers SEARCH UNSEEN from the columns.
func BenchmarkSearchColumns(b *testing.B) {
	m := benchMailbox(b)
	v := m.View()
	b.ReportAllocs()
	for b.Loop() {
		hits, err := m.Search(context.Background(), v, imap.SearchFlag{Flag: imap.FlagSeen, Not: true})
		if err != nil || hits.Count() != benchSize/10 {
			b.Fatalf("%d messages, %v", hits.Count(), err)
		}
	}
}

// BenchmarkAppend takes in a message of 6 KB, scans it and commits it.
func BenchmarkAppend(b *testing.B) {
	a := benchAccount(b)
	text := append(fmt.Appendf(nil, testMessage, 1, 1, 1), bytes.Repeat([]byte("some text of a message\r\n"), 250)...)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Append(context.Background(), "INBOX", []imapserver.AppendMessage{benchUpload(b, a, text)}); err != nil {
			b.Fatal(err)
		}
	}
}

// benchTexts returns a mailbox whose text columns are written.
func benchTexts(b *testing.B) (m *Selected, v imapserver.View, all imap.NumSet) {
	m = benchMailbox(b)
	if err := m.writeTexts(context.Background()); err != nil {
		b.Fatal(err)
	}
	v = m.View()
	return m, v, imap.NumSet{{Start: 1, Stop: benchSize}}
}

// BenchmarkSearchSubject looks for a text in all subjects.
func BenchmarkSearchSubject(b *testing.B) {
	m, v, _ := benchTexts(b)
	b.ReportAllocs()
	for b.Loop() {
		hits, err := m.Search(context.Background(), v, imap.SearchHeader{Name: "Subject", Value: "t\u00e9st 777"})
		if err != nil || hits.Count() != 11 {
			b.Fatalf("%d messages, %v", hits.Count(), err)
		}
	}
}

// BenchmarkSortSubject sorts by base subject, which differ late.
func BenchmarkSortSubject(b *testing.B) {
	m, v, all := benchTexts(b)
	b.ReportAllocs()
	for b.Loop() {
		sorted, err := m.Sort(context.Background(), v, []imap.SortKey{{Field: imap.SortSubject}}, all)
		if err != nil || len(sorted) != benchSize {
			b.Fatalf("%d messages, %v", len(sorted), err)
		}
	}
}

// BenchmarkThreadReferences threads messages that stand alone.
func BenchmarkThreadReferences(b *testing.B) {
	m, v, all := benchTexts(b)
	b.ReportAllocs()
	for b.Loop() {
		threads, err := m.Thread(context.Background(), v, imap.ThreadReferences, all)
		if err != nil || len(threads) != benchSize {
			b.Fatalf("%d threads, %v", len(threads), err)
		}
	}
}
