package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/imap"
	"tidemark/internal/auth"
	"tidemark/internal/mail"
	"tidemark/internal/store/embedded"
	"tidemark/internal/testbed"
	"tidemark/internal/transfer"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// mailDirectory keeps the records of package auth, as the daemon's does.
type mailDirectory struct{ mail *mail.Service }

func (d mailDirectory) Credentials(ctx context.Context, user string) ([]byte, bool, error) {
	u, err := d.mail.User(ctx, user)
	if errors.Is(err, mail.ErrNoUser) {
		return nil, false, nil
	}
	return u.Auth, true, err
}

func (d mailDirectory) UpdateCredentials(ctx context.Context, user string, change func([]byte) ([]byte, error)) (bool, error) {
	err := d.mail.UpdateAuth(ctx, user, change)
	if errors.Is(err, mail.ErrNoUser) {
		return false, nil
	}
	return true, err
}

// newLocal returns a service on an empty store in memory, where no server runs.
func newLocal(t *testing.T) *Local { return newLocalWith(t, LocalOptions{}) }

// newLocalWith is newLocal with what the server in the same process would give.
func newLocalWith(t *testing.T, o LocalOptions) *Local {
	t.Helper()
	engine, err := embedded.Open("store", embedded.Options{FS: vfs.NewMem(), MinFree: -1, Ballast: -1})
	if err != nil {
		t.Fatal(err)
	}
	m := mail.New(mail.Options{Engine: engine, Limits: mail.Limits{MessageSize: 1 << 20}})
	t.Cleanup(func() {
		m.Close()
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	policy := auth.Policy{MinLength: 8}
	o.Mail, o.Users, o.Policy = m, auth.NewBuiltin(mailDirectory{m}, auth.NewHasher(), policy, nil), policy
	return NewLocal(o)
}

// both runs a test on the store itself and through the socket.
func both(t *testing.T, test func(*testing.T, Service)) {
	t.Run("local", func(t *testing.T) { test(t, newLocal(t)) })
	t.Run("socket", func(t *testing.T) { test(t, serve(t, newLocal(t), io.Discard)) })
}

func codeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// If this fails, users or mailboxes are not administered as they should be, here or
// through the socket.
func TestUsersAndMailboxes(t *testing.T) {
	both(t, func(t *testing.T, s Service) {
		ctx := t.Context()
		if err := s.AddUser(ctx, "Ann", rand.Text()); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			err  error
			want Code
		}{
			{s.AddUser(ctx, "ann", rand.Text()), Exists},
			{s.AddUser(ctx, "bob", "short"), Invalid},
			{s.AddUserHash(ctx, "bob", "{ROT13}x"), Invalid},
			{s.SetHash(ctx, "bob", "$6$abcdefgh$"), Invalid},
			{s.AddUser(ctx, "a b", rand.Text()), Invalid},
			{s.SetPassword(ctx, "bob", rand.Text()), NotFound},
			{s.SetDisabled(ctx, "bob", true), NotFound},
			{s.DeleteUser(ctx, "bob"), NotFound},
			{s.CreateMailbox(ctx, "bob", "x"), NotFound},
			{s.CreateMailbox(ctx, "ann", "INBOX"), Exists},
			{s.CreateMailbox(ctx, "ann", "a//b"), Invalid},
			{s.DeleteMailbox(ctx, "ann", "x"), NotFound},
			{s.RenameMailbox(ctx, "ann", "x", "y"), NotFound},
		} {
			if codeOf(c.err) != c.want {
				t.Errorf("%v: code %q, want %q", c.err, codeOf(c.err), c.want)
			}
		}
		for _, err := range []error{
			s.CreateMailbox(ctx, "ann", "Work/Plans"), s.RenameMailbox(ctx, "ann", "Work", "Done"), s.SetDisabled(ctx, "ann", true),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		users, err := s.Users(ctx)
		if err != nil || len(users) != 1 || users[0].Name != "ann" || !users[0].Disabled || users[0].Created.IsZero() {
			t.Errorf("Users: %+v, %v", users, err)
		}
		mailboxes, err := s.Mailboxes(ctx, "ANN")
		names := make([]string, len(mailboxes))
		for i, m := range mailboxes {
			names[i] = m.Name
		}
		if want := []string{"INBOX", "Done", "Done/Plans"}; err != nil || !slices.Equal(names, want) {
			t.Errorf("Mailboxes: %v, %v; want %v", names, err, want)
		}
		if err := s.DeleteUser(ctx, "ann"); err != nil {
			t.Error(err)
		}
		sum, err := s.Check(ctx, "", func(p Problem) { t.Errorf("problem: %+v", p) })
		if err != nil || sum.Problems != 0 {
			t.Errorf("Check: %+v, %v", sum, err)
		}
	})
}

// broken is a message whose content ends in an error.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = errors.New("the disk of the source is broken")
	}
	return n, err
}

