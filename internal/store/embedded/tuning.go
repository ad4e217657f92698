package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"regexp"
	"runtime"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"tidemark/internal/store"
)

// keptMemTables is the number of memory tables that Pebble keeps once it has filled
// one: that in use and one to use again. It takes the memory of all it has from the
// cache, of which nothing would be left without this allowance.
const keptMemTables = 2

// pebbleOptions returns the settings of Pebble.
func (e *Engine) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                          e.fs,
		Logger:                      pebbleLogger{e.log, e.fault},
		CacheSize:                   e.opts.CacheSize + keptMemTables*e.opts.MemTableSize,
		MemTableSize:                uint64(e.opts.MemTableSize),
		MemTableStopWritesThreshold: 1000, // see backlog
		FormatMajorVersion:          pebble.FormatValueSeparation,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       1000,
		LBaseMaxBytes:               64 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, max(1, runtime.GOMAXPROCS(0)/2) },
		FlushDelayDeleteRange:       10 * time.Second,
		EventListener:               e.events(),
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].BlockSize = 16 << 10
		o.Levels[i].IndexBlockSize = 64 << 10
	}
	o.Experimental.ValueSeparationPolicy = e.blobPolicy
	// The account's own values are read in ranges and stay with their keys.
	o.Experimental.SpanPolicyFunc = pebble.MakeStaticSpanPolicyFunc(
		pebble.DefaultComparer.Compare,
		pebble.KeyRange{Start: []byte{spaceKeys}, End: []byte{spaceBody}},
		pebble.SpanPolicy{ValueStoragePolicy: pebble.ValueStorageLowReadLatency},
	)
	return o
}

// separateSize is the size in bytes from which the content of a blob is kept
// apart from its key, so that compactions do not copy it each time.
const separateSize = 512

// blobPolicy says when content that lies together is copied: when a table refers to
// too many files for reading in order, and when too much of the files is garbage.
// While space is short copying is for giving space back only. Files count however
// young they are (RewriteMinimumAge): Pebble does not look again when they are older.
//
// Files with garbage are rewritten only while space is short, and never once damage has
// been seen: Pebble 2.1 panics in the background when such a rewrite, other than a
// compaction, meets a damaged block.
func (e *Engine) blobPolicy() pebble.ValueSeparationPolicy {
	p := pebble.ValueSeparationPolicy{
		Enabled:               true,
		MinimumSize:           separateSize,
		MaxBlobReferenceDepth: 10,
		TargetGarbageRatio:    1, // none
	}
	if e.space.short() {
		p.MaxBlobReferenceDepth = math.MaxInt32
		if !e.damaged.Load() {
			p.TargetGarbageRatio = 0.02
		}
	}
	return p
}

// events logs what goes wrong in the background. Errors are made text because Pebble's
// would else be logged with their stacks.
func (e *Engine) events() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			if e.failure() == nil && !e.closed.Load() && !noSpace(err) { // space tells of that
				e.log.Error("storage: background work failed", "error", err.Error())
			}
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			e.damaged.Store(true)
			if detail := info.Details.Error(); e.news.first(info.Path + ": " + detail) {
				e.log.Error("storage: damaged data", "path", info.Path, "error", detail)
			}
		},
		DiskSlow:        func(info pebble.DiskSlowInfo) { e.log.Warn("storage: " + info.String()) },
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) { e.log.Warn("storage: writes wait: " + info.Reason) },
		WALCreated:      func(pebble.WALCreateInfo) { e.backlog.grown.Store(true) },
		FlushEnd: func(info pebble.FlushInfo) {
			if info.Err == nil {
				e.fs.flushes.succeed()
			}
		},
		CompactionEnd: func(info pebble.CompactionInfo) {
			if info.Err == nil {
				e.fs.compactions.succeed()
				return
			}
			// It may have failed in reading, of which the file system knows nothing.
			e.fs.compactions.strike()
			if noSpace(info.Err) {
				e.log.Debug("storage: no room to compact", "error", info.Err.Error())
				return
			}
			e.log.Warn("storage: compaction failed", "error", info.Err.Error())
		},
	}
}

// unreadable tells whether an error of reading means that the data is damaged:
// wrong checksums, a missing file, a bad sector.
func unreadable(err error) bool {
	return pebble.IsCorruptionError(err) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EIO)
}

// fileNumber is how Pebble's errors name the file in which something is damaged.
var fileNumber = regexp.MustCompile(`(?:file|table) (\d{6,})`)

// unreadableBecause puts an error for which unreadable is true in words of ours, with
// the file in which the damage is.
func unreadableBecause(err error) string {
	name := "a file of the store"
	var place *fs.PathError
	if errors.As(err, &place) {
		name = path.Join(path.Base(path.Dir(place.Path)), path.Base(place.Path))
	} else if m := fileNumber.FindStringSubmatch(err.Error()); m != nil {
		name = "file " + path.Join(keysDir, m[1])
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return name + " is missing"
	case errors.Is(err, syscall.EIO):
		return name + " cannot be read: the disk reports an error"
	}
	return name + " is damaged"
}

// lockError tells a file that cannot be opened from one that is locked.
func lockError(err error) error {
	var open *fs.PathError
	if errors.As(err, &open) {
		return err
	}
	return fmt.Errorf("%w: %v", ErrLocked, err)
}

// openError gives an error of opening Pebble its kind. Where Pebble names the place of
// damage, it does so in a detail that is no part of the text.
func openError(err error) error {
	switch {
	case noSpace(err):
		return fmt.Errorf("%w: %v", store.ErrFull, err)
	case unreadable(err):
		var place interface{ ErrorDetail() string }
		if errors.As(err, &place) {
			return fmt.Errorf("%w: %s: %v", store.ErrCorrupt, place.ErrorDetail(), err)
		}
		return fmt.Errorf("%w: %v", store.ErrCorrupt, err)
	case errors.Is(err, store.ErrFailed) || isSystemError(err):
		return err
	}
	// What Pebble cannot make sense of and the system did not refuse, a setting in its
	// OPTIONS that it does not know for one, is damage as well.
	return fmt.Errorf("%w: %v", store.ErrCorrupt, err)
}

// isSystemError tells whether the operating system gave the reason of err.
func isSystemError(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno)
}
