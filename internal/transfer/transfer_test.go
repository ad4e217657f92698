package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tidemark/imap"
	"tidemark/internal/maildir"
)

// account is a Source and Target in memory.
type account struct {
	order      []string
	boxes      map[string][]stored
	keys       map[string]bool // mailbox and key, also of messages that were deleted
	subscribed map[string]bool
	limit      int64 // larger messages are refused, if not 0
	after      func(stored int)
}

type stored struct {
	key   string
	flags []imap.Flag
	date  time.Time
	text  string
}

func newAccount() *account {
	return &account{boxes: make(map[string][]stored), keys: make(map[string]bool), subscribed: make(map[string]bool)}
}

func (a *account) Create(_ context.Context, m Mailbox) error {
	if strings.Contains(m.Name, "bad") {
		return imap.Refuse(imap.CodeCannot, "bad name")
	}
	if _, ok := a.boxes[m.Name]; !ok {
		a.order = append(a.order, m.Name)
		a.boxes[m.Name] = nil
	}
	a.subscribed[m.Name] = a.subscribed[m.Name] || m.Subscribed
	return nil
}

func (a *account) Known(_ context.Context, mailbox string, keys []string) ([]bool, error) {
	known := make([]bool, len(keys))
	for i, k := range keys {
		known[i] = a.keys[mailbox+" "+k]
	}
	return known, nil
}

func (a *account) Import(_ context.Context, mailbox string, batch []Message) ([]Outcome, error) {
	outcomes := make([]Outcome, len(batch))
	for i, m := range batch {
		r, err := m.Open()
		if err != nil {
			outcomes[i] = Outcome{Refused, err.Error()}
			continue
		}
		text, err := io.ReadAll(r)
		r.Close()
		switch {
		case err != nil:
			outcomes[i] = Outcome{Refused, err.Error()}
			continue
		case strings.Contains(string(text), "\x00"):
			outcomes[i] = Outcome{Refused, "message has a NUL"}
			continue
		case a.limit > 0 && int64(len(text)) > a.limit:
			outcomes[i] = Outcome{Refused, "message is too large"}
			continue
		}
		a.boxes[mailbox] = append(a.boxes[mailbox], stored{m.Key, m.Flags, m.Date, string(text)})
		a.keys[mailbox+" "+m.Key] = true
	}
	if a.after != nil {
		a.after(len(a.keys))
	}
	return outcomes, nil
}

func (a *account) Mailboxes(context.Context) ([]Mailbox, error) {
	var all []Mailbox
	for _, name := range a.order {
		all = append(all, Mailbox{Name: name, Subscribed: a.subscribed[name], Messages: len(a.boxes[name])})
	}
	return all, nil
}

func (a *account) Messages(_ context.Context, mailbox string) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for _, s := range a.boxes[mailbox] {
			m := Message{Key: s.key, Name: s.key, Flags: s.flags, Date: s.date, Size: int64(len(s.text)), Open: func() (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader(s.text)), nil
			}}
			if !yield(m, nil) {
				return
			}
		}
	}
}

// texts returns the messages of a mailbox, sorted.
func (a *account) texts(mailbox string) []string {
	var t []string
	for _, s := range a.boxes[mailbox] {
		t = append(t, s.text)
	}
	slices.Sort(t)
	return t
}

// writeMaildir makes a Maildir with n messages in INBOX.
func writeMaildir(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		writeFile(t, filepath.Join(dir, "cur", fmt.Sprintf("%d.M%d.host:2,S", 1e9+i, i)), fmt.Sprintf("Subject: %d\n\nx\n", i))
	}
	return dir
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// importMaildir copies a Maildir into an account.
func importMaildir(ctx context.Context, t *testing.T, a *account, dir string, o Options) (Report, error) {
	t.Helper()
	src, err := OpenMaildir(dir, maildir.Auto)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	return Copy(ctx, a, src, o)
}

func check(t *testing.T, r Report, err error, stored, known, refused int) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if r.Stored != stored || r.Known != known || r.Refused != refused {
		t.Errorf("stored %d, known %d, refused %d; want %d, %d, %d; %v", r.Stored, r.Known, r.Refused, stored, known, refused, r.Problems)
	}
}

