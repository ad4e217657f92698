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

// imapFlow is a run of testdata/imapflow/session.js.
type imapFlow struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// startImapFlow starts a session with the given arguments. It is killed when the test's
// patience is at its end.
func startImapFlow(t *testing.T, node string, args ...string) *imapFlow {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), node, append([]string{"testdata/imapflow/session.js"}, args...)...)
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
	t.Cleanup(func() { overtime.Stop() })
	return &imapFlow{t: t, cmd: cmd, lines: bufio.NewScanner(out)}
}

// next returns the next event of that kind; others in between are let pass.
func (f *imapFlow) next(kind string) event {
	f.t.Helper()
	for f.lines.Scan() {
		var e event
		if err := json.Unmarshal(f.lines.Bytes(), &e); err != nil {
			f.t.Fatalf("%v: %q", err, f.lines.Text())
		}
		if e.Event == kind {
			return e
		}
		if e.Event == "error" {
			f.t.Fatalf("waiting for %s: %s", kind, e.Text)
		}
	}
	f.t.Fatalf("the session ended before %q", kind)
	return event{}
}

// wait waits for the end of the session, which must be a good one.
func (f *imapFlow) wait() {
	f.t.Helper()
	if err := f.cmd.Wait(); err != nil {
		f.t.Error(err)
	}
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

	session := startImapFlow(t, node, "127.0.0.1", port(s.imaps), s.caFile(), secret)
	if e := session.next("list"); !slices.Equal(e.Names, []string{"INBOX:2", "Work:0"}) {
		t.Errorf("LIST: %v", e.Names)
	}
	if e := session.next("fetch"); e.Subject != "one" || e.From != "anna@example.org" || e.Type != "text/plain" || e.Octets != len(mail("one")) {
		t.Errorf("FETCH: %+v", e)
	}
	if e := session.next("append"); e.UID != 1 {
		t.Errorf("APPENDUID: %+v", e)
	}
	if e := session.next("search"); !slices.Equal(e.Found, []int{2}) {
		t.Errorf("SEARCH: %+v", e)
	}
	if e := session.next("move"); !slices.Equal(e.To, []int{2}) {
		t.Errorf("MOVE: %+v", e)
	}
	session.next("idle")
	s.imap("alice", do("APPEND INBOX {}", mail("three")))
	if e := session.next("exists"); e.Count != 2 {
		t.Errorf("push of new mail: %+v", e)
	}
	s.imap("alice", do("SELECT INBOX"), do(`STORE 2 +FLAGS (\Flagged)`))
	if e := session.next("flags"); e.Seq != 2 || !slices.Contains(e.Flags, `\Flagged`) {
		t.Errorf("push of flags: %+v", e)
	}
	s.imap("alice", do("SELECT INBOX"), do(`STORE 2 +FLAGS (\Deleted)`), do("EXPUNGE"))
	session.next("expunge")
	session.next("done")
	session.wait()
	if got := s.messages("alice", "INBOX"); len(got) != 1 || got[0].flags != `$Done \Seen` {
		t.Errorf("INBOX: %+v", got)
	}
	if got := s.messages("alice", "Work"); len(got) != 2 || got[0].flags != `\Flagged` || got[1].text != mail("two") {
		t.Errorf("Work: %+v", got)
	}
}
