package clienttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// If this fails people who read their mail in a terminal cannot file, flag or
// delete it.
func TestNeoMutt(t *testing.T) {
	s := startServer(t, "alice")
	s.imap("alice", do("CREATE Work"), do("APPEND INBOX {}", mail("one")), do("APPEND INBOX {}", mail("two")),
		do("APPEND INBOX {}", mail("three")), do("APPEND INBOX {}", mail("four")))
	// Read one, flag two, move three to Work, delete four.
	s.neomutt("imaps://127.0.0.1:"+port(s.imaps)+"/INBOX",
		`<search>~s one<enter><display-message><exit>`+
			`<search>~s two<enter><flag-message>`+
			`<search>~s three<enter><save-message>=Work<enter>`+
			`<search>~s four<enter><delete-message>`+
			`<sync-mailbox><quit>`)
	inbox, work := s.messages("alice", "INBOX"), s.messages("alice", "Work")
	if len(inbox) != 2 || find(t, inbox, "one").flags != `\Seen` || find(t, inbox, "two").flags != `\Flagged` {
		t.Errorf("INBOX: %+v", inbox)
	}
	if got := find(t, work, "three"); len(work) != 1 || got.text != mail("three") {
		t.Errorf("Work: %+v", work)
	}
}

// neomutt opens a mailbox and presses keys. It needs a terminal, which script(1)
// makes.
func (s *server) neomutt(url, keys string) {
	s.t.Helper()
	rc := filepath.Join(s.dir, "neomuttrc")
	writeFile(s.t, rc, fmt.Sprintf(`set imap_user = "alice"
set imap_pass = "%s"
set folder = "imaps://127.0.0.1:%s/"
set certificate_file = "%s"
set ssl_usesystemcerts = no
set ssl_verify_host = no
set sort = mailbox-order
set delete = yes
set confirm_append = no
set confirm_create = no
set move = no
set pager = builtin
set wait_key = no
set mark_old = no
set sleep_time = 0
set imap_poll_timeout = 180
set read_inc = 0
set mail_check = 600
push "%s"
`, s.password, port(s.imaps), s.caFile(), keys))
	mutt := program(s.t, "neomutt", "neomutt")
	cmd := exec.Command(program(s.t, "timeout", "coreutils"), "180", program(s.t, "script", "bsdutils"), "--quiet", "--return",
		"--command", mutt+" -n -F "+rc+" -f "+url, "/dev/null")
	cmd.Env = append(os.Environ(), "TERM=xterm", "HOME="+s.dir, "LC_ALL=C.UTF-8")
	out := runProgram(s.t, cmd)
	if s.t.Failed() {
		s.t.Logf("screen: %q", out)
	}
}
