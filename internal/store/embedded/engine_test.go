package embedded

import (
	"io"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"tidemark/internal/store"
	"tidemark/internal/store/storetest"
	"tidemark/internal/testbed"
)

// TestMain fails if a goroutine is left. What Pebble leaves behind when it cannot be opened,
// which many tests provoke, does not count: an engine that was not closed is found by the
// others that it has.
func TestMain(m *testing.M) {
	var ignore []goleak.Option
	for _, name := range []string{
		"tidemark/internal/store/embedded.(*fault).stopOpening",
		"tidemark/internal/store/embedded.(*Engine).openPebble.func1",
		pebblePath + ".(*ConcurrencyLimitScheduler).periodicGranter",
		pebblePath + ".(*DB).collectTableStats",
		pebblePath + ".(*DB).compact",
		pebblePath + ".(*DB).flush",
		pebblePath + ".(*DB).maybeScheduleDelayedFlush.func1",
		pebblePath + ".(*cleanupManager).mainLoop",
		pebblePath + "/internal/genericcache.(*shard[...]).releaseLoop",
		pebblePath + "/record.(*LogWriter).flushLoop",
		pebblePath + "/sstable.(*RawColumnWriter).drainWriteQueue",
		pebblePath + "/sstable/blob.(*FileWriter).drainWriteQueue",
	} {
		ignore = append(ignore, goleak.IgnoreAnyFunction(name))
	}
	testbed.Main(m, ignore...)
}

const pebblePath = "github.com/cockroachdb/pebble/v2"

// quiet drops what the engine logs.
func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// If this fails, the engine breaks the storage contract.
func TestContract(t *testing.T) {
	variants := map[string]func(testing.TB) (string, Options){
		"disk":   func(t testing.TB) (string, Options) { return t.TempDir(), Options{Ballast: -1} },
		"memory": func(testing.TB) (string, Options) { return "store", Options{FS: vfs.NewMem()} },
		"run twice": func(testing.TB) (string, Options) {
			return "store", Options{FS: vfs.NewMem(), RunTwice: true}
		},
		"tiny memory": func(testing.TB) (string, Options) {
			return "store", Options{FS: vfs.NewMem(), MemTableSize: 64 << 10, CacheSize: 1 << 10, BlobMemory: 1}
		},
	}
	for name, options := range variants {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t testing.TB) storetest.OpenFunc {
				dir, opts := options(t)
				opts.Logger = quiet()
				return func() (store.Engine, error) { return Open(dir, opts) }
			})
		})
	}
}
