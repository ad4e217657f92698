package mail

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/imap"
	"tidemark/internal/store"
	"tidemark/internal/testbed"
)

// Content must go when the last message that has it is expunged, and not before.
func TestCollect(t *testing.T) {
	s, a := newAccount(t)
	ctx := t.Context()
	if _, err := a.Create(ctx, "copy", nil); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		appendOne(t, a, "INBOX", i, imap.FlagDeleted)
	}
	inbox := openMailbox(t, a, "INBOX")
	if _, err := inbox.Copy(ctx, imap.NumSetOf[uint32](2), "copy", false); err != nil {
		t.Fatal(err)
	}
	if err := inbox.Expunge(ctx, nil); err != nil {
		t.Fatal(err)
	}
	wantBlobs := func(want int) {
		t.Helper()
		if err := s.Collect(ctx, 0); err != nil {
			t.Fatal(err)
		}
		n := 0
		s.engine.Blobs(ctx, a.id, func(store.BlobInfo) error { n++; return nil })
		if n != want {
			t.Errorf("%d blobs, want %d", n, want)
		}
	}
	wantBlobs(1)
	if err := a.Delete(ctx, "copy"); err != nil {
		t.Fatal(err)
	}
	wantBlobs(0)
}

// userWhoExpunged makes a user whose only message has been expunged, and opens the account.
func userWhoExpunged(t *testing.T, s *Service, name string) *Account {
	t.Helper()
	if err := s.CreateUser(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	appendOne(t, a, "INBOX", 1, imap.FlagDeleted)
	if err := openMailbox(t, a, "INBOX").Expunge(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return a
}

// If this fails, one account with damaged data keeps the expunged mail of all others on the
// disk for ever.
func TestBugDamageStopsCollection(t *testing.T) {
	e := openEngine(t, vfs.NewMem())
	defer e.Close()
	s := New(Options{Engine: e})
	defer s.Close()
	accounts := make([]*Account, 2)
	for i, user := range []string{"alice", "bob"} {
		accounts[i] = userWhoExpunged(t, s, user)
		defer accounts[i].Close()
	}
	err := e.Update(t.Context(), accounts[0].id, func(tx store.Tx) error {
		tx.Set(garbageKey(1), []byte("damaged"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Collect(t.Context(), 0); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("the damage is not told of: %v", err)
	}
	if err := e.Blobs(t.Context(), accounts[1].id, func(store.BlobInfo) error { return errors.New("still there") }); err != nil {
		t.Errorf("content of the account that is whole: %v", err)
	}
}

// fullEngine refuses new content while full is set, as on a disk without room.
type fullEngine struct {
	store.Engine
	full atomic.Bool
}

func (e *fullEngine) NewBlob(ctx context.Context, id store.AccountID, size int64) (store.BlobWriter, error) {
	if e.full.Load() {
		return nil, store.ErrFull
	}
	return e.Engine.NewBlob(ctx, id, size)
}

// Whoever expunges mail on a full disk must have the room at once, not after the time for
// which expunged content usually stays.
func TestFullDiskFreesExpunged(t *testing.T) {
	inner := openEngine(t, vfs.NewMem())
	defer inner.Close()
	e := &fullEngine{Engine: inner}
	s := New(Options{Engine: e})
	defer s.Close()
	a := userWhoExpunged(t, s, "alice")
	defer a.Close()
	e.full.Store(true)
	if _, err := a.NewUpload(t.Context(), "INBOX", 1); codeOf(err) != imap.CodeOverQuota {
		t.Fatalf("append on a full disk: %v", err)
	}
	blobs := func() (n int) {
		inner.Blobs(t.Context(), a.id, func(store.BlobInfo) error { n++; return nil })
		return n
	}
	for deadline := time.Now().Add(testbed.Patience); blobs() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("expunged content is still there")
		}
	}
}
