package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"tidemark/internal/config"
	"tidemark/internal/daemon"
	"tidemark/internal/testbed"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tidemark": main})
}

// If this fails, a command does not do what its help says. Each script in testdata
// begins with a sentence of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:         "testdata",
		WorkdirRoot: testbed.SocketDir(t),
		Setup: func(env *testscript.Env) error {
			env.Setenv("PASSWORD", rand.Text())
			env.Values[serverKey{}] = new(testServer)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":   cmdStart,
			"stop":    cmdStop,
			"signal":  cmdSignal,
			"waitlog": cmdWaitLog,
			"exits":   cmdExits,
			"damage":  cmdDamage,
			"message": cmdMessage,
			"foreign": cmdForeign,
			"owned":   cmdOwned,
		},
	})
}

// If this fails, a service manager restarts a server in vain, or does not restart one
// that could go on.
func TestExitCodes(t *testing.T) {
	for want, err := range map[int]error{
		exitFailed:   errors.New("something"),
		exitUsage:    usagef("wrong"),
		exitProblems: &foundProblems{},
		exitStorage:  errors.Join(fmt.Errorf("%w: disk", daemon.ErrStorageFailed), errors.New("close")),
		exitConfig:   errors.Join(&config.Error{}, &config.Error{}),
	} {
		if have := exitCode(err); have != want {
			t.Errorf("%v: exit code %d, want %d", err, have, want)
		}
	}
}

