package embedded

import (
	"math"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable/block"
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
		o.Levels[i].Compression = compression
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

// compression compresses bodies, and leaves what the account's keys hold as it is. Half of
// reading a summary for the first time was to decompress it; it takes about 1 KB more of
// the disk for each message. The name, which Pebble looks up, remains that of Snappy.
func compression() *block.CompressionProfile {
	p := *block.SnappyCompression
	p.DataBlocks, p.OtherBlocks = block.NoCompression.DataBlocks, block.NoCompression.OtherBlocks
	return &p
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
