package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"tidemark/internal/store"
	"tidemark/internal/store/storetest"
)

// injector fails changes of the disk from the n-th on, once or for ever.
type injector struct {
	n    int64
	ever bool
	err  error
	ops  atomic.Int64
}

func (i *injector) String() string { return "injector" }

// MaybeError implements errorfs.Injector.
func (i *injector) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpFileClose {
		return nil
	}
	if n := i.ops.Add(1); n == i.n || i.ever && n > i.n {
		return i.err
	}
	return nil
}

// reached tells whether the fault has happened.
func (i *injector) reached() bool { return i.ops.Load() >= i.n }

// If this fails, a disk that breaks makes the server acknowledge what it does not
// keep, end without a word, or hang.
func TestFault(t *testing.T) {
	step := max(1, 2 / *effort)
	for _, ever := range []bool{false, true} {
		t.Run(fmt.Sprintf("ever %v", ever), func(t *testing.T) {
			reached := true
			for n := 1; reached; n += step {
				reached = testFault(t, &injector{n: int64(n), ever: ever, err: syscall.EIO})
			}
		})
	}
}

// testFault works on a disk with a fault and tells whether it got there.
func testFault(t *testing.T, inj *injector) bool {
	disk, ledger := vfs.NewCrashableMem(), storetest.NewLedger(uint64(inj.n))
	failed := make(chan error, 1)
	opts := smallOptions(errorfs.Wrap(disk, inj))
	opts.MemTableSize = 64 << 10
	opts.Failed = func(err error) { failed <- err }
	if e, err := Open("a/store", opts); err == nil {
		workWithFault(t, e, ledger, inj, failed)
		if err := e.Close(); err != nil && !errors.Is(err, store.ErrFailed) {
			t.Errorf("fault at change %d: close: %v", inj.n, err)
		}
	} else if !inj.reached() {
		t.Errorf("open: %v", err)
	}
	checkAfterFault(t, inj, ledger, disk.CrashClone(vfs.CrashCloneCfg{}))
	return inj.reached()
}

func workWithFault(t *testing.T, e *Engine, ledger *storetest.Ledger, inj *injector, failed chan error) {
	err := ledger.Work(t.Context(), e, 8)
	if err == nil {
		return
	}
	if !errors.Is(err, store.ErrFailed) {
		t.Errorf("fault at change %d: %v", inj.n, err)
	}
	if err := <-failed; !errors.Is(err, store.ErrFailed) {
		t.Errorf("fault at change %d: the hook was given %v", inj.n, err)
	}
	told := ledger.Told()
	err = ledger.Work(context.Background(), e, 2)
	if !errors.Is(err, store.ErrFailed) || ledger.Told() != told {
		t.Errorf("fault at change %d: work went on: %v", inj.n, err)
	}
}

// checkAfterFault opens the store on a disk that is whole again.
func checkAfterFault(t *testing.T, inj *injector, ledger *storetest.Ledger, disk *vfs.MemFS) {
	e, err := Open("a/store", smallOptions(disk))
	if err != nil {
		t.Errorf("fault at change %d: open again: %v", inj.n, err)
		return
	}
	if err := ledger.Check(t.Context(), e); err != nil {
		t.Errorf("fault at change %d: %v", inj.n, err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("fault at change %d: close again: %v", inj.n, err)
	}
}

// If this fails, a server that starts on a full disk neither starts nor says why: Pebble
// tries again for ever what it takes for the end of the process.
func TestFatalWhileOpening(t *testing.T) {
	f := newFault(quiet(), nil)
	go pebbleLogger{quiet(), f}.Fatalf("%s", &os.PathError{Op: "write", Path: "MANIFEST", Err: syscall.ENOSPC})
	if err := openError(<-f.opening); !errors.Is(err, store.ErrFull) {
		t.Errorf("open: %v", err)
	}
}

// If this fails, a store hangs for ever, and in silence, when Pebble's background work meets
// a full disk just when the store has been opened.
func TestFatalWhenJustOpened(t *testing.T) {
	cause := &os.PathError{Op: "write", Path: "MANIFEST", Err: syscall.ENOSPC}
	early := newFault(quiet(), nil)
	early.opening <- cause // the opening has not looked yet
	if err := openError(early.arm()); !errors.Is(err, store.ErrFull) {
		t.Errorf("open: %v", err)
	}
	late := newFault(quiet(), nil)
	if err := late.arm(); err != nil {
		t.Error(err)
	}
	late.stopOpening(cause)
	pebbleLogger{quiet(), late}.Fatalf("%s", cause)
	if err := late.failure(); !errors.Is(err, store.ErrFailed) {
		t.Errorf("after the opening: %v", err)
	}
}

// If this fails, a server that starts on a disk where no table can be written tries again
// for ever, in silence: Pebble does not open before what its log has is flushed.
func TestBugFlushFailsWhileOpening(t *testing.T) {
	for cause, want := range map[error]error{syscall.ENOSPC: store.ErrFull, syscall.EIO: store.ErrFailed} {
		f := &guardedFile{fs: newGuardedFS(nil, newFault(quiet(), nil), nil), role: roleTable}
		go f.strike(cause)
		if err := openError(<-f.fs.fault.opening); !errors.Is(err, want) {
			t.Errorf("%v: %v", cause, err)
		}
	}
}

// If this fails, a server that starts after a crash on a disk with a fault ends with the stack
// of one of Pebble's goroutines, or hangs, instead of saying what is wrong.
func TestBugFaultWhileOpening(t *testing.T) {
	ledger := storetest.NewLedger(3)
	crashed := crashedStore(t, ledger)
	for _, ever := range []bool{false, true} {
		for n := int64(1); ; n++ {
			inj := &injector{n: n, ever: ever, err: syscall.EIO}
			disk := crashed.CrashClone(vfs.CrashCloneCfg{})
			e, err := Open("store", smallOptions(errorfs.Wrap(disk, inj)))
			switch {
			case err == nil:
				if err := e.Close(); err != nil && !errors.Is(err, store.ErrFailed) {
					t.Errorf("fault at change %d: close: %v", n, err)
				}
			case !errors.Is(err, store.ErrFailed) && !errors.Is(err, syscall.EIO):
				t.Errorf("fault at change %d: open: %v", n, err)
			}
			checkOpens(t, ledger, disk.CrashClone(vfs.CrashCloneCfg{}))
			if !inj.reached() {
				break
			}
		}
	}
}

// checkOpens opens the store on a disk that is whole again.
func checkOpens(t *testing.T, ledger *storetest.Ledger, disk *vfs.MemFS) {
	e, err := Open("store", smallOptions(disk))
	if err != nil {
		t.Errorf("open again: %v", err)
		return
	}
	if err := ledger.Check(t.Context(), e); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}