func incoming(key, text string) transfer.Message {
	return transfer.Message{
		Key: key, Flags: []imap.Flag{imap.FlagSeen, "work"}, Size: int64(len(text)),
		Date: time.Date(2020, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
	}
}

// If this fails, an import stores something else than it was given, or loses the good
// messages for a bad one, or stores one twice; or an export does not return it.
func TestImportAndExport(t *testing.T) {
	both(t, func(t *testing.T, s Service) {
		ctx := t.Context()
		if err := s.AddUser(ctx, "ann", rand.Text()); err != nil {
			t.Fatal(err)
		}
		large := "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcde\r\n", 20_000)
		unreadable := incoming("unreadable", "Subject: x\r\n\r\n")
		unreadable.Open = func() (io.ReadCloser, error) {
			return io.NopCloser(broken{strings.NewReader("Subject: x\r\n\r\nbeginning")}), nil
		}
		batch := []transfer.Message{
			incoming("one", "Subject: one\r\n\r\n1\r\n"),
			incoming("nul", "Subject: nul\r\n\r\n\x00\r\n"),
			incoming("large", large),
			unreadable,
			incoming("too large", strings.Repeat("x", 2<<20)),
			incoming("last", ""),
		}
		target := NewTarget(s, "ann")
		if err := target.Create(ctx, transfer.Mailbox{Name: "In/Here", Subscribed: true}); err != nil {
			t.Fatal(err)
		}
		outcomes, err := target.Import(ctx, "In/Here", batch)
		if err != nil {
			t.Fatal(err)
		}
		var statuses []transfer.Status
		for _, o := range outcomes {
			statuses = append(statuses, o.Status)
		}
		want := []transfer.Status{transfer.Stored, transfer.Refused, transfer.Stored, transfer.Refused, transfer.Refused, transfer.Stored}
		if !slices.Equal(statuses, want) {
			t.Errorf("outcomes %+v, want %v", outcomes, want)
		}
		known, err := target.Known(ctx, "In/Here", []string{"one", "nul", "last", "never"})
		if err != nil || !slices.Equal(known, []bool{true, false, true, false}) {
			t.Errorf("Known: %v, %v", known, err)
		}
		if known, err := target.Known(ctx, "INBOX", []string{"one"}); err != nil || known[0] {
			t.Errorf("known in another mailbox: %v, %v", known, err)
		}
		exported := exportAll(t, s, "In/Here")
		if !reflect.DeepEqual(exported, []string{"Subject: one\r\n\r\n1\r\n", large, ""}) {
			t.Errorf("exported %d messages of other content", len(exported))
		}
		_, err = s.OpenMessage(ctx, "ann", "In/Here", 999)
		if codeOf(err) != NotFound {
			t.Errorf("OpenMessage of none: %v", err)
		}
		if _, err := s.Import(ctx, "ann", "Nowhere", slices.Values(batch[:1])); codeOf(err) != NotFound {
			t.Errorf("Import into no mailbox: %v", err)
		}
	})
}

func exportAll(t *testing.T, s Service, mailbox string) (texts []string) {
	t.Helper()
	for m, err := range NewSource(s, "ann").Messages(t.Context(), mailbox) {
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(m.Flags, []imap.Flag{imap.FlagSeen, "work"}) || m.Date.Format(time.RFC3339) != "2020-02-03T04:05:06+01:00" {
			t.Errorf("%s: flags %v, date %v", m.Key, m.Flags, m.Date)
		}
		r, err := m.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

// If this fails, what a broken-off import has brought in part is stored as a whole.
func TestImportBrokenOff(t *testing.T) {
	both(t, func(t *testing.T, s Service) {
		if err := s.AddUser(t.Context(), "ann", rand.Text()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var endless iter.Seq[transfer.Message] = func(yield func(transfer.Message) bool) {
			for i := range 100 {
				if i == 10 {
					cancel()
				}
				if !yield(incoming(string(rune('a'+i)), "Subject: x\r\n\r\n")) {
					return
				}
			}
		}
		if _, err := s.Import(ctx, "ann", "INBOX", endless); err == nil {
			t.Error("no error")
		}
		if sum, err := s.Check(t.Context(), "ann", func(p Problem) { t.Errorf("problem: %+v", p) }); err != nil || sum.Messages != 0 {
			t.Errorf("stored %d messages; %v", sum.Messages, err)
		}
	})
}
