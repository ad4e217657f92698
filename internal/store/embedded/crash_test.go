package embedded

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"tidemark/internal/store"
	"tidemark/internal/store/storetest"
)

// effort multiplies the length of the crash, fault and damage tests.
var effort = flag.Int("storetest.n", 1, "how many `times` as long the crash, fault and damage tests run")

// smallOptions make much happen with little data: many logs, flushes and
// compactions.
func smallOptions(fs vfs.FS) Options {
	return Options{FS: fs, Logger: quiet(), MemTableSize: 256 << 10, CacheSize: 1 << 20}
}

// If this fails, a power cut loses acknowledged mail, shows what was not yet safe,
// or leaves half of a transaction behind.
func TestCrash(t *testing.T) {
	for seed := range uint64(2 * *effort) {
		for _, survives := range []int{0, 40, 100} {
			t.Run(fmt.Sprintf("seed %d, %d%% of what is not synced survives", seed, survives), func(t *testing.T) {
				testCrash(t, seed, survives)
			})
		}
	}
}

// crash is the state of the disk at one moment, and what was promised before.
type crash struct {
	op     int
	disk   *vfs.MemFS
	ledger *storetest.Ledger
}

// crasher copies the disk before every n-th change of it.
type crasher struct {
	disk   *vfs.MemFS
	cfg    vfs.CrashCloneCfg
	every  int
	ledger *storetest.Ledger

	mu      sync.Mutex
	ops     int
	crashes []crash
}

func (c *crasher) String() string { return "crasher" }

// MaybeError implements errorfs.Injector. It injects nothing.
func (c *crasher) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ops++; c.ops%c.every == 0 {
		promised := c.ledger.Snapshot()
		c.crashes = append(c.crashes, crash{c.ops, c.disk.CrashClone(c.cfg), promised})
	}
	return nil
}

func testCrash(t *testing.T, seed uint64, survives int) {
	disk := vfs.NewCrashableMem()
	c := &crasher{
		disk:   disk,
		cfg:    vfs.CrashCloneCfg{UnsyncedDataPercent: survives, RNG: rand.New(rand.NewPCG(seed, 1))},
		every:  61 + int(seed)*2,
		ledger: storetest.NewLedger(seed),
	}
	e, err := Open("a/store", smallOptions(errorfs.Wrap(disk, c)))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ledger.Work(t.Context(), e, 40); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	for _, crash := range c.crashes {
		checkCrash(t, crash)
	}
	t.Logf("%d changes, %d crashes", c.ops, len(c.crashes))
}

// checkCrash opens the store as the crash left it, works on and looks again.
func checkCrash(t *testing.T, c crash) {
	for _, step := range []string{"crash", "more work"} {
		e, err := Open("a/store", smallOptions(c.disk))
		if err != nil {
			t.Errorf("open after the crash before change %d: %v", c.op, err)
			return
		}
		if err := c.ledger.Check(t.Context(), e); err != nil {
			t.Errorf("after the %s, change %d: %v", step, c.op, err)
		}
		if err := checkFiles(t, e); err != nil {
			t.Errorf("after the %s, change %d: %v", step, c.op, err)
		}
		if err := c.ledger.Work(t.Context(), e, 2); err != nil {
			t.Errorf("work after change %d: %v", c.op, err)
		}
		if err := e.Close(); err != nil {
			t.Errorf("close after change %d: %v", c.op, err)
		}
	}
}

// checkFiles reports files of blobs that nobody refers to.
func checkFiles(t *testing.T, e *Engine) error {
	e.files.swept.Wait()
	names, err := e.fs.List(e.files.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		id, blob, ok := parseFileName(name)
		if !ok {
			errs = append(errs, fmt.Errorf("odd file %s", name))
		} else if _, _, err := e.blobRecord(id, blob); errors.Is(err, store.ErrNotFound) {
			errs = append(errs, fmt.Errorf("file %s is without a record", name))
		}
	}
	return errors.Join(errs...)
}