// If this failed, an import that was broken off, or run twice, would lose or double mail,
// or put back what the user has changed since.
func TestImportResumes(t *testing.T) {
	const n = 2*batchMessages + 100
	dir := writeMaildir(t, n)
	a := newAccount()
	ctx, cancel := context.WithCancel(context.Background())
	a.after = func(stored int) {
		if stored >= batchMessages {
			cancel()
		}
	}
	r, err := importMaildir(ctx, t, a, dir, Options{})
	if !errors.Is(err, context.Canceled) || r.Stored == 0 || r.Stored == n || r.Found != 1 || r.Mailboxes != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	a.after = nil
	first := r.Stored

	// What the user deletes or marks meanwhile must stay so.
	a.boxes["INBOX"] = a.boxes["INBOX"][1:]
	a.boxes["INBOX"][0].flags = nil

	r, err = importMaildir(context.Background(), t, a, dir, Options{})
	check(t, r, err, n-first, first, 0)
	r, err = importMaildir(context.Background(), t, a, dir, Options{})
	check(t, r, err, 0, n, 0)
	if got := len(a.boxes["INBOX"]); got != n-1 || a.boxes["INBOX"][0].flags != nil {
		t.Errorf("%d messages, want %d; flags %q", got, n-1, a.boxes["INBOX"][0].flags)
	}
	if a.boxes["INBOX"][n-2].text != fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", n-1) {
		t.Error("messages are not in the order of their arrival")
	}
}

// If this failed, one bad message or mailbox would stop a migration, or vanish from the
// account without a word.
func TestBadMessages(t *testing.T) {
	dir := writeMaildir(t, 3)
	writeFile(t, filepath.Join(dir, "cur/1.nul.host:2,"), "a\x00b\n")
	writeFile(t, filepath.Join(dir, "cur/2.large.host:2,"), strings.Repeat("x", 1000))
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "cur/3.link.host:2,")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, ".bad/cur/1.a.host:2,"), "a\n")
	a := newAccount()
	a.limit = 500
	var last Progress
	r, err := importMaildir(context.Background(), t, a, dir, Options{Progress: func(p Progress) { last = p }})
	check(t, r, err, 3, 0, 3)
	var names []string
	for _, p := range r.Problems {
		names = append(names, p.Mailbox+" "+p.Message)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"INBOX 1.nul.host", "INBOX 2.large.host", "INBOX 3.link.host", "bad "}) {
		t.Errorf("problems %q", names)
	}
	if last.Mailboxes != 2 || last.MailboxesDone != 2 || last.MessagesDone != 6 || last.Messages != 7 || last.MessagesNotTaken != 3 {
		t.Errorf("progress %+v", last)
	}
}

// A target's failure would be taken for a finished copy.
func TestTargetFails(t *testing.T) {
	want := errors.New("disk is on fire")
	dir := writeMaildir(t, 3)
	src, err := OpenMaildir(dir, maildir.Auto)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if _, err := Copy(context.Background(), failing{newAccount(), want}, src, Options{}); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
	// Over quota is a refusal: it is listed, and the copy goes on.
	r, err := Copy(context.Background(), failing{newAccount(), imap.Refuse(imap.CodeOverQuota, "full")}, src, Options{})
	check(t, r, err, 0, 0, 3)
}

type failing struct {
	*account
	err error
}

func (f failing) Import(context.Context, string, []Message) ([]Outcome, error) { return nil, f.err }

// sample is an account with mail of many kinds.
func sample() *account {
	a := newAccount()
	date := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	flags := []imap.Flag{imap.FlagSeen, imap.FlagFlagged, imap.FlagDraft, imap.FlagAnswered, imap.FlagDeleted, "$Forwarded", "work"}
	for i, name := range []string{"INBOX", "Sent", "A", "A/B.c/ü", "empty"} {
		a.Create(context.Background(), Mailbox{Name: name, Subscribed: i%2 == 0})
		for k := range i * 3 % 10 {
			s := stored{
				fmt.Sprintf("%d-%d", i, k), slices.Sorted(slices.Values(flags[:k%8])),
				date.Add(time.Duration(k) * time.Minute), fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", k, name),
			}
			a.boxes[name] = append(a.boxes[name], s)
		}
	}
	a.boxes["empty"] = nil
	return a
}

