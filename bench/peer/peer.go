// Package peer runs the servers that are measured side by side, and reads from the
// kernel what they cost.
package peer

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// User is an account of both servers.
type User struct{ Name, Password string }

// Users returns n users with generated passwords.
func Users(n int) []User {
	list := make([]User, n)
	for i := range list {
		list[i] = User{Name: fmt.Sprintf("user%d", i), Password: rand.Text()}
	}
	return list
}

// Options say how both servers run.
type Options struct {
	// Dir holds everything, also the mail; it must lie on a real disk.
	Dir string
	// Cert and Key are the PEM files of the certificate.
	Cert, Key string
	// Users are made the way an operator makes them. FileUsers stand in a passwd-file on
	// both sides: to check their passwords takes next to no memory, which a measurement
	// of memory must not see.
	Users, FileUsers []User
}

// Server is a mail server under test.
type Server struct {
	Name    string
	Version string
	// IMAPS and LMTP are the addresses to connect to.
	IMAPS, LMTP string

	opts    Options
	dir     string
	command []string
	// more are arguments for the time being; with turns settings into such.
	more []string
	with func(settings []string) []string
	// ready waits until the server accepts connections.
	ready func(*Server) error
	// forget removes what the server has derived from the mail of a mailbox.
	forget func(user, mailbox string) error

	group  *group
	cmd    *exec.Cmd
	exited chan error
}

// Start starts the server.
func (s *Server) Start() error {
	g := newGroup(s.Name)
	log, err := os.OpenFile(filepath.Join(s.dir, "output.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return errors.Join(err, g.remove())
	}
	defer log.Close()
	s.group = g
	s.cmd = g.command(slices.Concat(s.command, s.more))
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return errors.Join(err, g.remove())
	}
	g.root = s.cmd.Process.Pid
	s.exited = make(chan error, 1)
	go func() { s.exited <- s.cmd.Wait() }()
	if err := s.ready(s); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w; see %s", s.Name, err, log.Name()), s.Stop())
	}
	return nil
}

// startLimit is how long a server may take to start, and stopLimit to stop.
const (
	startLimit = 2 * time.Minute
	stopLimit  = 30 * time.Second
)

// Stop ends the server and waits for all its processes.
func (s *Server) Stop() error {
	if s.cmd == nil {
		return nil
	}
	s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-s.exited:
	case <-time.After(stopLimit):
		s.cmd.Process.Kill()
		<-s.exited
	}
	s.cmd = nil
	return s.group.remove()
}

// Restart stops the server and starts it again, so that nothing is left of what it kept
// in memory.
func (s *Server) Restart() error { return errors.Join(s.Stop(), s.Start()) }

// RestartWith is Restart with further settings of Tidemark's, of the form
// section.key=value, which hold until the next RestartWith. Another server is restarted
// as it was.
func (s *Server) RestartWith(settings ...string) error {
	if s.with != nil {
		s.more = s.with(settings)
	}
	return s.Restart()
}

// Forget restarts the server and removes what it has derived from the mail of the
// mailbox beside the mail itself: the next client is the first that ever asks.
func (s *Server) Forget(user, mailbox string) error {
	if err := s.Stop(); err != nil {
		return err
	}
	if s.forget != nil {
		if err := s.forget(user, mailbox); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.Start()
}

// CPU returns the processor time that all processes of the server have taken since it
// was started, those that have ended too.
func (s *Server) CPU() (time.Duration, error) { return s.group.cpu() }

// Memory returns the sum of the proportional set sizes (PSS) of its processes in octets.
func (s *Server) Memory() (int64, error) { return s.group.memory() }

// accepts waits until something accepts connections at the addresses.
func (s *Server) accepts(addrs ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for _, addr := range addrs {
		for {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			if err == nil {
				conn.Close()
				break
			}
			select {
			case err := <-s.exited:
				s.exited <- err
				return fmt.Errorf("ended: %w", err)
			case <-ctx.Done():
				return err
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// freeAddrs returns n free loopback addresses.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// All are held until all are there, so that they differ.
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

// output runs a command and returns the first line that it prints.
func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return strings.TrimSpace(string(line)), nil
}
