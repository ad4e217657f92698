package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// InUseError says that another process has the data directory.
type InUseError struct {
	Dir string
	PID string // empty where the other has not written it down
}

func (e *InUseError) Error() string {
	who := "another process"
	if e.PID != "" {
		who = "process " + e.PID
	}
	return fmt.Sprintf("the data directory %s is in use by %s; one directory has one server, "+
		"so stop that one or choose another directory with --set server.data_dir=…", e.Dir, who)
}

// lockDir makes the data directory if needed and takes it for this process. The lock
// ends with the process, however that ends.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = writePID(f)
	}
	if err == nil {
		return f, nil
	}
	defer f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		text := make([]byte, 20)
		n, _ := f.ReadAt(text, 0)
		return nil, &InUseError{dir, strings.TrimSpace(string(text[:n]))}
	}
	return nil, fmt.Errorf("lock the data directory: %w", err)
}

// writePID leaves this process's number in the lock file, for the message of the
// next one that tries.
func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

const (
	inUseWait  = 5 * time.Second // more than a server needs to start or to end
	inUsePause = 100 * time.Millisecond
)

// whileInUse calls open, and again for some time as long as another process has the
// data directory.
func whileInUse(ctx context.Context, open func() error) error {
	ctx, cancel := context.WithTimeout(ctx, inUseWait)
	defer cancel()
	for {
		err := open()
		if _, inUse := errors.AsType[*InUseError](err); !inUse {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(inUsePause):
		}
	}
}
