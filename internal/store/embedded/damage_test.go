package embedded

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

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
		if err := e.Verify(t.Context(), id, func(string) { problems++ }); err != nil {
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