// If this fails, the sockets that systemd opens for the server are not served.
func TestSocketActivation(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	// LISTEN_PID is the process that the sockets are for, which sh becomes.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec tidemark serve \
		--set server.data_dir="$0" --set imap.tls_listen= --set imap.starttls_listen=127.0.0.1:1`, t.TempDir())
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=imap")
	cmd.ExtraFiles = []*os.File{socket}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(testbed.Patience)); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "* OK ") {
		t.Errorf("greeting %q, %v", line, err)
	}
}

// If this fails, whoever ends the program that takes the log, or restarts it, ends the mail
// server with it, in the middle of what its clients do.
func TestBugLogThatNobodyReads(t *testing.T) {
	logRead, logWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer logRead.Close()
	defer logWrite.Close()
	cmd := exec.Command("tidemark", "serve", "--set", "server.data_dir="+t.TempDir(), "--set", "imap.tls_listen=",
		"--set", "imap.starttls_listen=127.0.0.1:0")
	cmd.Stderr = logWrite
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	logWrite.Close()
	log := bufio.NewScanner(logRead)
	for log.Scan() && !strings.Contains(log.Text(), "msg=ready") {
	}
	logRead.Close()
	_ = cmd.Process.Signal(syscall.SIGTERM) // which the server tells before it ends
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

type serverKey struct{}

// testServer is the server that a script has started.
type testServer struct {
	cmd *exec.Cmd
	log chan string // lines of its standard error; closed when it has ended
	all strings.Builder
}

func program(ts *testscript.TestScript) string {
	dirs := filepath.SplitList(ts.Getenv("PATH"))
	return filepath.Join(dirs[0], "tidemark")
}

func serverOf(ts *testscript.TestScript) *testServer {
	return ts.Value(serverKey{}).(*testServer)
}

// cmdStart runs "tidemark ARGS…" in the background until it is ready, and sets IMAPS,
// IMAP and LMTP to its addresses.
func cmdStart(ts *testscript.TestScript, _ bool, args []string) {
	s := serverOf(ts)
	ready, readyWriter, err := os.Pipe()
	ts.Check(err)
	defer ready.Close()
	if args[0] == "serve" {
		args = append(args, "--ready-fd", "3")
	}
	s.cmd = exec.Command(program(ts), args...)
	s.cmd.Dir = ts.MkAbs(".")
	s.cmd.Env = []string{"HOME=" + ts.MkAbs(".")}
	s.cmd.ExtraFiles = []*os.File{readyWriter}
	out, err := os.Create(ts.MkAbs("server.out"))
	ts.Check(err)
	defer out.Close()
	s.cmd.Stdout = out
	stderr, err := s.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	ts.Check(readyWriter.Close())
	ts.Defer(func() { s.kill() })
	s.log = make(chan string, 1024)
	go func() {
		defer close(s.log)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			s.log <- lines.Text()
		}
	}()
	listening := regexp.MustCompile(`msg=listening for=(\w+) address=(\S+)`)
	for !s.next(ts, "msg=ready", func(line string) {
		if m := listening.FindStringSubmatch(line); m != nil {
			ts.Setenv(strings.ToUpper(m[1]), m[2])
		}
	}) {
		ts.Fatalf("the server ended before it was ready:\n%s", s.all.String())
	}
	if args[0] == "serve" {
		said, err := io.ReadAll(ready)
		ts.Check(err)
		if string(said) != "READY=1\n" {
			ts.Fatalf("ready-fd: %q", said)
		}
	}
}

// next reads the log up to a line that matches and says whether there was one.
func (s *testServer) next(ts *testscript.TestScript, pattern string, each func(string)) bool {
	want := regexp.MustCompile(pattern)
	timeout := time.NewTimer(testbed.Patience)
	defer timeout.Stop()
	for {
		select {
		case <-timeout.C:
			ts.Fatalf("no %q in the log:\n%s", pattern, s.all.String())
		case line, ok := <-s.log:
			if !ok {
				return false
			}
			s.all.WriteString(line + "\n")
			if each != nil {
				each(line)
			}
			if want.MatchString(line) {
				return true
			}
		}
	}
}

func (s *testServer) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	for range s.log {
	}
	_ = s.cmd.Wait()
	s.cmd = nil
}

// cmdStop sends SIGTERM and requires the exit code given, 0 by default. The log is
// left in server.log.
func cmdStop(ts *testscript.TestScript, _ bool, args []string) {
	s := serverOf(ts)
	ts.Check(s.cmd.Process.Signal(syscall.SIGTERM))
	if s.next(ts, `^\b\B`, nil) { // nothing matches this: read to the end
		ts.Fatalf("unreachable")
	}
	want := 0
	if len(args) > 0 {
		var err error
		want, err = strconv.Atoi(args[0])
		ts.Check(err)
	}
	_ = s.cmd.Wait()
	if have := s.cmd.ProcessState.ExitCode(); have != want {
		ts.Fatalf("server: exit code %d, want %d\n%s", have, want, s.all.String())
	}
	s.cmd = nil
	ts.Check(os.WriteFile(ts.MkAbs("server.log"), []byte(s.all.String()), 0o600))
	s.all.Reset()
}

// cmdSignal sends HUP or KILL to the server.
func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	sig, ok := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}[args[0]]
	if !ok {
		ts.Fatalf("signal HUP|KILL")
	}
	s := serverOf(ts)
	ts.Check(s.cmd.Process.Signal(sig))
	if sig == syscall.SIGKILL {
		s.kill()
	}
}

// cmdWaitLog reads the server's log up to a line that matches.
func cmdWaitLog(ts *testscript.TestScript, _ bool, args []string) {
	if !serverOf(ts).next(ts, args[0], nil) {
		ts.Fatalf("the server ended without %q", args[0])
	}
}

// cmdExits runs "tidemark ARGS…" and requires an exit code. Its output is in the
// files stdout and stderr.
func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	cmd := exec.Command(program(ts), args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		ts.Fatalf("%v", err)
	}
	ts.Check(os.WriteFile(ts.MkAbs("stdout"), []byte(stdout.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("stderr"), []byte(stderr.String()), 0o600))
	if have := cmd.ProcessState.ExitCode(); have != want {
		ts.Fatalf("exit code %d, want %d\n%s%s", have, want, &stdout, &stderr)
	}
}

// cmdDamage changes one octet in the middle of the largest file that matches.
func cmdDamage(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	var largest string
	var size int64
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Size() > size {
			largest, size = file, info.Size()
		}
	}
	if largest == "" {
		ts.Fatalf("no file matches %s", args[0])
	}
	text, err := os.ReadFile(largest)
	ts.Check(err)
	text[size/2] ^= 0x10
	ts.Check(os.WriteFile(largest, text, 0o600))
	ts.Logf("damaged %s at %d", filepath.Base(largest), size/2)
}

// cmdForeign makes a data directory that belongs to another user, where this process may
// give it away, and sets a variable to its path.
func cmdForeign(ts *testscript.TestScript, _ bool, args []string) {
	// Below directories that everybody may pass.
	dir, err := os.MkdirTemp("", "tidemark")
	ts.Check(err)
	ts.Defer(func() { _ = os.RemoveAll(dir) })
	if os.Geteuid() == 0 {
		ts.Check(os.Chown(dir, nobody, nobody))
	}
	ts.Setenv(args[0], dir)
}

// nobody is a user who owns nothing else.
const nobody = 65534

// cmdOwned requires that everything in a directory belongs to the owner of that.
func cmdOwned(ts *testscript.TestScript, _ bool, args []string) {
	owner := func(info os.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }
	root, err := os.Stat(args[0])
	ts.Check(err)
	ts.Check(filepath.Walk(args[0], func(path string, info os.FileInfo, err error) error {
		if err == nil && owner(info) != owner(root) {
			ts.Fatalf("%s belongs to user %d", path, owner(info))
		}
		return err
	}))
}

// cmdMessage makes a file with a message of about so many octets.
func cmdMessage(ts *testscript.TestScript, _ bool, args []string) {
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	const line = "A line of a message that is nothing but long.\n"
	text := "From: a@example.org\nSubject: large\n\n" + strings.Repeat(line, size/len(line))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}
