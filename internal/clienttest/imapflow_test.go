package clienttest

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// event is a line that the session says.
type event struct {
	Event   string   `json:"event"`
	Names   []string `json:"names"`
	Subject string   `json:"subject"`
	From    string   `json:"from"`
	Type    string   `json:"type"`
	Octets  int      `json:"octets"`
	UID     int      `json:"uid"`
	Found   []int    `json:"found"`
	To      []int    `json:"to"`
	Count   int      `json:"count"`
	Seq     int      `json:"seq"`
	Flags   []string `json:"flags"`
	Text    string   `json:"text"`
}

// If this fails web mails and integrations on imapflow do not work, or hear of new
// mail by polling only.
func TestImapFlow(t *testing.T) {
	node := program(t, "node", "nodejs")
	if _, err := os.Stat("testdata/imapflow/node_modules/imapflow"); err != nil {
		t.Fatalf("imapflow is not installed (%v): \"make test-deps\" runs npm install, of the Debian package npm", err)
	}
	s := startServer(t, "alice")
	s.imap("alice", do("CREATE Work"), do("APPEND INBOX {}", mail("one")), do("APPEND INBOX {}", mail("two")))
	secret := filepath.Join(s.dir, "secret")
	writeFile(t, secret, s.password)

	cmd := exec.CommandContext(t.Context(), node, "testdata/imapflow/session.js", "127.0.0.1", port(s.imaps), s.caFile(), secret)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	overtime := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer overtime.Stop()
	lines := bufio.NewScanner(out)

	// next returns the next event of that kind; others in between are let pass.
	next := func(kind string) event {
		t.Helper()
		for lines.Scan() {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatalf("%v: %q", err, lines.Text())
			}
			if e.Event == kind {
				return e
			}
			if e.Event == "error" {
				t.Fatalf("waiting for %s: %s", kind, e.Text)
			}
		}
		t.Fatalf("the session ended before %q", kind)
		return event{}
	}
	if e := next("list"); !slices.Equal(e.Names, []string{"INBOX:2", "Work:0"}) {
		t.Errorf("LIST: %v", e.Names)
	}
	if e := next("fetch"); e.Subject != "one" || e.From != "anna@example.org" || e.Type != "text/plain" || e.Octets != len(mail("one")) {
		t.Errorf("FETCH: %+v", e)
	}
	if e := next("append"); e.UID != 1 {
		t.Errorf("APPENDUID: %+v", e)
	}
	if e := next("search"); !slices.Equal(e.Found, []int{2}) {
		t.Errorf("SEARCH: %+v", e)
	}
	if e := next("move"); !slices.Equal(e.To, []int{2}) {
		t.Errorf("MOVE: %+v", e)
	}
	next("idle")
	s.imap("alice", do("APPEND INBOX {}", mail("three")))
	if e := next("exists"); e.Count != 2 {
		t.Errorf("push of new mail: %+v", e)
	}
	s.imap("alice", do("SELECT INBOX"), do(`STORE 2 +FLAGS (\Flagged)`))
	if e := next("flags"); e.Seq != 2 || !slices.Contains(e.Flags, `\Flagged`) {
		t.Errorf("push of flags: %+v", e)
	}
	s.imap("alice", do("SELECT INBOX"), do(`STORE 2 +FLAGS (\Deleted)`), do("EXPUNGE"))
	next("expunge")
	next("done")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got := s.messages("alice", "INBOX"); len(got) != 1 || got[0].flags != `$Done \Seen` {
		t.Errorf("INBOX: %+v", got)
	}
	if got := s.messages("alice", "Work"); len(got) != 2 || got[0].flags != `\Flagged` || got[1].text != mail("two") {
		t.Errorf("Work: %+v", got)
	}
}
