package clienttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// device is one computer with a Maildir that mbsync keeps the same.
type device struct {
	s    *server
	root string
	rc   string
}

func newDevice(s *server, name string) *device {
	d := &device{s: s, root: filepath.Join(s.dir, name)}
	secret := filepath.Join(s.dir, name+".secret")
	writeFile(s.t, secret, s.password)
	d.rc = filepath.Join(s.dir, name+".mbsyncrc")
	writeFile(s.t, filepath.Join(d.root, ".keep"), "")
	writeFile(s.t, d.rc, fmt.Sprintf(`IMAPAccount a
Host 127.0.0.1
Port %s
Timeout 180
User alice
PassCmd "cat %s"
SSLType IMAPS
CertificateFile %s
SystemCertificates no

IMAPStore far
Account a

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
CopyArrivalDate yes
`, port(s.imaps), secret, s.caFile(), d.root, d.root))
	return d
}

func (d *device) sync() {
	d.s.t.Helper()
	runProgram(d.s.t, exec.Command(program(d.s.t, "mbsync", "isync"), "-c", d.rc, "all"))
}

// files returns the Maildir's messages, file name to text with LF.
func (d *device) files(mailbox string) map[string]string {
	d.s.t.Helper()
	out := map[string]string{}
	for _, sub := range []string{"new", "cur"} {
		found, err := filepath.Glob(filepath.Join(d.root, mailbox, sub, "*"))
		if err != nil {
			d.s.t.Fatal(err)
		}
		for _, f := range found {
			b, err := os.ReadFile(f)
			if err != nil {
				d.s.t.Fatal(err)
			}
			out[f] = string(b)
		}
	}
	return out
}

// file returns the name and the flag letters of the message with the subject.
func (d *device) file(mailbox, subject string) (name, flags string) {
	d.s.t.Helper()
	for f, text := range d.files(mailbox) {
		if strings.Contains(text, "Subject: "+subject+"\n") || strings.Contains(text, "Subject: "+subject+"\r\n") {
			_, flags, _ = strings.Cut(f, ":2,")
			return f, flags
		}
	}
	return "", ""
}

// If this fails two computers that use mbsync lose mail, double it or disagree
// about what was read.
func TestMbsync(t *testing.T) {
	s := startServer(t, "alice")
	s.imap("alice", do("CREATE Work"), do("CREATE &ZeVnLIqe-"),
		do(`APPEND INBOX (\Seen) "17-Jul-2020 02:44:25 +0000" {}`, mail("one")),
		do("APPEND INBOX {}", mail("two")), do("APPEND INBOX {}", mail("three")), do(`APPEND Work (\Flagged) {}`, mail("four")))
	a, b := newDevice(s, "a"), newDevice(s, "b")
	a.sync()
	b.sync()
	for _, d := range []*device{a, b} {
		if _, flags := d.file("INBOX", "one"); flags != "S" {
			t.Errorf("flags of one: %q", flags)
		}
		if _, flags := d.file("Work", "four"); flags != "F" {
			t.Errorf("flags of four: %q", flags)
		}
		if len(d.files("INBOX")) != 3 {
			t.Errorf("%s: %d messages in INBOX", d.root, len(d.files("INBOX")))
		}
	}

	// Both change at once: a reads two and deletes three, b flags two and files a new one.
	mark(t, a, "INBOX", "two", "S")
	mark(t, a, "INBOX", "three", "ST")
	mark(t, b, "INBOX", "two", "F")
	writeFile(t, filepath.Join(b.root, "Work/cur/1.new:2,S"), strings.ReplaceAll(mail("five"), "\r\n", "\n"))
	for range 2 {
		a.sync()
		b.sync()
	}

	inbox, work := s.messages("alice", "INBOX"), s.messages("alice", "Work")
	if len(inbox) != 2 || find(t, inbox, "two").flags != `\Flagged \Seen` || find(t, inbox, "one").text != mail("one") {
		t.Errorf("INBOX on the server: %+v", inbox)
	}
	if len(work) != 2 || find(t, work, "five").flags != `\Seen` {
		t.Errorf("Work on the server: %+v", work)
	}
	for _, d := range []*device{a, b} {
		if _, flags := d.file("INBOX", "two"); flags != "FS" {
			t.Errorf("%s: flags of two: %q", d.root, flags)
		}
		if name, _ := d.file("INBOX", "three"); name != "" {
			t.Errorf("%s: three is still there", d.root)
		}
		if name, _ := d.file("Work", "five"); name == "" {
			t.Errorf("%s: five did not arrive", d.root)
		}
		if n := len(d.files("INBOX")) + len(d.files("Work")); n != 4 {
			t.Errorf("%s has %d messages", d.root, n)
		}
	}
}

// mark gives a message in a Maildir the flag letters.
func mark(t *testing.T, d *device, mailbox, subject, flags string) {
	t.Helper()
	name, _ := d.file(mailbox, subject)
	base, _, _ := strings.Cut(filepath.Base(name), ":2,")
	if err := os.Rename(name, filepath.Join(d.root, mailbox, "cur", base+":2,"+flags)); err != nil {
		t.Fatal(err)
	}
}