// compare says whether b has what a has, whatever its keys.
func compare(t *testing.T, a, b *account) {
	t.Helper()
	for _, name := range a.order {
		if len(a.boxes[name]) != len(b.boxes[name]) {
			t.Errorf("%s has %d messages, want %d", name, len(b.boxes[name]), len(a.boxes[name]))
			continue
		}
		for i, want := range a.boxes[name] {
			got := b.boxes[name][i]
			slices.Sort(got.flags)
			if got.text != want.text || !got.date.Equal(want.date) || !slices.Equal(got.flags, want.flags) {
				t.Errorf("%s: got %+v, want %+v", name, got, want)
			}
		}
	}
}

// If this failed, a backup in a Maildir would not be one: something would be lost on the way
// out and in.
func TestMaildirThereAndBack(t *testing.T) {
	for _, layout := range []maildir.Layout{maildir.PlusPlus, maildir.FS} {
		dir := t.TempDir()
		a := sample()
		for run := range 2 {
			dst, err := CreateMaildir(dir, layout)
			if err != nil {
				t.Fatal(err)
			}
			r, err := Copy(context.Background(), dst, a, Options{})
			dst.Close()
			total := 3 + 6 + 9
			if run == 0 {
				check(t, r, err, total, 0, 0)
				a.boxes["A"][0].flags = []imap.Flag{imap.FlagSeen, "later"} // must be followed
			} else {
				check(t, r, err, 0, total, 0)
			}
		}
		b := newAccount()
		if r, err := importMaildir(context.Background(), t, b, dir, Options{}); err != nil || r.Refused > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		compare(t, a, b)
		for name, want := range a.subscribed {
			if b.subscribed[name] != want {
				t.Errorf("%s: subscribed is %v", name, b.subscribed[name])
			}
		}
	}
}

// If this failed, messages would come back in another order than that of their UIDs, which
// mail programs show.
func TestBugOrderOfExport(t *testing.T) {
	a := newAccount()
	a.order = []string{"INBOX"}
	add := func(i, seconds int) {
		a.boxes["INBOX"] = append(a.boxes["INBOX"], stored{
			key: fmt.Sprint("key", i*7%10), text: fmt.Sprintf("Subject: %d\r\n\r\n", i), date: time.Unix(int64(seconds), 0).UTC(),
		})
	}
	for i, seconds := range []int{1_000_000_000, 1_000_000_000, 500_000_000, 1_000_000_001, -5} {
		add(i, seconds)
	}
	dir := t.TempDir()
	for range 2 {
		dst, err := CreateMaildir(dir, maildir.PlusPlus)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Copy(t.Context(), dst, a, Options{}); err != nil {
			t.Error(err)
		}
		if err := dst.Close(); err != nil {
			t.Error(err)
		}
		b := newAccount()
		if r, err := importMaildir(t.Context(), t, b, dir, Options{}); err != nil || r.Refused > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		var have, want []string
		for i := range a.boxes["INBOX"] {
			have, want = append(have, b.boxes["INBOX"][i].text), append(want, a.boxes["INBOX"][i].text)
		}
		if !slices.Equal(have, want) {
			t.Errorf("%q became %q", want, have)
		}
		add(len(want), 3) // and the next one comes after them
	}
}

