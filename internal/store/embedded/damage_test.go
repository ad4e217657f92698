package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"tidemark/internal/store"
	"tidemark/internal/store/storetest"
)

// If this fails, a bad disk changes people's mail and nobody is told.
func TestDamage(t *testing.T) {
	disk, ledger := vfs.NewCrashableMem(), storetest.NewLedger(7)
	for range 2 { // the second time, tables are read that the first one wrote
		e, err := Open("store", smallOptions(disk))
		if err != nil {
			t.Fatal(err)
		}
		if err := ledger.Work(t.Context(), e, 30); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files := listFiles(t, disk, "store")
	rng := rand.New(rand.NewPCG(4, 4))
	outcomes := map[string]int{}
	for i := range 100 * *effort {
		// Every file is hit, and the large ones no more often.
		name := files[i%len(files)]
		copied := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
		bit, ok := flip(t, copied, name, rng)
		if !ok {
			continue
		}
		outcomes[judge(t, ledger, copied, fmt.Sprintf("bit %d of %s", bit, name))]++
	}
	t.Log(outcomes)
	if outcomes["reported"] == 0 {
		t.Error("no damage was found; the test does not do what it should")
	}
}

// listFiles returns all files in the directory and below.
func listFiles(t *testing.T, fs vfs.FS, dir string) []string {
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var files []string
	for _, name := range names {
		name = fs.PathJoin(dir, name)
		info, err := fs.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			files = append(files, listFiles(t, fs, name)...)
		} else if info.Size() > 0 {
			files = append(files, name)
		}
	}
	return files
}

// flip flips one bit of the file.
func flip(t *testing.T, fs *vfs.MemFS, name string, rng *rand.Rand) (bit int, ok bool) {
	data, err := fs.UnsafeGetFileDataBuffer(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) == 0 {
		return 0, false
	}
	bit = rng.IntN(8 * len(data))
	data[bit/8] ^= 1 << (bit % 8)
	return bit, true
}

// judge opens a damaged store. The damage must be harmless, or known as such when
// the store is opened or verified; what can be read must be right.
func judge(t *testing.T, ledger *storetest.Ledger, disk *vfs.MemFS, place string) string {
	e, err := Open("store", smallOptions(disk))
	if err != nil {
		if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrFormat) {
			t.Errorf("%s: open: %v", place, err)
		}
		return "refused"
	}
	defer e.Close()
	problems, damaged := 0, false
	for id := range store.AccountID(storetest.Accounts) {
		if err := e.Verify(t.Context(), id, func(d store.Damage) {
			problems++
			if strings.ContainsAny(d.Text, "\n<>") || strings.Contains(d.Text, "pebble") {
				t.Errorf("%s: not in our words: %q", place, d.Text)
			}
		}); err != nil {
			t.Errorf("%s: verify: %v", place, err)
		}
		if err := ledger.CheckAccount(t.Context(), e, id); err != nil {
			damaged = true
			if !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%s: read what is not right: %v", place, err)
			}
		}
	}
	switch {
	case problems > 0:
		return "reported"
	case damaged:
		t.Errorf("%s: found by reading, but not reported", place)
	}
	return "harmless"
}

