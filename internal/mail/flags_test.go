package mail

import (
	"fmt"
	"strings"
	"testing"

	"tidemark/imap"
	"tidemark/imapserver"
)

// A failed transaction must leave no trace, not even of a keyword that it met first.
func TestKeywordLimit(t *testing.T) {
	s, a := newAccount(t)
	s.limits.Keywords = 2
	appendOne(t, a, "INBOX", 1)
	m := openMailbox(t, a, "INBOX")
	set := func(op imap.StoreOp, flags ...imap.Flag) error {
		_, err := m.Store(t.Context(), imapserver.StoreChange{UIDs: imap.NumSetOf[uint32](1), Op: op, Flags: flags})
		return err
	}
	if err := set(imap.StoreAdd, "one", "two", "three"); err == nil {
		t.Error("three keywords where two are allowed")
	}
	if err := set(imap.StoreAdd, "other", "more"); err != nil {
		t.Fatal(err)
	}
	if got := m.View().Row(1).Flags.Wire(); got != "other more" {
		t.Errorf("flags %q", got)
	}
	if err := set(imap.StoreRemove, "OTHER", "unheard-of"); err != nil {
		t.Fatal(err)
	}
	if got := m.View().Row(1).Flags.Wire(); got != "more" {
		t.Errorf("flags %q", got)
	}
}

// A mailbox with a different set of keywords for each message must stay usable, and must
// not keep all their names in memory; a keyword without end is refused.
func TestManyFlagSets(t *testing.T) {
	_, a := newAccount(t)
	var msgs []imapserver.AppendMessage
	for i := range keptFlagSets + 50 {
		up, err := a.NewUpload(t.Context(), "INBOX", 10)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(up, "X: %d\r\n\r\n", i)
		var flags []imap.Flag
		for bit := range 13 {
			if (i+1)&(1<<bit) != 0 {
				flags = append(flags, imap.Flag(fmt.Sprintf("keyword%02d", bit)))
			}
		}
		msgs = append(msgs, imapserver.AppendMessage{Upload: up, Flags: flags})
	}
	if _, err := a.Append(t.Context(), "INBOX", msgs); err != nil {
		t.Fatal(err)
	}
	m := openMailbox(t, a, "INBOX")
	v := m.View()
	for n := range v.Len() {
		row := v.Row(imap.SeqNum(n + 1))
		for bit := range 13 {
			if got := row.Flags.Has(imap.Flag(fmt.Sprintf("KEYWORD%02d", bit))); got != ((n+1)&(1<<bit) != 0) {
				t.Fatalf("message %d has flags %s", n+1, row.Flags.Wire())
			}
		}
	}
	if last := v.(*view).sets[len(v.(*view).sets)-1]; last.set != nil {
		t.Error("all flag sets are kept in memory with their names")
	}
	_, err := m.Store(t.Context(), imapserver.StoreChange{
		UIDs: imap.NumSetOf[uint32](1), Op: imap.StoreAdd, Flags: []imap.Flag{imap.Flag(strings.Repeat("k", maxKeyword+1))},
	})
	if codeOf(err) != imap.CodeLimit {
		t.Errorf("a keyword of %d octets: %v", maxKeyword+1, err)
	}
}
