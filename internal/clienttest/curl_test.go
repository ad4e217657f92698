package clienttest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// curl runs curl for alice, whose password stands in a netrc file.
func (s *server) curl(args ...string) string {
	s.t.Helper()
	netrc := filepath.Join(s.dir, "netrc")
	writeFile(s.t, netrc, "machine 127.0.0.1 login alice password "+s.password+"\n")
	common := []string{"--silent", "--show-error", "--max-time", "180", "--cacert", s.caFile(), "--netrc-file", netrc}
	return runProgram(s.t, exec.Command(program(s.t, "curl", "curl"), append(common, args...)...))
}

// If this fails the line that the README gives for a first look does not work.
func TestCurl(t *testing.T) {
	s := startServer(t, "alice")
	s.imap("alice", do("CREATE Work"), do("APPEND INBOX (\\Flagged) {}", mail("first")), do("APPEND INBOX {}", mail("second")))
	url := "imaps://" + s.imaps

	if out := s.curl(url + "/"); !strings.Contains(out, `* LIST (\HasNoChildren) "/" "Work"`) && !strings.Contains(out, `"/" Work`) {
		t.Errorf("LIST: %q", out)
	}
	if out := s.curl(url + "/INBOX;UID=2"); out != mail("second") {
		t.Errorf("FETCH: %q", out)
	}
	if out := s.curl(url + "/INBOX;UID=1/;SECTION=HEADER.FIELDS%20(SUBJECT)"); out != "Subject: first\r\n\r\n" {
		t.Errorf("FETCH of a section: %q", out)
	}
	if out := s.curl(url + "/INBOX?FLAGGED"); strings.TrimSpace(out) != "* SEARCH 1" {
		t.Errorf("SEARCH: %q", out)
	}

	file := filepath.Join(s.dir, "third.eml")
	writeFile(t, file, mail("third"))
	s.curl("--upload-file", file, url+"/Work")
	if got := s.messages("alice", "Work"); len(got) != 1 || got[0].text != mail("third") {
		t.Errorf("APPEND: %+v", got)
	}

	plain := "imap://" + s.starttls
	if out := s.curl("--ssl-reqd", plain+"/INBOX;UID=1"); out != mail("first") {
		t.Errorf("FETCH after STARTTLS: %q", out)
	}
	s.curl("--ssl-reqd", plain+"/INBOX", "--request", `STORE 2 +FLAGS (\Answered)`)
	if got := find(t, s.messages("alice", "INBOX"), "second"); got.flags != `\Answered \Seen` {
		t.Errorf("STORE: flags %q", got.flags)
	}
	// Without TLS curl must not get in, and must not have been asked for the password.
	cmd := exec.Command("curl", "--silent", "--max-time", "180", "--user", "alice:"+s.password, plain+"/")
	if out, err := runProgramErr(cmd); err == nil {
		t.Errorf("login without TLS: %q", out)
	}
}
