package mail

import (
	"strings"
	"testing"

	"tidemark/imap"
)

// Mailbox names must follow RFC 9051 §6.3.4 to §6.3.9: parents made, INBOX special,
// subscriptions kept, special uses not given twice.
func TestNames(t *testing.T) {
	_, a := newAccount(t)
	ctx := t.Context()
	step := func(what string, err error, code imap.Code) {
		t.Helper()
		switch {
		case code == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case code != "" && err == nil:
			t.Errorf("%s: worked, want %s", what, code)
		case code != "" && codeOf(err) != code:
			t.Errorf("%s: %v, want %s", what, err, code)
		}
	}
	create := func(name string, uses ...imap.MailboxAttr) error {
		_, err := a.Create(ctx, name, uses)
		return err
	}
	step("create INBOX", create("iNbOx"), imap.CodeAlreadyExists)
	step("create a/b/c", create("a/b/c"), "")
	step("create a", create("a"), imap.CodeAlreadyExists)
	step("create x/", create("x/"), "")
	step("create with a control character", create("a\x01"), imap.CodeCannot)
	step("create Sent", create("Sent"), "")
	step("create a second sent", create("Other", imap.AttrSent), imap.CodeUseAttr)
	step("subscribe", a.Subscribe(ctx, "a/b", true), "")
	step("delete a/b", a.Delete(ctx, "a/b"), "")
	step("delete a/b again", a.Delete(ctx, "a/b"), imap.CodeHasChildren)
	step("delete nothing", a.Delete(ctx, "none"), imap.CodeNonExistent)
	step("delete INBOX", a.Delete(ctx, "INBOX"), imap.CodeCannot)
	step("rename below itself", a.Rename(ctx, "a", "a/z"), imap.CodeCannot)
	step("rename tree", a.Rename(ctx, "a", "new/place"), "")
	step("rename to what exists", a.Rename(ctx, "x", "Sent"), imap.CodeAlreadyExists)
	step("rename nothing", a.Rename(ctx, "none", "y"), imap.CodeNonExistent)
	want := "INBOX(s) Sent a/b(sn) new new/place new/place/b/c x"
	if got := listing(t, a); got != want {
		t.Errorf("list %q, want %q", got, want)
	}
}

func listing(t *testing.T, a *Account) string {
	t.Helper()
	infos, err := a.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, i := range infos {
		marks := ""
		if i.Subscribed {
			marks += "s"
		}
		if i.NonExistent {
			marks += "n"
		}
		if marks != "" {
			marks = "(" + marks + ")"
		}
		words = append(words, i.Name+marks)
	}
	return strings.Join(words, " ")
}

// RENAME of INBOX moves its messages and leaves INBOX, with new UIDs to come
// (RFC 9051 §6.3.6).
func TestRenameInbox(t *testing.T) {
	_, a := newAccount(t)
	appendOne(t, a, "INBOX", 1)
	appendOne(t, a, "INBOX", 2)
	if err := a.Rename(t.Context(), "INBOX", "old"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint32{"INBOX": 0, "old": 2} {
		st, err := a.Status(t.Context(), name)
		if err != nil || st.Messages != want || st.UIDNext != 3 {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
	}
}

// A deleted mailbox must tell the sessions that have it open, and its successor of the
// same name must have a larger UIDVALIDITY.
func TestDeleteWhileOpen(t *testing.T) {
	_, a := newAccount(t)
	ctx := t.Context()
	if _, err := a.Create(ctx, "box", nil); err != nil {
		t.Fatal(err)
	}
	appendOne(t, a, "box", 1)
	m := openMailbox(t, a, "box")
	woken := make(chan struct{}, 1)
	defer m.Watch(func() { woken <- struct{}{} })()
	if err := a.Delete(ctx, "box"); err != nil {
		t.Fatal(err)
	}
	<-woken
	if !m.Gone() {
		t.Error("session does not see that its mailbox is gone")
	}
	if err := m.Expunge(ctx, nil); err == nil {
		t.Error("a deleted mailbox takes changes")
	}
	if _, err := a.Create(ctx, "box", nil); err != nil {
		t.Fatal(err)
	}
	if next := openMailbox(t, a, "box"); next.UIDValidity() <= m.UIDValidity() {
		t.Errorf("UIDVALIDITY %d after %d", next.UIDValidity(), m.UIDValidity())
	}
}
