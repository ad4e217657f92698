package mail

import (
	"testing"

	"tidemark/internal/store"
)

// Users must be told apart, and a new user of an old name must not see the old mail.
func TestUsers(t *testing.T) {
	s, a := newAccount(t)
	ctx := t.Context()
	appendOne(t, a, "INBOX", 1)
	if err := s.CreateUser(ctx, "alice", nil); err != ErrUserExists {
		t.Errorf("second alice: %v", err)
	}
	if err := s.UpdateAuth(ctx, "alice", func([]byte) ([]byte, error) { return []byte("x"), nil }); err != nil {
		t.Error(err)
	}
	if u, err := s.User(ctx, "alice"); err != nil || string(u.Auth) != "x" {
		t.Errorf("user %+v, %v", u, err)
	}
	if err := s.DeleteUser(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Account(ctx, "alice"); err != ErrNoUser {
		t.Errorf("deleted user: %v", err)
	}
	if err := s.CreateUser(ctx, "alice", nil); err != nil {
		t.Fatal(err)
	}
	if st, err := openAccount(t, s).Status(ctx, "INBOX"); err != nil || st.Messages != 0 {
		t.Errorf("new user's INBOX: %+v, %v", st, err)
	}
}

// If this fails, the mail of a user who was removed just before a crash stays on the disk for
// ever, and every check from then on reports it.
func TestBugCrashWhileUserIsRemoved(t *testing.T) {
	s, a := newAccount(t)
	ctx := t.Context()
	appendOne(t, a, "INBOX", 1)
	id, err := s.removeName(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	// There the machine stops.
	checkClean(t, s)
	if err := s.Collect(ctx, 0); err != nil {
		t.Fatal(err)
	}
	err = s.engine.View(ctx, id, func(r store.Reader) error {
		it := r.Scan(nil, nil, false)
		defer it.Close()
		for it.Next() {
			t.Errorf("%s is left", recordName(it.Key()))
		}
		return it.Close()
	})
	if err != nil {
		t.Error(err)
	}
	if left, err := s.removed(ctx); len(left) != 0 || err != nil {
		t.Errorf("still to be erased: %v, %v", left, err)
	}
}
