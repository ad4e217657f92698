package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tidemark/internal/store"
)

// If this fails, an operator whose store is damaged is not told where and what to do,
// or the server ends as if it had been a slip in the configuration.
func TestDamagedStore(t *testing.T) {
	c := testConfig(t)
	o := storageOptions{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	s, err := openStorage(c, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	manifests, err := filepath.Glob(filepath.Join(c.InDataDir("store"), "keys", "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatal("no manifest:", err)
	}
	for _, file := range manifests {
		if err := os.WriteFile(file, []byte("no manifest"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = openStorage(c, o); err == nil {
		s.Close()
	}
	if !errors.Is(err, ErrStorageFailed) {
		t.Fatalf("a damaged store: %v", err)
	}
	for _, want := range []string{"MANIFEST-", "nothing in it was changed", "backup"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	t.Log(err)
}

// If this fails, a server that cannot start because of its disk ends as if it had been a
// slip, or the operator is sent for the backup where there is only no room.
func TestBugFullDiskIsNoSlip(t *testing.T) {
	full := openError("data", fmt.Errorf("open store: %w", store.ErrFull))
	if !errors.Is(full, ErrStorageFailed) || !strings.Contains(full.Error(), "make room on the disk of data") {
		t.Errorf("no room in the store: %v", full)
	}
	failed := openError("data", fmt.Errorf("open store: %w", store.ErrFailed))
	if !errors.Is(failed, ErrStorageFailed) || strings.Contains(failed.Error(), "backup") {
		t.Errorf("a disk that cannot be written: %v", failed)
	}
	for errno, want := range map[syscall.Errno]bool{syscall.ENOSPC: true, syscall.EDQUOT: true, syscall.EIO: true, syscall.EACCES: false} {
		err := openError("data", &os.PathError{Op: "write", Path: "lock", Err: errno})
		if have := errors.Is(err, ErrStorageFailed); have != want {
			t.Errorf("%v: %v", errno, err)
		}
	}
}

// If this fails, somebody who is neither root nor the owner of the data directory is told
// of a server that cannot be reached, even where none is running.
func TestBugStrangerIsToldTheOwner(t *testing.T) {
	denied := fmt.Errorf("reach the server: %w", fs.ErrPermission)
	owner := &syscall.Credential{Uid: 4_000_000_000}
	if err := explainDenied(owner, denied); !strings.Contains(err.Error(), "belongs to user #4000000000; run this as root") {
		t.Errorf("another's directory: %v", err)
	}
	if err := explainDenied(nil, denied); err != denied {
		t.Errorf("own directory: %v", err)
	}
	if err := explainDenied(owner, io.EOF); err != io.EOF {
		t.Errorf("another error: %v", err)
	}
}

// If this fails, a command right after the start of a server ends with the advice to stop
// that server.
func TestBugCommandWhileServerStarts(t *testing.T) {
	inUse := &InUseError{Dir: "data", PID: "1"}
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		err := whileInUse(t.Context(), func() error {
			if time.Since(started) < inUseWait/2 {
				return inUse
			}
			return nil
		})
		if err != nil {
			t.Errorf("a server that is about to start: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		err := whileInUse(t.Context(), func() error { return inUse })
		if took := time.Since(started); err != inUse || took > inUseWait+inUsePause {
			t.Errorf("a server that never starts: %v after %v", err, took)
		}
	})
	if err := whileInUse(t.Context(), func() error { return io.EOF }); err != io.EOF {
		t.Errorf("another error: %v", err)
	}
}
