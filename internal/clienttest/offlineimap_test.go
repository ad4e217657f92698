package clienttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// If this fails people who keep their mail by OfflineIMAP do not get it, or lose
// what they did to it.
func TestOfflineIMAP(t *testing.T) {
	s := startServer(t, "alice")
	s.imap("alice", do("CREATE Work/Deep"), do(`APPEND INBOX (\Seen) {}`, mail("one")), do("APPEND INBOX {}", mail("two")),
		do("APPEND Work/Deep {}", mail("three")))
	secret, root := filepath.Join(s.dir, "secret"), filepath.Join(s.dir, "offline")
	writeFile(t, secret, s.password)
	rc := filepath.Join(s.dir, "offlineimaprc")
	writeFile(t, rc, fmt.Sprintf(`[general]
accounts = a
metadata = %s

[Account a]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = %s
sep = /

[Repository far]
type = IMAP
remotehost = localhost
remoteport = %s
remoteuser = alice
remotepassfile = %s
ssl = yes
sslcacertfile = %s
`, filepath.Join(s.dir, "offline-state"), root, port(s.imaps), secret, s.caFile()))
	sync := func() {
		t.Helper()
		runProgram(t, exec.Command(program(t, "offlineimap", "offlineimap3"), "-c", rc, "-o", "-u", "basic"))
	}

	sync()
	d := &device{s: s, root: root}
	if _, flags := d.file("INBOX", "one"); flags != "S" {
		t.Errorf("flags of one: %q", flags)
	}
	if name, _ := d.file("Work/Deep", "three"); name == "" {
		t.Error("three did not arrive")
	}

	mark(t, d, "INBOX", "two", "FS")
	one, _ := d.file("INBOX", "one")
	if err := os.Remove(one); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(root, "INBOX/new/1.local"), strings.ReplaceAll(mail("four"), "\r\n", "\n"))
	s.imap("alice", do("SELECT Work/Deep"), do(`STORE 1 +FLAGS (\Answered)`))
	sync()

	inbox := s.messages("alice", "INBOX")
	if len(inbox) != 2 || find(t, inbox, "two").flags != `\Flagged \Seen` {
		t.Errorf("INBOX: %+v", inbox)
	}
	if got := find(t, inbox, "four"); !strings.Contains(got.text, "..two dots\r\nfour\r\n") {
		t.Errorf("uploaded: %q", got.text)
	}
	if _, flags := d.file("Work/Deep", "three"); flags != "R" {
		t.Errorf("flags of three: %q", flags)
	}
	if n := len(d.files("INBOX")); n != 2 {
		t.Errorf("%d messages in the local INBOX", n)
	}
}
