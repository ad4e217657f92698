package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"tidemark/internal/admin"
	"tidemark/internal/config"
)

// A helper is this program once more, as the owner of the data directory. It serves the
// administration on a socket that it inherits, until its standard input ends, which it
// does at the latest when the process that has started it is gone.

const (
	// helperSocket is the descriptor of the inherited socket.
	helperSocket = 3
	// helperReady is the line by which a helper says that it serves.
	helperReady = "ready\n"
)

// HelperError says that a helper has failed. It has said why on standard error.
type HelperError struct{ Code int } // the exit code

func (e *HelperError) Error() string {
	return fmt.Sprintf("the process of the data directory's owner ended with code %d", e.Code)
}

// helper is a helper that runs.
type helper struct {
	dir   string // of the socket
	cmd   *exec.Cmd
	stdin io.Closer
}

// startHelper starts a helper as the owner and returns the administration by it.
func startHelper(ctx context.Context, o ServiceOptions, owner *syscall.Credential) (admin.Service, func() error, error) {
	h := &helper{}
	socket, err := h.start(o, owner)
	if err == nil {
		var client *admin.Client
		if client, err = admin.Dial(ctx, socket); err == nil {
			return client, func() error { return errors.Join(client.Close(), h.close()) }, nil
		}
	}
	cerr := h.close()
	if _, failed := errors.AsType[*HelperError](cerr); failed {
		return nil, nil, cerr
	}
	return nil, nil, fmt.Errorf("run as user %s, whose the data directory is: %w", userName(owner.Uid), err)
}

// start returns the path of the socket when the helper serves.
func (h *helper) start(o ServiceOptions, owner *syscall.Credential) (socket string, err error) {
	if h.dir, err = os.MkdirTemp("", "tidemark-"); err != nil {
		return "", err
	}
	socket = filepath.Join(h.dir, "admin.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return "", err
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	inherited, err := l.File()
	if err != nil {
		return "", err
	}
	defer inherited.Close()
	// By this name it can also be run where the owner may not look for it.
	h.cmd = exec.Command("/proc/self/exe", o.Helper...)
	h.cmd.Args[0] = os.Args[0]
	h.cmd.ExtraFiles = []*os.File{inherited} // becomes helperSocket
	h.cmd.Stderr = o.Warnings
	// An interrupt of the terminal is for the process that uses the helper.
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Setpgid: true}
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		return "", err
	}
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := h.cmd.Start(); err != nil {
		return "", err
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != helperReady {
		return "", fmt.Errorf("not ready: %q: %w", line, err)
	}
	return socket, nil
}

// close ends the helper and waits for it.
func (h *helper) close() error {
	if h.stdin != nil {
		_ = h.stdin.Close() // it may have ended by itself
	}
	var err error
	if h.cmd != nil && h.cmd.Process != nil {
		err = h.cmd.Wait()
		if ended, ok := errors.AsType[*exec.ExitError](err); ok {
			err = &HelperError{ended.ExitCode()}
		}
	}
	if h.dir != "" {
		err = errors.Join(err, os.RemoveAll(h.dir))
	}
	return err
}

// RunHelper is what a helper does: it serves the administration of the data directory
// on the inherited socket until stdin ends.
func RunHelper(c *config.Config, stdin io.Reader, stdout, warnings io.Writer) (err error) {
	inherited := os.NewFile(helperSocket, "socket")
	l, err := net.FileListener(inherited)
	if err != nil {
		return fmt.Errorf("take over the socket: %w", err)
	}
	defer l.Close()
	inherited.Close()
	st, err := openAdminStorage(c, warnings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	log, _ := newLogger(warnings, config.Log{Level: "warn", Format: c.Log.Format})
	server := newHTTPServer(admin.NewHandler(adminService(c, st), log), log)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	if _, err := io.WriteString(stdout, helperReady); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, stdin) // however it ends
	err = server.Close()
	<-served
	return err
}
