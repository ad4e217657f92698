package mail

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/imap"
	"tidemark/internal/store"
)

// sickEngine reports damage that is not there.
type sickEngine struct {
	store.Engine
	account store.AccountID
	damage  []store.Damage
}

func (e *sickEngine) Verify(_ context.Context, id store.AccountID, report func(store.Damage)) error {
	if id == e.account {
		for _, d := range e.damage {
			report(d)
		}
	}
	return nil
}

// fillTwoMailboxes puts four messages into INBOX of account 1 and a copy of the second into
// Old, which has ID 2. It returns the blobs of the four.
func fillTwoMailboxes(t *testing.T, e store.Engine, a *Account) []store.BlobID {
	t.Helper()
	for i := range 4 {
		appendOne(t, a, "INBOX", i)
	}
	if _, err := a.Create(t.Context(), "Old", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := openMailbox(t, a, "INBOX").Copy(t.Context(), imap.NumSetOf[uint32](2), "Old", false); err != nil {
		t.Fatal(err)
	}
	var blobs []store.BlobID
	err := e.Blobs(t.Context(), 1, func(b store.BlobInfo) error {
		blobs = append(blobs, b.ID)
		return nil
	})
	if err != nil || len(blobs) != 4 {
		t.Fatalf("%d blobs, %v", len(blobs), err)
	}
	return blobs
}

// If this fails, an operator learns that something is damaged, but not whose mail.
func TestCheckNamesMessages(t *testing.T) {
	inner := openEngine(t, vfs.NewMem())
	defer inner.Close()
	e := &sickEngine{Engine: inner, account: 1}
	s := New(Options{Engine: e})
	defer s.Close()
	if err := s.CreateUser(t.Context(), "ann", nil); err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	blobs := fillTwoMailboxes(t, inner, a)
	const bad = "wrong checksum"
	for _, tc := range []struct {
		damage store.Damage
		want   []string
	}{
		{store.Damage{Key: emailKey(1), Text: bad}, []string{"ann/INBOX/1: the summary: wrong checksum"}},
		{store.Damage{Key: textKey(3), Text: bad}, []string{"ann/INBOX/3: the text for SEARCH: wrong checksum"}},
		{store.Damage{Blobs: true, Key: blobs[1][:], Text: bad}, []string{
			"ann/INBOX/2: the content is damaged: wrong checksum", "ann/Old/1: the content is damaged: wrong checksum",
		}},
		{store.Damage{Key: mailboxKey(2), Text: bad}, []string{"ann/Old/: the mailbox's head: wrong checksum"}},
		{store.Damage{Key: chunkKey(1, 1), Text: bad}, []string{"ann/INBOX/: the list of messages from UID 1 on: wrong checksum"}},
		{store.Damage{Key: logKey(1, 3), Text: bad}, []string{"ann/INBOX/: change 3: wrong checksum"}},
		{store.Damage{Key: nameKey("Gone"), Text: bad}, []string{"ann/Gone/: the record of the name: wrong checksum"}},
		{store.Damage{Key: accountKey, Text: bad}, []string{"ann//: the account's counters: wrong checksum"}},
		{store.Damage{Key: emailKey(1), Range: true, Until: emailKey(4), Text: "file keys/000001 is damaged"}, []string{
			"ann//: file keys/000001 is damaged; cannot be read, in part: summaries of messages",
			"ann/INBOX/2:3: cannot be read: file keys/000001 is damaged",
			"ann/Old/1: cannot be read: file keys/000001 is damaged",
		}},
		{store.Damage{Blobs: true, Key: blobs[2][:], Range: true, Text: "the disk"}, []string{
			"ann//: the disk; cannot be read, in part: content of messages", "ann/INBOX/4: cannot be read: the disk",
		}},
	} {
		e.damage = []store.Damage{tc.damage}
		var got []string
		sum, err := s.Check(t.Context(), "", func(p Problem) {
			got = append(got, fmt.Sprintf("%s/%s/%s: %s", p.User, p.Mailbox, p.UIDs, p.Text))
		})
		if strings.Join(got, "\n") != strings.Join(tc.want, "\n") || err != nil || sum.Problems != len(tc.want) {
			t.Errorf("%+v:\ngot  %q\nwant %q\n%+v, %v", tc.damage, got, tc.want, sum, err)
		}
	}
	e.account, e.damage = systemAccount, []store.Damage{{Key: userKey("ann"), Text: bad}}
	_, err = s.Check(t.Context(), "", func(p Problem) {
		if p != (Problem{User: "ann", Text: "the user's record: wrong checksum"}) {
			t.Errorf("%+v", p)
		}
	})
	if err != nil {
		t.Error(err)
	}
}
