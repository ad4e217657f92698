package clienttest

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// If this fails scripts in Python, of which there are very many, do not work.
func TestImaplib(t *testing.T) {
	s := startServer(t, "alice")
	s.imap("alice", do("CREATE Work"), do("APPEND INBOX {}", mail("one")), do("APPEND INBOX {}", mail("two")))
	secret := filepath.Join(s.dir, "secret")
	writeFile(t, secret, s.password)
	python := program(t, "python3", "python3")
	for _, mode := range []string{"imaps", "starttls"} {
		addr := s.imaps
		if mode == "starttls" {
			addr = s.starttls
		}
		runProgram(t, exec.Command(python, "testdata/imaplib_session.py", mode, host(addr), port(addr), s.caFile(), secret))
	}
	inbox, work := s.messages("alice", "INBOX"), s.messages("alice", "Work")
	if len(inbox) != 1 || find(t, inbox, "two").flags != "" {
		t.Errorf("INBOX: %+v", inbox)
	}
	if got := find(t, work, "one"); got.flags != `\Answered \Seen todo` || got.text != mail("one") {
		t.Errorf("moved: %+v", got)
	}
	if len(work) != 3 {
		t.Errorf("Work: %d messages", len(work))
	}
}
