package mail

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
	"tidemark/internal/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openEngine returns an engine on fs that runs every transaction twice.
func openEngine(t testing.TB, fs vfs.FS) *embedded.Engine {
	t.Helper()
	e, err := embedded.Open("store", embedded.Options{FS: fs, MinFree: -1, Ballast: -1, RunTwice: true})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// newAccount returns a service on a fresh store and the account of its one user. When the
// test ends the store is checked and closed.
func newAccount(t testing.TB) (*Service, *Account) {
	t.Helper()
	e := openEngine(t, vfs.NewMem())
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	s := New(Options{Engine: e})
	t.Cleanup(func() {
		checkClean(t, s)
		s.Close()
	})
	if err := s.CreateUser(t.Context(), "alice", nil); err != nil {
		t.Fatal(err)
	}
	return s, openAccount(t, s)
}

func openAccount(t testing.TB, s *Service) *Account {
	t.Helper()
	a, err := s.Account(context.Background(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func checkClean(t interface {
	Helper()
	Errorf(string, ...any)
}, s *Service) {
	t.Helper()
	_, err := s.Check(context.Background(), "", func(p Problem) { t.Errorf("check: %s: %s", p.User, p.Text) })
	if err != nil {
		t.Errorf("check: %v", err)
	}
}

const testMessage = "Subject: T\u00e9st %d\r\nFrom: Ann <ann@example.org>\r\nDate: Mon, 7 Feb 1994 21:52:25 -0800\r\n" +
	"Message-ID: <%d@example.org>\r\n\r\nThe body of message %d.\r\n"

// appendOne appends a message and returns its UID.
func appendOne(t testing.TB, a *Account, mailbox string, n int, flags ...imap.Flag) uint32 {
	t.Helper()
	text := strings.ReplaceAll(testMessage, "%d", fmt.Sprint(n))
	up, err := a.NewUpload(context.Background(), mailbox, int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	res, err := a.Append(context.Background(), mailbox, []imapserver.AppendMessage{{Upload: up, Flags: flags}})
	if err != nil {
		t.Fatal(err)
	}
	return res.UIDs.Min()
}

func openMailbox(t testing.TB, a *Account, name string) *Selected {
	t.Helper()
	m, err := a.OpenMailbox(context.Background(), name, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m.(*Selected)
}

// An appended message must come back byte for byte, with its flags and the numbers of
// RFC 9051 §2.3.1.
func TestAppendAndRead(t *testing.T) {
	_, a := newAccount(t)
	uid := appendOne(t, a, "INBOX", 1, imap.FlagSeen, "$Forwarded")
	m := openMailbox(t, a, "inbox")
	v := m.View()
	if v.Len() != 1 || v.UID(1) != imap.UID(uid) || v.UIDNext() != imap.UID(uid)+1 || v.ModSeq() != 2 {
		t.Fatalf("view: %d messages, UIDNEXT %d, MODSEQ %d", v.Len(), v.UIDNext(), v.ModSeq())
	}
	row := v.Row(1)
	if got := row.Flags.Wire(); got != `\Seen $Forwarded` {
		t.Errorf("flags %q", got)
	}
	details, err := m.Details(t.Context(), v, imap.NumSetOf[uint32](1))
	if err != nil {
		t.Fatal(err)
	}
	msg, err := m.Message(t.Context(), details[0])
	if err != nil {
		t.Fatal(err)
	}
	defer msg.Close()
	for _, tc := range []struct {
		section imap.Section
		want    string
	}{
		{imap.Section{}, strings.ReplaceAll(testMessage, "%d", "1")},
		{imap.Section{Text: imap.SectionBody}, "The body of message 1.\r\n"},
		{imap.Section{Text: imap.SectionHeaderFields, Fields: []string{"SUBJECT"}}, "Subject: T\u00e9st 1\r\n\r\n"},
	} {
		c, err := msg.Section(tc.section)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := c.WriteRange(&b, 0, c.Size()); err != nil || b.String() != tc.want {
			t.Errorf("section %v: %q, %v", tc.section, b.String(), err)
		}
	}
	err = m.Summaries(t.Context(), details, func(_ int, s imapserver.Summary) error {
		if !strings.Contains(string(s.Envelope()), `"ann" "example.org"`) {
			t.Errorf("envelope %s", s.Envelope())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Mailbox names must follow RFC 9051 §6.3.4 to §6.3.9: parents made, INBOX special,
// subscriptions kept, special uses not given twice.
func TestNames(t *testing.T) {
	_, a := newAccount(t)
	ctx := t.Context()
	step := func(what string, err error, code imap.Code) {
		t.Helper()
		var refusal *imap.Error
		switch {
		case code == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case code != "" && err == nil:
			t.Errorf("%s: worked, want %s", what, code)
		case code != "" && (!asError(err, &refusal) || refusal.Code != code):
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

// If this fails, one account with damaged data keeps the expunged mail of all others on the
// disk for ever.
func TestBugDamageStopsCollection(t *testing.T) {
	e := openEngine(t, vfs.NewMem())
	defer e.Close()
	s := New(Options{Engine: e})
	defer s.Close()
	accounts := make([]*Account, 2)
	for i, user := range []string{"alice", "bob"} {
		if err := s.CreateUser(t.Context(), user, nil); err != nil {
			t.Fatal(err)
		}
		a, err := s.Account(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		appendOne(t, a, "INBOX", 1, imap.FlagDeleted)
		m := openMailbox(t, a, "INBOX")
		if err := m.Expunge(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		accounts[i] = a
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
	if err := s.CreateUser(t.Context(), "alice", nil); err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	appendOne(t, a, "INBOX", 1, imap.FlagDeleted)
	m := openMailbox(t, a, "INBOX")
	if err := m.Expunge(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	e.full.Store(true)
	var refusal *imap.Error
	if _, err := a.NewUpload(t.Context(), "INBOX", 1); !asError(err, &refusal) || refusal.Code != imap.CodeOverQuota {
		t.Fatalf("append on a full disk: %v", err)
	}
	blobs := func() (n int) {
		inner.Blobs(t.Context(), a.id, func(store.BlobInfo) error { n++; return nil })
		return n
	}
	for deadline := time.Now().Add(5 * time.Second); blobs() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("expunged content is still there")
		}
	}
}

// tornEngine cannot get to the end of one account.
type tornEngine struct {
	store.Engine
	torn store.AccountID
}

func (e *tornEngine) Verify(ctx context.Context, id store.AccountID, report func(store.Damage)) error {
	if id == e.torn {
		return fmt.Errorf("keys: %w", store.ErrCorrupt)
	}
	return e.Engine.Verify(ctx, id, report)
}

// One damaged account must not keep the others from being checked.
func TestBugDamageStopsCheck(t *testing.T) {
	inner := openEngine(t, vfs.NewMem())
	defer inner.Close()
	s := New(Options{Engine: &tornEngine{inner, 1}})
	defer s.Close()
	for _, name := range []string{"alice", "bob"} {
		if err := s.CreateUser(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	var problems []Problem
	sum, err := s.Check(t.Context(), "", func(p Problem) { problems = append(problems, p) })
	if err != nil || len(problems) != 1 || problems[0].User != "alice" || sum.Mailboxes != 2 || sum.Problems != 1 {
		t.Errorf("problems %v, %+v, %v", problems, sum, err)
	}
}

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
	var refusal *imap.Error
	if !asError(err, &refusal) || refusal.Code != imap.CodeLimit {
		t.Errorf("a keyword of %d octets: %v", maxKeyword+1, err)
	}
}

// \Recent goes to one session only, and to none that just looks (RFC 3501 §2.3.2).
func TestRecent(t *testing.T) {
	_, a := newAccount(t)
	appendOne(t, a, "INBOX", 1)
	status := func(want uint32) {
		t.Helper()
		if st, err := a.Status(t.Context(), "INBOX"); err != nil || st.Recent != want {
			t.Errorf("RECENT %d, want %d (%v)", st.Recent, want, err)
		}
	}
	look, err := a.OpenMailbox(t.Context(), "INBOX", true)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close()
	if got := look.ClaimRecent(look.View()); got != 1 {
		t.Errorf("EXAMINE: recent from %d", got)
	}
	status(1)
	m := openMailbox(t, a, "INBOX")
	if got := m.ClaimRecent(m.View()); got != 1 {
		t.Errorf("SELECT: recent from %d", got)
	}
	status(0)
	appendOne(t, a, "INBOX", 2)
	status(1)
	if got := m.ClaimRecent(m.View()); got != 2 {
		t.Errorf("second SELECT: recent from %d", got)
	}
}

// The same import must store each message once (issue: no duplicates when run twice).
func TestImportTwice(t *testing.T) {
	_, a := newAccount(t)
	for round, want := range []int{2, 0} {
		var batch []ImportMessage
		for i := range 2 {
			up, err := a.NewImport(t.Context(), 100)
			if err != nil {
				t.Fatal(err)
			}
			defer up.Abort()
			fmt.Fprintf(up.(*Upload), "Subject: %d\r\n\r\n", i)
			batch = append(batch, ImportMessage{Key: []byte{byte(i)}, Upload: up, Date: time.Unix(1e9, 0)})
		}
		n, err := a.Import(t.Context(), "INBOX", batch)
		if err != nil || n != want {
			t.Errorf("round %d: stored %d, want %d (%v)", round, n, want, err)
		}
	}
	known, err := a.Imported(t.Context(), [][]byte{{0}, {7}})
	if err != nil || !known[0] || known[1] {
		t.Errorf("known %v, %v", known, err)
	}
}

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