// crashedStore returns the disk of a store that did not come to be closed, and whose
// last changes are in the log only.
func crashedStore(t *testing.T, ledger *storetest.Ledger) *vfs.MemFS {
	disk := vfs.NewCrashableMem()
	opts := smallOptions(disk)
	opts.MemTableSize = 4 << 20
	e, err := Open("store", opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.Work(t.Context(), e, 30); err != nil {
		t.Fatal(err)
	}
	crashed := disk.CrashClone(vfs.CrashCloneCfg{})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return crashed
}

// content returns the bytes of a file; changing them changes it.
func content(t *testing.T, disk *vfs.MemFS, name string) []byte {
	b, err := disk.UnsafeGetFileDataBuffer(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newest returns the last file in keys/ whose name contains part.
func newest(t *testing.T, disk *vfs.MemFS, part string) (file string) {
	for _, name := range listFiles(t, disk, "store/keys") {
		if strings.Contains(name, part) {
			file = name
		}
	}
	return file
}

// If this fails, an operator is not told which file is damaged, or a store that is not
// opened because of it is made worse.
func TestDamageStopsOpen(t *testing.T) {
	for _, part := range []string{".log", "MANIFEST"} {
		t.Run(part, func(t *testing.T) {
			ledger := storetest.NewLedger(5)
			disk := crashedStore(t, ledger)
			name := newest(t, disk, part)
			data := content(t, disk, name)
			data[len(data)/3] ^= 1
			before := map[string][]byte{}
			for _, f := range listFiles(t, disk, "store") {
				before[f] = bytes.Clone(content(t, disk, f))
			}
			_, err := Open("store", smallOptions(disk))
			if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), disk.PathBase(name)) {
				t.Errorf("damage in %s: %v", name, err)
			}
			for f, b := range before {
				if !bytes.Equal(content(t, disk, f), b) {
					t.Errorf("%s has been changed", f)
				}
			}
			data[len(data)/3] ^= 1 // as if it had been restored
			e, err := Open("store", smallOptions(disk))
			if err != nil {
				t.Fatal(err)
			}
			if err := ledger.Check(t.Context(), e); err != nil {
				t.Error(err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// If this fails, a server does not start after a crash that cut off a write.
func TestTornLog(t *testing.T) {
	ledger := storetest.NewLedger(6)
	disk := crashedStore(t, ledger)
	name := newest(t, disk, ".log")
	clear(content(t, disk, name)[len(content(t, disk, name))-10:])
	e, err := Open("store", smallOptions(disk))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// tableBlocker keeps tables from being written until it is closed.
type tableBlocker chan struct{}

func (tableBlocker) String() string { return "tableBlocker" }

// MaybeError implements errorfs.Injector. It injects nothing.
func (b tableBlocker) MaybeError(op errorfs.Op) error {
	if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
		<-b
	}
	return nil
}

// logsOf returns the logs of a store.
func logsOf(t *testing.T, disk *vfs.MemFS) []string {
	return slices.DeleteFunc(listFiles(t, disk, "store/keys"), func(name string) bool { return !strings.HasSuffix(name, ".log") })
}

// storeWithLogs returns the disk of a store that crashed with three logs to be replayed.
func storeWithLogs(t *testing.T) *vfs.MemFS {
	disk, blocker := vfs.NewCrashableMem(), make(tableBlocker)
	e, err := Open("store", smallOptions(errorfs.Wrap(disk, blocker)))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; len(logsOf(t, disk)) < 3 && i < 100; i++ {
		err := e.Update(t.Context(), 1, func(tx store.Tx) error {
			tx.Set([]byte{byte(i)}, make([]byte, 20_000))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	crashed := disk.CrashClone(vfs.CrashCloneCfg{})
	close(blocker)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return crashed
}

// If this fails, a log file that somebody removed takes acknowledged mail with it, and
// nobody is told.
func TestBugLogMissing(t *testing.T) {
	disk := storeWithLogs(t)
	whole := disk.CrashClone(vfs.CrashCloneCfg{})
	logs := logsOf(t, disk)
	if len(logs) != 3 {
		t.Fatalf("logs are %q", logs)
	}
	if err := disk.Remove(logs[1]); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it is not forgotten
		_, err := Open("store", smallOptions(disk))
		if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "missing between "+disk.PathBase(logs[0])) {
			t.Errorf("open: %v", err)
		}
	}
	e, err := Open("store", smallOptions(whole))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// storeWithValueFile returns a closed store of one blob, which lies in a file of values.
func storeWithValueFile(t *testing.T) (*vfs.MemFS, store.BlobRef) {
	disk := vfs.NewCrashableMem()
	e, err := Open("store", Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := storetest.WriteBlob(t.Context(), e, 1, make([]byte, 100_000))
	if err != nil {
		t.Fatal(err)
	}
	err = e.Update(t.Context(), 1, func(tx store.Tx) error {
		tx.Adopt(ref)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return disk, ref
}

// If this fails, a missing file of values is a panic at some later time, in the
// background, and not a refusal with words.
func TestMissingValueFile(t *testing.T) {
	disk, _ := storeWithValueFile(t)
	if err := disk.Remove(newest(t, disk, ".blob")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("store", Options{FS: disk}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("open: %v", err)
	}
}

// If this fails, a file of values that goes while the server runs makes reading a panic,
// which ends sessions and the check, and the server with one when it is stopped.
func TestBugValueFileGoes(t *testing.T) {
	disk, ref := storeWithValueFile(t)
	e, err := Open("store", Options{FS: disk, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.Remove(newest(t, disk, ".blob")); err != nil {
		t.Fatal(err)
	}
	if _, err := e.OpenBlob(t.Context(), 1, ref.Info().ID); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("read: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// If this fails, a file that is shorter than it was counts as a fault of the storage that
// may pass, and the check ends there and does not say what is damaged.
func TestBugFileCutOff(t *testing.T) {
	cut := fmt.Errorf("read block: %w", &fs.PathError{Op: "read", Path: "store/keys/000007.sst", Err: io.ErrUnexpectedEOF})
	for _, err := range []error{io.EOF, cut} {
		if err := readError([]byte("key"), err); !errors.Is(err, store.ErrCorrupt) {
			t.Error(err)
		}
	}
}

// If this fails, one damaged block hides from the check the accounts that lie elsewhere.
func TestDamagedAccountList(t *testing.T) {
	const accounts = 300
	disk := vfs.NewCrashableMem()
	e, err := Open("store", Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	for id := range store.AccountID(accounts) {
		err := e.Update(t.Context(), id, func(tx store.Tx) error {
			tx.Set([]byte("key"), bytes.Repeat([]byte{byte(id)}, 500))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	content(t, disk, newest(t, disk, ".sst"))[100] ^= 1
	if e, err = Open("store", Options{FS: disk, Logger: quiet()}); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var ids []store.AccountID
	err = e.Accounts(t.Context(), func(id store.AccountID) error {
		ids = append(ids, id)
		return nil
	})
	if !errors.Is(err, store.ErrCorrupt) || !slices.IsSorted(ids) || len(ids) < accounts/2 || len(ids) == accounts {
		t.Errorf("%d accounts, %v", len(ids), err)
	}
}
