package mail

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/imap"
)

// If this fails, an answer that was read before a change is believed after it, and mail
// goes to a mailbox that has another name by then.
func TestAnswerThatComesTooLate(t *testing.T) {
	var a answers[int]
	a.limit = 2
	_, state, _ := a.get("x")
	a.forget()
	a.add("x", 1, state)
	if v, _, ok := a.get("x"); ok {
		t.Fatalf("x is %d, which was so before the change", v)
	}
	for i, name := range []string{"x", "y", "z"} {
		_, state, _ = a.get(name)
		a.add(name, i, state)
		if v, _, ok := a.get(name); !ok || v != i {
			t.Errorf("%s is %d, %t; want %d", name, v, ok, i)
		}
	}
	if len(a.known) > a.limit {
		t.Errorf("%d names are known, at most %d may be", len(a.known), a.limit)
	}
}

// A name must stand for what it stands for now, however often it was asked before.
func TestNamesAreForgotten(t *testing.T) {
	_, a := newAccount(t)
	ctx := t.Context()
	if _, err := a.Create(ctx, "a", nil); err != nil {
		t.Fatal(err)
	}
	appendOne(t, a, "a", 1)
	first, err := a.Status(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Rename(ctx, "a", "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.NewUpload(ctx, "a", 1); !errors.Is(err, errTryCreate) {
		t.Errorf("upload for the old name: %v", err)
	}
	if st, err := a.Status(ctx, "b"); err != nil || st.ID != first.ID || st.Messages != 1 {
		t.Errorf("the new name: %+v, %v; want %+v", st, err, first)
	}
	if err := a.Delete(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.OpenMailbox(ctx, "b", false); !errors.Is(err, errNoMailbox) {
		t.Errorf("opening what was deleted: %v", err)
	}
	id, err := a.Create(ctx, "b", nil)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := a.Status(ctx, "b"); err != nil || st.ID != id || st.Messages != 0 {
		t.Errorf("the new mailbox of that name: %+v, %v; want an empty %s", st, err, id)
	}
}

// A user who was deleted must not come in, even if he is made anew with other mail.
func TestUsersAreForgotten(t *testing.T) {
	s, a := newAccount(t)
	ctx := t.Context()
	appendOne(t, a, "INBOX", 1)
	if _, err := s.User(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	err := s.UpdateAuth(ctx, "alice", func([]byte) ([]byte, error) { return []byte("new"), nil })
	if err != nil {
		t.Fatal(err)
	}
	if u, err := s.User(ctx, "alice"); err != nil || string(u.Auth) != "new" {
		t.Errorf("after the change: %q, %v", u.Auth, err)
	}
	if err := s.DeleteUser(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Account(ctx, "alice"); !errors.Is(err, ErrNoUser) {
		t.Errorf("after the deletion: %v", err)
	}
	if _, err := a.Status(ctx, imap.Inbox); !errors.Is(err, errNoMailbox) {
		t.Errorf("a session of the deleted user: %v", err)
	}
	if err := s.CreateUser(ctx, "alice", nil); err != nil {
		t.Fatal(err)
	}
	if st, err := openAccount(t, s).Status(ctx, imap.Inbox); err != nil || st.Messages != 0 {
		t.Errorf("the new user's INBOX: %+v, %v", st, err)
	}
}

// STATUS must say the same whether the mailbox is in memory or not.
func TestStatusOfViewAndHead(t *testing.T) {
	fs := vfs.NewMem()
	e := openEngine(t, fs)
	s := New(Options{Engine: e})
	if err := s.CreateUser(t.Context(), "alice", nil); err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	appendOne(t, a, "INBOX", 1)
	m, err := a.OpenMailbox(t.Context(), "INBOX", false)
	if err != nil {
		t.Fatal(err)
	}
	m.ClaimRecent(m.View())
	m.Close()
	appendOne(t, a, "INBOX", 2, imap.FlagSeen)
	appendOne(t, a, "INBOX", 3, imap.FlagDeleted)
	warm, err := a.Status(t.Context(), "INBOX")
	if err != nil || warm.Messages != 3 || warm.Recent != 2 || warm.Unseen != 2 || warm.Deleted != 1 {
		t.Fatalf("in memory: %+v, %v", warm, err)
	}
	a.Close()
	s.Close()
	other := New(Options{Engine: e})
	defer func() {
		other.Close()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	if a, err = other.Account(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if cold, err := a.Status(t.Context(), "INBOX"); err != nil || cold != warm {
		t.Errorf("from the head: %+v, %v; in memory: %+v", cold, err, warm)
	}
}
