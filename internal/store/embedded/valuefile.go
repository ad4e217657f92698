package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/internal/store"
)

// Pebble 2.1 keeps large values in files of their own and does not bear errors of
// these files in some places: it panics, in the background, where nobody can
// recover. What is in this file keeps such errors from it.

// bufferSize is the size of the buffer in front of the files that Pebble writes.
const bufferSize = 4096

// crowded returns an error if a compaction would write to the space that is kept
// free. Mail needs it more, and the compaction can be done later.
func (f *guardedFile) crowded(size int) error {
	if f.compaction && size >= bufferSize && f.broken == nil && f.fs.space.crowded() {
		if f.role == roleValue {
			f.broken = syscall.ENOSPC
		}
		f.strike(syscall.ENOSPC)
		return syscall.ENOSPC
	}
	return nil
}

// writeValues writes to a file of values. Pebble 2.1 panics if the last write,
// which flushes its buffer, or the sync after it fails. So when the disk is full a
// write of up to the buffer's size is held; if there is no room for it at the next
// large one, that fails.
func (f *guardedFile) writeValues(p []byte) error {
	if f.broken != nil {
		return nil
	}
	large := len(p) > bufferSize || len(p) == bufferSize && len(f.held) > 0
	if len(f.held) > 0 {
		f.held = append(f.held, p...)
		p = f.held
	}
	n, err := f.File.Write(p)
	switch {
	case !noSpace(err):
		f.held = nil
		return err
	case large:
		f.strike(err)
		f.broken = err
	default:
		f.held = bytes.Clone(p[n:])
	}
	return nil
}

// writeHeld writes the end of a file of values when there is room. New changes are
// refused in the meantime, and what is to be written here is still in the log.
func (f *guardedFile) writeHeld() error {
	for len(f.held) > 0 {
		n, err := f.File.Write(f.held)
		f.held = f.held[n:]
		if err != nil && (!noSpace(err) || !f.fs.awaitRoom()) {
			return err
		}
	}
	return nil
}

// awaitRoom waits a little and tells whether to try again.
func (g *guardedFS) awaitRoom() bool {
	if g.fault.ending.Load() {
		return false
	}
	t := time.NewTimer(askTime)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-g.fault.closing:
	case <-g.fault.failed:
	}
	return false
}

// checkValueFiles returns store.ErrCorrupt if files of values are missing. Pebble looks
// for tables when it opens, but not for these, and panics when it comes to read one.
func checkValueFiles(fs vfs.FS, keys string, db *pebble.DB) error {
	for {
		before := db.Metrics()
		names, err := fs.List(keys)
		if err != nil {
			return err
		}
		there, live := uint64(0), before.BlobFiles.LiveCount
		for _, name := range names {
			if roleOf(name) == roleValue {
				there++
			}
		}
		if there >= live {
			return nil
		}
		// Where a flush or a compaction has ended meanwhile, other files are in use now.
		after := db.Metrics()
		if after.Flush.Count == before.Flush.Count && after.Compact.Count == before.Compact.Count {
			return fmt.Errorf("%w: %s has %d files of values (*.blob), and %d are in use", store.ErrCorrupt, keysDir, there, live)
		}
	}
}

// errMissing is said of files of values in the place of fs.ErrNotExist.
var errMissing = errors.New("file is missing")

// openValue opens a file of values to be read. Pebble panics when it opens one that is
// missing or whose footer is damaged, so such a file is called unreadable here. The footer
// is a checksum (4 bytes), which covers what follows, and ends with a magic number.
func (g *guardedFS) openValue(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := g.FS.Open(name, opts...)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &os.PathError{Op: "open", Path: name, Err: errMissing}
	}
	if err != nil || footerOK(f) {
		return f, err
	}
	_ = f.Close()
	return nil, &os.PathError{Op: "read footer", Path: name, Err: syscall.EIO}
}

const (
	footerLen   = 38
	footerMagic = "\xf0\x9f\xaa\xb3\xf0\x9f\xa6\x80"
)

func footerOK(f vfs.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() < footerLen {
		return false
	}
	var b [footerLen]byte
	if n, _ := f.ReadAt(b[:], info.Size()-footerLen); n < footerLen {
		return false
	}
	sum := crc32.Checksum(b[4:], castagnoli)
	sum = (sum>>15 | sum<<17) + 0xa282ead8 // as LevelDB masks it
	return binary.LittleEndian.Uint32(b[:]) == sum && string(b[footerLen-len(footerMagic):]) == footerMagic
}