// If this failed, a backup in mbox files would not be one.
func TestMboxThereAndBack(t *testing.T) {
	dir := t.TempDir()
	a := sample()
	for range 2 {
		dst, err := CreateMbox(dir)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Copy(context.Background(), dst, a, Options{})
		dst.Close()
		check(t, r, err, 18, 0, 0)
	}
	b := newAccount()
	for run := range 2 {
		src, err := OpenMbox(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		r, err := Copy(context.Background(), b, src, Options{})
		src.Close()
		check(t, r, err, 18*(1-run), 18*run, 0)
	}
	compare(t, a, b)
	if _, ok := b.boxes["empty"]; !ok {
		t.Error("the empty mailbox is missing")
	}
}

// If this failed, an export that is broken off would leave half a file in the place of a
// whole one.
func TestMboxBrokenOff(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "INBOX.mbox"), "old")
	dst, err := CreateMbox(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	a := newAccount()
	a.Create(context.Background(), Mailbox{Name: "INBOX"})
	a.boxes["INBOX"] = []stored{{key: "k", text: "x\r\n"}}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Copy(ctx, dst, a, Options{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	got, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(got) != 1 {
		t.Errorf("files %q, %v", got, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "INBOX.mbox")); err != nil || string(b) != "old" {
		t.Errorf("file has %q, %v", b, err)
	}
}

// brokenSource has a message that cannot be read to its end.
type brokenSource struct{ *account }

func (b brokenSource) Messages(ctx context.Context, mailbox string) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		i := 0
		for m := range b.account.Messages(ctx, mailbox) {
			if i++; i == 2 {
				m.Open = func() (io.ReadCloser, error) {
					return io.NopCloser(io.MultiReader(strings.NewReader("Subject: half\r\n\r\nha"), errReader{})), nil
				}
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("checksum is wrong") }

// If this failed, a message with a damaged body would end an export, or be exported in
// half.
func TestDamagedMessage(t *testing.T) {
	a := newAccount()
	a.Create(context.Background(), Mailbox{Name: "INBOX"})
	for i := range 3 {
		a.boxes["INBOX"] = append(a.boxes["INBOX"], stored{fmt.Sprint(i), nil, time.Unix(1e9, 0), fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", i)})
	}
	want := []string{a.boxes["INBOX"][0].text, a.boxes["INBOX"][2].text}

	dir := t.TempDir()
	md, err := CreateMaildir(dir, maildir.Auto)
	if err != nil {
		t.Fatal(err)
	}
	defer md.Close()
	r, err := Copy(context.Background(), md, brokenSource{a}, Options{})
	check(t, r, err, 2, 0, 1)
	b := newAccount()
	r, err = importMaildir(context.Background(), t, b, dir, Options{})
	check(t, r, err, 2, 0, 0)
	if got := b.texts("INBOX"); !slices.Equal(got, want) {
		t.Errorf("Maildir has %q", got)
	}

	dir = t.TempDir()
	mb, err := CreateMbox(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer mb.Close()
	r, err = Copy(context.Background(), mb, brokenSource{a}, Options{})
	check(t, r, err, 2, 0, 1)
	src, err := OpenMbox(filepath.Join(dir, "INBOX.mbox"), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	b = newAccount()
	r, err = Copy(context.Background(), b, src, Options{})
	check(t, r, err, 2, 0, 0)
	if got := b.texts("INBOX"); !slices.Equal(got, want) {
		t.Errorf("mbox has %q", got)
	}
}

// If this failed, equal messages in an mbox would become one, and a second import would
// double them.
func TestEqualMessages(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mail")
	one := "From a@b Thu Nov 12 10:00:00 2026\nSubject: x\n\nx\n\n"
	writeFile(t, file, one+one+one)
	a := newAccount()
	for run := range 2 {
		src, err := OpenMbox(file, "Old/mail")
		if err != nil {
			t.Fatal(err)
		}
		r, err := Copy(context.Background(), a, src, Options{})
		src.Close()
		check(t, r, err, 3*(1-run), 3*run, 0)
	}
	if got := len(a.boxes["Old/mail"]); got != 3 {
		t.Errorf("%d messages", got)
	}
}

// If this failed, Thunderbird's or Dovecot's directories of mbox files would be read in
// part.
func TestMboxDirectory(t *testing.T) {
	dir := t.TempDir()
	one := "From - Thu Nov 12 10:00:00 2026\nSubject: x\n\nx\n\n"
	for name, content := range map[string]string{
		"Inbox": one, "Inbox.msf": "// <!-- <mdb:mork:z v=\"1.4\"/> -->", "Archives": one, "Archives.sbd/2020": one, "Archives.sbd/a.sbd/b": one,
		"Entw&APw-rfe": one, "dir/sub": one, ".hidden": one, "%2Ex%25.mbox": one, "None.mbox": "",
	} {
		writeFile(t, filepath.Join(dir, name), content)
	}
	src, err := OpenMbox(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	all, err := src.Mailboxes(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range all {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	want := []string{".x%", "Archives", "Archives/2020", "Archives/a/b", "Entwürfe", "INBOX", "None", "dir/sub"}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}
