package mail

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store/embedded"
	"tidemark/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

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

// codeOf is the code of a refusal; empty if err is none.
func codeOf(err error) imap.Code {
	if refusal, ok := errors.AsType[*imap.Error](err); ok {
		return refusal.Code
	}
	return ""
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
	next, stop := iter.Pull2(m.Messages(t.Context(), details))
	defer stop()
	msg, err, _ := next()
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
