package clienttest

import (
	"context"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tidemark/internal/testbed"
)

// postfix is a private instance of Postfix that hands all mail for
// example.test to a server over LMTP.
type postfix struct {
	t    *testing.T
	dir  string
	smtp string // host:port
}

const postfixMain = `compatibility_level = 3.6
queue_directory = DIR/spool
data_directory = DIR/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
maillog_file_prefixes = DIR
maillog_file = DIR/log
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.test
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
alias_database =
virtual_mailbox_domains = example.test
virtual_mailbox_maps = static:yes
virtual_transport = lmtp:inet:LMTP
recipient_delimiter = +
smtp_dns_support_level = disabled
smtputf8_enable = yes
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
`

const postfixMaster = `SMTP inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// asRoot is a command that root has to run, as Postfix's master does; sudo helps
// who is not root.
func asRoot(name string, args ...string) *exec.Cmd {
	if os.Getuid() == 0 {
		return exec.Command(name, args...)
	}
	return exec.Command("sudo", append([]string{"-n", name}, args...)...)
}

// startPostfix starts Postfix with lines of its own in main.cf.
func startPostfix(t *testing.T, lmtp string, settings ...string) *postfix {
	t.Helper()
	program(t, "/usr/sbin/postfix", "postfix")
	// Not t.TempDir, whose parent Postfix's own user may not enter.
	dir, err := os.MkdirTemp("", "tidemark-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { runProgram(t, asRoot("rm", "-rf", dir)) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := &postfix{t: t, dir: dir, smtp: testbed.FreeAddr(t)}
	fill := strings.NewReplacer("DIR", dir, "LMTP", lmtp, "SMTP", p.smtp)
	for name, content := range map[string]string{"main.cf": postfixMain + strings.Join(append(settings, ""), "\n"), "master.cf": postfixMaster} {
		writeFile(t, filepath.Join(dir, name), fill.Replace(content))
		if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	runProgram(t, asRoot("install", "-d", "-o", "root", dir, dir+"/spool"))
	runProgram(t, asRoot("install", "-d", "-o", "postfix", dir+"/data"))
	p.run("start")
	t.Cleanup(func() { p.run("stop") })
	p.await("the SMTP port", func() bool {
		c, err := net.Dial("tcp", p.smtp)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return p
}

// run gives Postfix's master a command. It goes to the background by itself.
func (p *postfix) run(verb string) {
	p.t.Helper()
	out, err := asRoot("/usr/sbin/postfix", "-c", p.dir, verb).CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
		p.t.Errorf("postfix %s: %v\n%s%s", verb, err, out, log)
	}
}

// await asks again until cond holds; there is nothing to be told by.
func (p *postfix) await(what string, cond func() bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			p.t.Fatalf("%s did not come\n%s", what, log)
		}
	}
}

func (p *postfix) send(text string, to ...string) {
	p.t.Helper()
	if err := smtp.SendMail(p.smtp, nil, "alice@example.test", to, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// If this fails mail from the world does not reach the mailbox, or is lost while
// the server is down.
func TestPostfix(t *testing.T) {
	s := startServer(t, "alice", "bob")
	s.imap("alice", do("CREATE lists"))
	p := startPostfix(t, s.lmtp)
	p.send(mail("to both"), "alice@example.test", "bob@example.test")
	p.send(mail("to a list"), "alice+lists@example.test")
	p.send(mail("to nowhere"), "nobody@example.test")

	// arrived waits for the message that has the text; others may come before it.
	arrived := func(user, mailbox, text string) message {
		t.Helper()
		var found message
		p.await(fmt.Sprintf("%q in %s of %s", text, mailbox, user), func() bool {
			list := s.messages(user, mailbox)
			i := slices.IndexFunc(list, func(m message) bool { return strings.Contains(m.text, text) })
			if i >= 0 {
				found = list[i]
			}
			return i >= 0
		})
		return found
	}
	for _, user := range []string{"alice", "bob"} {
		got := arrived(user, "INBOX", "\r\nSubject: to both\r\n")
		if !strings.HasPrefix(got.text, "Return-Path: <alice@example.test>\r\nDelivered-To: "+user) {
			t.Errorf("%s: trace headers: %.200q", user, got.text)
		}
		if !strings.HasSuffix(got.text, "Grüße,\r\n.\r\n..two dots\r\nto both\r\n") {
			t.Errorf("%s: text: %q", user, got.text)
		}
		if got.flags != "" {
			t.Errorf("%s: flags %q", user, got.flags)
		}
	}
	arrived("alice", "lists", "\r\nSubject: to a list\r\n")
	// The unknown recipient comes back to the sender.
	arrived("alice", "INBOX", "5.1.1")

	// While the server is away Postfix keeps the mail, and then delivers it once.
	s.kill()
	p.send(mail("in the meantime"), "bob@example.test")
	s.start()
	p.run("flush")
	arrived("bob", "INBOX", "\r\nSubject: in the meantime\r\n")
	if list := s.messages("bob", "INBOX"); len(list) != 2 {
		t.Errorf("bob has %d messages", len(list))
	}
}
