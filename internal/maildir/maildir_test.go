package maildir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"tidemark/imap"
)

// tree makes files below a directory; a name that ends in "/" is a directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(p, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t *testing.T, dir string, l Layout) *Store {
	t.Helper()
	s, err := Open(dir, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// messages returns all messages of a mailbox, and fails on an error.
func messages(t *testing.T, s *Store, mailbox string) []Message {
	t.Helper()
	f, err := s.Folder(mailbox)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	var all []Message
	for m, err := range f.Messages() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func content(t *testing.T, m Message) string {
	t.Helper()
	r, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// If this failed, folders of one of the layouts would not be found, or under a wrong
// name.
func TestLayouts(t *testing.T) {
	for _, tc := range []struct {
		name   string
		files  []string
		layout Layout
		want   []string
	}{
		{"maildir++", []string{"cur/", ".Sent/cur/", ".Lists.go&AC0-x/new/", ".Entw&APw-rfe/cur/", ".a&-b/cur/", ".junk/", "x/"},
			PlusPlus, []string{"INBOX", "Entwürfe", "Lists/go-x", "Sent", "a&b"}},
		{"courier", []string{"cur/", "new/", "tmp/", ".v1&AC4-0/cur/", ".Trash/cur/", "courierimapkeywords/"},
			PlusPlus, []string{"INBOX", "Trash", "v1.0"}},
		{"fs", []string{"cur/", "Sent/cur/", "Lists/go.dev/new/", ".hidden/cur/", "Lists/plain/"},
			FS, []string{"INBOX", "Lists/go.dev", "Sent"}},
		{"fs with INBOX as a directory", []string{"INBOX/cur/", "A/B/cur/"}, FS, []string{"INBOX", "A/B"}},
		{"plain UTF-8 and bad UTF-7", []string{"cur/", ".Entwürfe/cur/", ".a&b/cur/", ".a&b-/cur/"},
			PlusPlus, []string{"INBOX", "Entwürfe", "a&b", "a&b-"}},
		{"one name twice", []string{"cur/", ".A.B/cur/", ".A&AC8-B/cur/", ".INBOX/cur/"}, PlusPlus, []string{"INBOX", "A/B", "A/B_", "INBOX_"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := make(map[string]string)
			for _, f := range tc.files {
				files[f] = ""
			}
			s := open(t, tree(t, files), Auto)
			if s.Layout() != tc.layout {
				t.Errorf("layout %v", s.Layout())
			}
			if got := s.Mailboxes(); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// If this failed, a link or a strange file in a Maildir would give away other files, or
// hide mail without a word.
func TestNothingEscapes(t *testing.T) {
	outside := tree(t, map[string]string{"cur/secret": "secret", "new/": ""})
	dir := tree(t, map[string]string{"cur/1.a.h:2,S": "mail\n", "cur/.hidden": "x", "cur/2.dir/": "", "cur/:2,S": "x"})
	for _, link := range [][2]string{{outside, ".Out"}, {filepath.Join(outside, "cur/secret"), "cur/3.link"}} {
		if err := os.Symlink(link[0], filepath.Join(dir, link[1])); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir, Auto)
	if got := s.Mailboxes(); !slices.Equal(got, []string{"INBOX", "Out"}) {
		t.Errorf("mailboxes %q", got)
	}
	if f, err := s.Folder("Out"); err == nil {
		f.Close()
		t.Error("a folder outside was opened")
	}
	f, err := s.Folder("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var good, bad []string
	for m, err := range f.Messages() {
		if err != nil {
			bad = append(bad, m.Unique)
		} else {
			good = append(good, m.Unique)
		}
	}
	if !slices.Contains(good, "1.a.h") || !slices.Equal(bad, []string{"3.link"}) {
		t.Errorf("good %q, bad %q", good, bad)
	}
}

// If this failed, a file that a crash has left empty would be imported as a message
// without content.
func TestEmptyFile(t *testing.T) {
	s := open(t, tree(t, map[string]string{"cur/1.a.h,S=5:2,S": "", "cur/2.a.h,S=0:2,S": "", "new/3.a.h": ""}), Auto)
	f, err := s.Folder("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	bad := map[string]bool{}
	for m, err := range f.Messages() {
		bad[m.Unique] = err != nil
	}
	if !maps.Equal(bad, map[string]bool{"1.a.h": true, "2.a.h": false, "3.a.h": true}) {
		t.Errorf("bad %v", bad)
	}
}

// If this failed, flags, keywords, dates and UIDs that Dovecot noted would be lost.
func TestDovecot(t *testing.T) {
	dir := tree(t, map[string]string{
		"cur/1400000002.M1P1.host,S=9,W=11:2,FRSab": "A: b\n\ntxt",
		"cur/1400000001.M1P1.host,S=9:2,DPTz":       "A: b\n\ntxt",
		"new/1400000003.M1P1.host":                  "A: b\n\n",
		"dovecot-keywords":                          "0 $Junk\n1 work\n2\n30 x\nnonsense\n5 a b\n",
		"dovecot-uidlist": "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n" +
			"7 :1400000002.M1P1.host,S=9,W=11\n9 W11 S9 :1400000001.M1P1.host,S=9:2,DPT\nx\n0 :y\n",
		"subscriptions": "V\t2\n\nA\tB&AOQ-\nSent\n",
		".Sent/cur/":    "",
	})
	when := time.Date(2014, 5, 13, 16, 53, 20, 0, time.UTC)
	for _, name := range []string{"cur/1400000002.M1P1.host,S=9,W=11:2,FRSab", "cur/1400000001.M1P1.host,S=9:2,DPTz"} {
		if err := os.Chtimes(filepath.Join(dir, name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(dir, "new/1400000003.M1P1.host"), time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Auto)
	got := messages(t, s, "INBOX")
	if len(got) != 3 {
		t.Fatalf("%d messages", len(got))
	}
	for i, want := range []struct {
		unique string
		uid    imap.UID
		flags  []imap.Flag
		date   time.Time
		text   string
	}{
		{"1400000002.M1P1.host", 7, []imap.Flag{imap.FlagFlagged, imap.FlagAnswered, imap.FlagSeen, "$Junk", "work"}, when, "A: b\r\n\r\ntxt"},
		{"1400000001.M1P1.host", 9, []imap.Flag{imap.FlagDraft, "$Forwarded", imap.FlagDeleted}, when, "A: b\r\n\r\ntxt"},
		{"1400000003.M1P1.host", 0, nil, time.Unix(1400000003, 0).UTC(), "A: b\r\n\r\n"},
	} {
		m := got[i]
		if m.Unique != want.unique || m.UID != want.uid || !slices.Equal(m.Flags, want.flags) || !m.Date.Equal(want.date) {
			t.Errorf("got %+v, want %+v", m, want)
		}
		if c := content(t, m); c != want.text {
			t.Errorf("%s: content %q", m.Unique, c)
		}
	}
	subscribed, err := s.Subscribed()
	if err != nil || !slices.Equal(subscribed, []string{"A/Bä", "Sent"}) {
		t.Errorf("subscribed %q, %v", subscribed, err)
	}
	f, _ := s.Folder("INBOX")
	defer f.Close()
	if f.UIDValidity() != 1275660208 {
		t.Errorf("UIDVALIDITY %d", f.UIDValidity())
	}
}

// If this failed, what Courier noted would be lost.
func TestCourier(t *testing.T) {
	dir := tree(t, map[string]string{
		"cur/1.M1.h,S=3:2,S": "a\n\n", "cur/2.M1.h:2,": "a\n\n", "cur/3.M1.h:2,": "a\n\n", "cur/4.M1.h:2,": "a\n\n",
		"courierimapkeywords/:list":     "Work\n$Label1\nbad word\n\n1.M1.h:0 1 2 9\n2.M1.h:1\nx\n",
		"courierimapkeywords/2.M1.h":    "Home\n",
		"courierimapkeywords/.3.3.M1.h": "new\n",
		"courierimapkeywords/.2.3.M1.h": "old\n",
		"courierimapkeywords/.x.3.M1.h": "junk\n",
		"courierimapuiddb":              "1 1111 5\n3 1.M1.h,S=3\n4 2.M1.h\n",
		"courierimapsubscribed":         "INBOX.Sent\nINBOX\nINBOX.Lists.go\n",
		".Sent/cur/":                    "", ".Lists.go/cur/": "",
	})
	s := open(t, dir, Auto)
	want := map[string][]imap.Flag{
		"1.M1.h": {imap.FlagSeen, "Work", "$Label1"}, "2.M1.h": {"Home"}, "3.M1.h": {"new"}, "4.M1.h": nil,
	}
	uids := map[string]imap.UID{"1.M1.h": 3, "2.M1.h": 4}
	for _, m := range messages(t, s, "INBOX") {
		if !slices.Equal(m.Flags, want[m.Unique]) || m.UID != uids[m.Unique] {
			t.Errorf("%s has %q and UID %d", m.Unique, m.Flags, m.UID)
		}
	}
	if got, err := s.Subscribed(); err != nil || !slices.Equal(got, []string{"Sent", "INBOX", "Lists/go"}) {
		t.Errorf("subscribed %q, %v", got, err)
	}
}

// If this failed, a message would come back other than it was, in content, flags or date.
func TestRoundTrip(t *testing.T) {
	when := time.Date(2021, 2, 3, 4, 5, 6, 0, time.UTC)
	texts := []string{
		"A: b\r\n\r\nc\r\n", "A: b\r\n\r\nno end", "", "\r\n", "A: b\n\nlf only\n", "a\r\nb\nmixed\r\n", "bare\rcr\r\n",
		"cr cr\r\r\nlf\r\n", "ends in cr\r", "no line end", "\n", "\r", strings.Repeat("long ", 50_000) + "\r\n", "8bit é\x80\r\n",
	}
	flags := []imap.Flag{imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagDraft, "$Forwarded", "$Junk", "work"}
	mailboxes := []string{"INBOX", "Sent", "A/B.c/ü&", "INBOX/x", "cur", "x/.", "../up", "new/tmp"}
	for _, layout := range []Layout{PlusPlus, FS} {
		t.Run(fmt.Sprint(layout), func(t *testing.T) {
			dir := t.TempDir()
			s, err := Create(dir, layout)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for _, mailbox := range mailboxes {
				w, err := s.Writer(mailbox)
				if err != nil {
					t.Fatalf("%q: %v", mailbox, err)
				}
				for i, text := range texts {
					err := w.Add(New{
						Key: fmt.Sprintf("k%02d", i), Flags: flags[:i%(len(flags)+1)], Date: when.Add(time.Duration(i) * time.Second),
						Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
			again := open(t, dir, layout)
			got := again.Mailboxes()
			slices.Sort(mailboxes[1:])
			if !slices.Equal(got, mailboxes) {
				t.Fatalf("mailboxes %q", got)
			}
			for _, mailbox := range mailboxes {
				for i, m := range messages(t, again, mailbox) {
					want := slices.Clone(flags[:i%(len(flags)+1)])
					slices.Sort(want)
					slices.Sort(m.Flags)
					if !slices.Equal(m.Flags, want) || !m.Date.Equal(when.Add(time.Duration(i)*time.Second)) {
						t.Errorf("%s %d: %q %v", mailbox, i, m.Flags, m.Date)
					}
					if c := content(t, m); c != texts[i] {
						t.Errorf("%s %d: %.50q became %.50q", mailbox, i, texts[i], c)
					}
				}
			}
		})
	}
}

// If this failed, Dovecot, which does not know Maildir's letter for it, would lose
// $Forwarded in an export, or the last keyword that has a letter would make it count as
// lost.
func TestBugForwardedForDovecot(t *testing.T) {
	s, err := Create(t.TempDir(), PlusPlus)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w, err := s.Writer("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if letters, err := w.letters([]imap.Flag{"work", imap.FlagSeen, "$Forwarded"}); letters != "PSab" || err != nil {
		t.Errorf("%q, %v", letters, err)
	}
	if !slices.Equal(w.folder.keywords, []imap.Flag{"work", "$Forwarded"}) {
		t.Errorf("keywords %q", w.folder.keywords)
	}
	w.folder.keywords = make([]imap.Flag, maxLetters)
	if letters, err := w.letters([]imap.Flag{"$Forwarded"}); letters != "P" || err != nil {
		t.Errorf("without a letter to spare: %q, %v", letters, err)
	}
	if letters, err := w.letters([]imap.Flag{"other"}); letters != "" || !errors.Is(err, ErrKeywords) {
		t.Errorf("another: %q, %v", letters, err)
	}
}

// If this failed, a second export would double the mail, or leave old flags and half
// files.
func TestWriterTwice(t *testing.T) {
	dir := t.TempDir()
	write := func(flags ...imap.Flag) {
		s, err := Create(dir, Auto)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		w, err := s.Writer("A")
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		m := New{Key: "key-1", Flags: flags, Date: time.Unix(1e9, 0), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("a\r\n")), nil
		}}
		if err := w.Add(m); err != nil {
			t.Fatal(err)
		}
		if err := w.SetFlags("key-1", flags); err != nil {
			t.Fatal(err)
		}
	}
	files := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, ".A/cur/*"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range names {
			names[i] = filepath.Base(names[i])
		}
		return names
	}
	write(imap.FlagSeen)
	write(imap.FlagFlagged, "work", "WORK")
	if got := files(); !slices.Equal(got, []string{"1000000000.key-1.tidemark,S=2,W=3:2,Fa"}) {
		t.Errorf("files %q", got)
	}
	if err := os.Truncate(filepath.Join(dir, ".A/cur", files()[0]), 1); err != nil {
		t.Fatal(err)
	}
	write()
	s := open(t, dir, Auto)
	if all := messages(t, s, "A"); len(all) != 1 || content(t, all[0]) != "a\r\n" || all[0].Flags != nil {
		t.Errorf("%+v", all)
	}
}

// If this failed, the twenty-seventh keyword would get a letter that means something
// else.
func TestTooManyKeywords(t *testing.T) {
	s, err := Create(t.TempDir(), Auto)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w, err := s.Writer("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var flags []imap.Flag
	for i := range 27 {
		flags = append(flags, imap.Flag(fmt.Sprintf("k%d", i)))
	}
	err = w.Add(New{Key: "k", Flags: flags, Date: time.Unix(1, 0), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("")), nil
	}})
	if !errors.Is(err, ErrKeywords) {
		t.Fatalf("got %v", err)
	}
	if all := messages(t, s, "INBOX"); len(all) != 1 || !slices.Equal(all[0].Flags, flags[:26]) {
		t.Errorf("%+v", all)
	}
}

// If this failed, mail that another program touches while we read would be passed over.
func TestRenamedMeanwhile(t *testing.T) {
	dir := tree(t, map[string]string{"new/1.a.h": "one\n", "new/2.a.h": "two\n", "cur/": ""})
	s := open(t, dir, Auto)
	f, err := s.Folder("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for m, err := range f.Messages() {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			for _, name := range []string{"1.a.h", "2.a.h"} {
				if err := os.Rename(filepath.Join(dir, "new", name), filepath.Join(dir, "cur", name+":2,S")); err != nil {
					t.Fatal(err)
				}
			}
			if c := content(t, m); c != "one\r\n" {
				t.Errorf("content %q", c)
			}
		} else if !slices.Equal(m.Flags, []imap.Flag{imap.FlagSeen}) {
			t.Errorf("flags %q", m.Flags)
		}
	}
	if n != 2 {
		t.Errorf("%d messages", n)
	}
}

// If this failed, subscriptions would be lost or listed under names that Dovecot does not
// know.
func TestSubscribe(t *testing.T) {
	for layout, want := range map[Layout]string{PlusPlus: "INBOX\nA.v1&AC4-0\n&APw-\n", FS: "INBOX\nA/v1.0\n&APw-\n"} {
		dir := t.TempDir()
		s, err := Create(dir, layout)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		names := []string{"INBOX", "A/v1.0", "ü"}
		for _, n := range append(names, "ü") {
			if err := s.Subscribe(n); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(filepath.Join(dir, "subscriptions"))
		if err != nil || string(got) != want {
			t.Errorf("file %q, %v", got, err)
		}
		if back, err := s.Subscribed(); err != nil || !slices.Equal(back, names) {
			t.Errorf("read back %q, %v", back, err)
		}
	}
}

// If this failed, line ends would depend on how the disk cuts a file.
func TestLineEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("\r\na")), 0, 40, -1).Draw(t, "text")
		var lf bytes.Buffer
		w := newLFWriter(&lf)
		for i := range len(text) {
			w.Write([]byte{text[i]})
		}
		exact := !strings.ContainsAny(strings.ReplaceAll(text, "\r\n", ""), "\r\n")
		if w.undoable() != exact {
			t.Fatalf("%q: undoable is %v", text, w.undoable())
		}
		if !exact {
			return
		}
		if want := strings.ReplaceAll(text, "\r\n", "\n"); lf.String() != want || w.out != int64(len(want)) {
			t.Fatalf("%q became %q", text, lf.String())
		}
		back := newCRLFReader(io.NopCloser(iotest.OneByteReader(&lf)))
		if got, err := io.ReadAll(iotest.OneByteReader(back)); err != nil || string(got) != text {
			t.Fatalf("%q became %q, %v", text, got, err)
		}
	})
}

// If this failed, a name would be read in another way than it was written, or crash the
// reader.
func FuzzParseFileName(f *testing.F) {
	for _, s := range []string{
		"1400000002.M1P1.host,S=9,W=11:2,FRSab", "new", "", ".x", ":2,S", ",S=1", "a:1,x", "a:2,S,b", "1.a,S=99999999999999999999:2,",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, ok := parseFileName(s)
		if !ok {
			return
		}
		flagsOf(name.Letters, []imap.Flag{"a", "", "c"})
		name.arrived()
		if strings.ContainsAny(name.Unique, ",") || name.Unique == "" || strings.ContainsAny(name.Letters, ":") {
			return // not a name that we would write
		}
		again, ok := parseFileName(name.String())
		if !ok || !reflect.DeepEqual(again, name) {
			t.Fatalf("%q: %+v, then %+v", s, name, again)
		}
	})
}

// If this failed, a mailbox would come back under another name, or lie outside of the
// Maildir.
func FuzzMailboxName(f *testing.F) {
	for _, s := range []string{"A/B.c", "cur", "../x", "&", "ü/日本", "a&AC4-b", ".", "INBOX/x", "~peter/mail/台北/日本語"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for _, layout := range []Layout{PlusPlus, FS} {
			dir, err := dirName(name, layout)
			if err != nil || name == imap.Inbox {
				continue
			}
			if !filepath.IsLocal(dir) {
				t.Fatalf("%q lies at %q", name, dir)
			}
			parts := strings.Split(dir, "/")
			if layout == PlusPlus {
				parts = strings.Split(dir[1:], ".")
			}
			want := name
			if strings.EqualFold(name, imap.Inbox) {
				want = imap.Inbox
			}
			if got := mailboxName(parts); got != want {
				t.Fatalf("%q lies at %q, which is %q", name, dir, got)
			}
		}
	})
}
