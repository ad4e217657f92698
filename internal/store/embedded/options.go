package embedded

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options are the settings of an engine. The zero value is good where there is 1 GiB of
// memory or more.
type Options struct {
	// FS is the file system; nil means the real one.
	FS vfs.FS
	// Logger takes what an operator should know; nil means slog.Default.
	Logger *slog.Logger
	// Memory is what the process can have in all, in bytes; 0 means very much. The
	// defaults below are for 1 GiB and more, and shrink with it.
	Memory int64
	// CacheSize is the memory for blocks of tables, in bytes; 0 means 64 MiB, or a
	// sixteenth of Memory if that is less. While there are fewer memory tables than under
	// load, it is up to two of them more.
	CacheSize int64
	// MemTableSize is the memory in bytes that takes new changes before they are
	// written to tables; some three times as much is used under load. 0 means
	// 32 MiB, less on a small disk or with little Memory.
	MemTableSize int64
	// MinFree is the free space in bytes below which no blobs are added. Other
	// changes, as for expunging, are taken as long as an eighth of it is left, the
	// ballast included; those that drop blobs, as long as a sixteenth is. 0 means
	// 128 MiB or a twentieth of the disk, the smaller of the two; a negative value
	// turns the check off.
	MinFree int64
	// Ballast is the space in bytes kept in a file that is given up when a disk
	// fills, so that what was begun can be ended; 0 means half as much as MinFree
	// by default, a negative value none.
	Ballast int64
	// BlobMemory is the memory in bytes for blobs that are not adopted yet; what
	// exceeds it goes to files whatever its size. 0 means 64 MiB, or a sixteenth of Memory.
	BlobMemory int64
	// Failed, if not nil, is called once when the storage has failed for good. It
	// runs in its own goroutine.
	Failed func(error)
	// RunTwice runs each Update function twice, of which the first run is thrown
	// away, and panics when an iterator is left open. It is for tests.
	RunTwice bool
}

func (o *Options) setDefaults() {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	setDefault(&o.Memory, unlimited)
	setDefault(&o.CacheSize, min(64<<20, o.Memory/16))
	setDefault(&o.BlobMemory, min(64<<20, o.Memory/16))
}

// fit sets the defaults that depend on the size of the disk.
func (o *Options) fit(dir string) {
	total := int64(unlimited)
	if usage, err := o.FS.GetDiskUsage(dir); err == nil && usage.TotalBytes > 0 {
		total = int64(min(usage.TotalBytes, unlimited))
	}
	setDefault(&o.MemTableSize, min(32<<20, max(1<<20, min(total/128, o.Memory/32))))
	setDefault(&o.MinFree, min(128<<20, total/20))
	setDefault(&o.Ballast, min(64<<20, total/40))
}

func setDefault(v *int64, def int64) {
	if *v == 0 {
		*v = def
	}
}
