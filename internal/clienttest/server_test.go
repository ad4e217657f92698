package clienttest

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tidemark/internal/testbed"
	"tidemark/internal/transcript"
)

// patience bounds everything that is waited for.
const patience = testbed.Patience

var binary string // path of the built program, set once by TestMain

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "tidemark-clienttest-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "tidemark")
		build := exec.Command("go", "build", "-o", binary, "tidemark/cmd/tidemark")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// server is a running tidemark with its data in a directory of its own.
type server struct {
	t        *testing.T
	dir      string
	imaps    string // host:port
	starttls string
	lmtp     string
	password string   // of every user
	extra    []string // settings, as section.key=value

	cmd  *exec.Cmd
	log  *testbed.Log
	done chan error
}

// startServer starts a server with the given users. The test's end stops it and
// wants a clean exit.
func startServer(t *testing.T, users ...string) *server {
	t.Helper()
	return startServerWith(t, nil, users...)
}

// startServerWith is startServer with further settings.
func startServerWith(t *testing.T, settings []string, users ...string) *server {
	t.Helper()
	s := &server{t: t, dir: testbed.SocketDir(t), password: rand.Text(), extra: settings}
	s.imaps, s.starttls, s.lmtp = testbed.FreeAddr(t), testbed.FreeAddr(t), testbed.FreeAddr(t)
	s.start()
	t.Cleanup(s.stop)
	for _, u := range users {
		s.run(s.password+"\n", "user", "add", u, "--password-stdin")
	}
	return s
}

func (s *server) settings() []string {
	set := func(key, value string) string { return "--set=" + key + "=" + value }
	all := []string{
		set("server.data_dir", filepath.Join(s.dir, "data")),
		set("imap.tls_listen", fmt.Sprintf("[%q]", s.imaps)),
		set("imap.starttls_listen", fmt.Sprintf("[%q]", s.starttls)),
		set("lmtp.listen", fmt.Sprintf("[%q]", s.lmtp)),
	}
	for _, e := range s.extra {
		all = append(all, "--set="+e)
	}
	return all
}

// start runs "serve" until it says that all listeners accept.
func (s *server) start() {
	s.t.Helper()
	ready, child, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer ready.Close()
	s.log = &testbed.Log{}
	s.cmd = exec.Command(binary, append(s.settings(), "serve", "--ready-fd=3")...)
	s.cmd.ExtraFiles = []*os.File{child}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = s.cmd.Start()
	child.Close()
	if err != nil {
		s.t.Fatal(err)
	}
	s.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan<- error) { done <- cmd.Wait() }(s.cmd, s.done)
	if err := ready.SetReadDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := ready.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "READY=1") {
		s.kill()
		s.t.Fatalf("the server did not become ready: %q, %v\n%s", buf[:n], err, s.log)
	}
}

// stop asks the server to end and wants it to do so in good order.
func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Errorf("stopping: %v", err)
	}
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Errorf("the server ended with %v\n%s", err, s.log)
		}
	case <-time.After(patience):
		s.kill()
		s.t.Errorf("the server did not end after SIGTERM\n%s", s.log)
	}
	s.cmd = nil
	if s.t.Failed() {
		s.t.Logf("log of the server:\n%.20000s", s.log)
	}
}

// kill ends the server as a power cut does, from its point of view.
func (s *server) kill() {
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Errorf("kill: %v", err)
	}
	<-s.done
	s.cmd = nil
}

// run runs another command of the program and returns what it printed.
func (s *server) run(stdin string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command(binary, append(s.settings(), args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("tidemark %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// caFile is the server's own certificate, which clients are told to trust.
func (s *server) caFile() string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, "data", "tls", "*.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range found {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte("BEGIN CERTIFICATE")) {
			return f
		}
	}
	s.t.Fatalf("no certificate in %v", found)
	return ""
}

func (s *server) target() transcript.Target {
	pem, err := os.ReadFile(s.caFile())
	if err != nil {
		s.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return transcript.Target{Addr: s.imaps, Plain: s.starttls, TLSConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}}
}

// login opens a connection for user.
func (s *server) login(user string) (*transcript.Conn, error) {
	c, err := transcript.Dial(s.t.Context(), s.target(), false, patience)
	if err != nil {
		return nil, err
	}
	if _, err := c.Read(); err != nil {
		c.Close()
		return nil, err
	}
	_, done, err := c.Command(fmt.Sprintf("LOGIN %q %q", user, s.password))
	if err == nil && done.Status != "OK" {
		err = fmt.Errorf("login: %s", done.Raw)
	}
	return c, err
}

// imap runs commands for user that must succeed and returns the untagged responses
// to the last. The text of a command may hold one literal.
func (s *server) imap(user string, commands ...command) []transcript.Response {
	s.t.Helper()
	c, err := s.login(user)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	var untagged []transcript.Response
	for _, cmd := range commands {
		var done transcript.Response
		untagged, done, err = c.Command(cmd.text, cmd.literals...)
		if err != nil || done.Status != "OK" {
			s.t.Fatalf("%q: %q, %v", cmd.text, done.Raw, err)
		}
	}
	return untagged
}

type command struct {
	text     string
	literals []string
}

func do(text string, literals ...string) command { return command{text, literals} }

// message is a mail as a client left it.
type message struct {
	uid   string
	flags string // sorted, without \Recent
	text  string
}

// messages returns what a mailbox holds, in order.
func (s *server) messages(user, mailbox string) []message {
	s.t.Helper()
	var out []message
	for _, r := range s.imap(user, do("EXAMINE "+mailbox), do("UID FETCH 1:* (FLAGS BODY.PEEK[])")) {
		if r.Name() == "FETCH" {
			out = append(out, parseMessage(r))
		}
	}
	return out
}

// program finds a mail program.
func program(t *testing.T, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed; it is in the Debian package %s", name, debianPackage)
	}
	return path
}

// runProgram runs cmd to its end and returns its output.
func runProgram(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := runProgramErr(cmd)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return out
}

func runProgramErr(cmd *exec.Cmd) (string, error) {
	cmd.WaitDelay = patience
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func host(addr string) string { h, _, _ := net.SplitHostPort(addr); return h }
func port(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }
