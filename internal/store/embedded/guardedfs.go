package embedded

import (
	"bytes"
	"errors"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guardedFS stands between Pebble and the disk, because Pebble ends the process
// when its log cannot be written. Here such an error marks the storage as failed
// and Pebble is told that all is well; Update knows better and acknowledges
// nothing. From then on nothing reaches the disk any more, so what the next Open
// finds is the state of a crash at that moment: writes to the log go nowhere,
// other files of Pebble cannot be written, and reading goes on.
type guardedFS struct {
	vfs.FS
	fault *fault
	space *space
	// strikes counts the tables in a row that could not be written. Pebble tries
	// again at once and for ever; each strike makes the next try wait.
	strikes atomic.Int32
}

const (
	// maxStrikes in a row, after some 10 s, mean that the storage has failed.
	maxStrikes = 12
	strikeTime = 10 * time.Millisecond
	// fullStrikes are given for a full disk: the next try comes after 160 ms.
	fullStrikes = 4
	maxWait     = 2 * time.Second
)

func newGuardedFS(fs vfs.FS, f *fault, s *space) *guardedFS {
	return &guardedFS{FS: fs, fault: f, space: s}
}

// role is what a file is for, and with it what an error means.
type role int

const (
	roleMeta  role = iota // manifest, markers, options: Pebble handles errors
	roleTable             // tables: written anew, elsewhere, after an error
	roleValue             // values apart from tables: errors are final
	roleLog               // the write-ahead log and directories: errors are final
	roleBlob              // our files of blobs: errors are final
)

func roleOf(name string) role {
	switch {
	case strings.HasSuffix(name, ".log"):
		return roleLog
	case strings.HasSuffix(name, ".sst"):
		return roleTable
	case strings.HasSuffix(name, ".blob"):
		return roleValue
	case path.Base(path.Dir(name)) == blobsDir:
		return roleBlob
	default:
		return roleMeta
	}
}

// before is called before anything is changed. It returns false if it must not be
// done, and with what result.
func (g *guardedFS) before(r role) (goOn bool, err error) {
	if g.fault.failure() == nil {
		return true, nil
	}
	if r == roleLog || r == roleValue {
		return false, nil
	}
	return false, errFrozen
}

// after judges the result of a change.
func (g *guardedFS) after(r role, err error) error {
	if err == nil || !g.fault.armed.Load() {
		return err
	}
	switch r {
	case roleLog, roleValue:
		// That Pebble believes a file of values to be whole does no harm: the
		// manifest cannot be written any more. See guardedFile.writeValues.
		g.fault.fail(err)
		return nil
	case roleTable:
		g.strike(err)
	case roleBlob:
		if !noSpace(err) {
			g.fault.fail(err)
		}
	}
	return err
}

// do makes one change that belongs to the role.
func (g *guardedFS) do(r role, change func() error) error {
	if goOn, err := g.before(r); !goOn {
		return err
	}
	return g.after(r, change())
}

// open makes a file with create. If it cannot, and nobody may know, the file goes
// nowhere.
func (g *guardedFS) open(name string, c vfs.DiskWriteCategory, create func() (vfs.File, error)) (vfs.File, error) {
	r := roleOf(name)
	if r == roleTable || r == roleValue {
		g.holdBack()
	}
	var f vfs.File
	err := g.do(r, func() (err error) {
		f, err = create()
		return err
	})
	if err != nil {
		return nil, err
	}
	if f == nil {
		f = vfs.NewMemFile(nil)
	}
	return &guardedFile{File: f, fs: g, role: r, name: name, compaction: isCompaction(c)}, nil
}

// isCompaction tells by Pebble's names for them whether a file is the work of a
// compaction, and not of a flush.
func isCompaction(c vfs.DiskWriteCategory) bool {
	return c == "pebble-compaction" || c == "pebble-blob-file-rewrite"
}

// holdBack delays the making of a table after others failed. When the storage has
// failed it waits until the store is closed, because Pebble would try without end.
func (g *guardedFS) holdBack() {
	if g.fault.failure() != nil {
		<-g.fault.closing
		return
	}
	n := g.strikes.Load()
	if n == 0 {
		return
	}
	t := time.NewTimer(min(strikeTime<<n, maxWait))
	defer t.Stop()
	select {
	case <-t.C:
	case <-g.fault.closing:
	}
}

// strike counts a table that could not be written.
func (g *guardedFS) strike(err error) {
	switch {
	case g.fault.ending.Load():
		g.fault.fail(err)
	case noSpace(err):
		g.strikes.CompareAndSwap(0, fullStrikes)
	case g.strikes.Add(1) > maxStrikes:
		g.fault.fail(err)
	}
}

// flushed is called when a flush has succeeded.
func (g *guardedFS) flushed() { g.strikes.Store(0) }

// Create implements vfs.FS.
func (g *guardedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open(name, c, func() (vfs.File, error) { return g.FS.Create(name, c) })
}

// ReuseForWrite implements vfs.FS.
func (g *guardedFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open(newname, c, func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, c) })
}

// OpenReadWrite implements vfs.FS.
func (g *guardedFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.open(name, c, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, c, opts...) })
}

// OpenDir implements vfs.FS. Pebble syncs the directory of its log when it makes a
// new one, so its errors are as final as the log's.
func (g *guardedFS) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedFile{File: f, fs: g, role: roleLog}, nil
}

// Link implements vfs.FS.
func (g *guardedFS) Link(oldname, newname string) error {
	return g.do(roleOf(newname), func() error { return g.FS.Link(oldname, newname) })
}

// Rename implements vfs.FS.
func (g *guardedFS) Rename(oldname, newname string) error {
	return g.do(roleOf(newname), func() error { return g.FS.Rename(oldname, newname) })
}

// Remove implements vfs.FS. That a file cannot be removed loses nothing.
func (g *guardedFS) Remove(name string) error {
	return g.do(roleMeta, func() error { return g.FS.Remove(name) })
}

// RemoveAll implements vfs.FS.
func (g *guardedFS) RemoveAll(name string) error {
	return g.do(roleMeta, func() error { return g.FS.RemoveAll(name) })
}

// MkdirAll implements vfs.FS.
func (g *guardedFS) MkdirAll(dir string, perm os.FileMode) error {
	return g.do(roleMeta, func() error { return g.FS.MkdirAll(dir, perm) })
}

// Unwrap implements vfs.FS.
func (g *guardedFS) Unwrap() vfs.FS { return g.FS }

// guardedFile is a file of a guardedFS.
type guardedFile struct {
	vfs.File
	fs         *guardedFS
	role       role
	name       string
	compaction bool
	// held is what a file of values has had no room for, at most some small writes.
	held []byte
	// broken is set when a file of values had no room for more than that. It is
	// removed when it is closed, since Pebble forgets it.
	broken error
}

// Write implements vfs.File.
func (f *guardedFile) Write(p []byte) (n int, err error) {
	size := len(p)
	if err := f.crowded(size); err != nil {
		return 0, err
	}
	err = f.fs.do(f.role, func() (err error) {
		if f.role == roleValue {
			return f.writeValues(p)
		}
		n, err = f.File.Write(p)
		return err
	})
	switch {
	case f.broken != nil && size >= bufferSize:
		return 0, f.broken
	case err == nil:
		return size, nil
	}
	return n, err
}

// bufferSize is the size of the buffer in front of the files that Pebble writes.
const bufferSize = 4096

// crowded returns an error if a compaction would write to the space that is kept
// free. Mail needs it more, and the compaction can be done later.
func (f *guardedFile) crowded(size int) error {
	if f.compaction && size >= bufferSize && f.broken == nil && f.fs.space.crowded() {
		err := f.fs.after(roleTable, syscall.ENOSPC)
		if f.role == roleValue {
			f.broken = err
		}
		return err
	}
	return nil
}

// writeValues writes to a file of values. Pebble 2.1 panics if the last write,
// which flushes its buffer, or the sync behind it fails. So when the disk is full a
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
		f.fs.strikes.CompareAndSwap(0, fullStrikes)
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

// sync writes what is held and syncs the file.
func (f *guardedFile) sync(how func() error) error {
	return f.fs.do(f.role, func() error {
		if f.broken != nil {
			return nil
		}
		if err := f.writeHeld(); err != nil {
			return err
		}
		return how()
	})
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

// WriteAt implements vfs.File.
func (f *guardedFile) WriteAt(p []byte, off int64) (int, error) {
	n := len(p)
	err := f.fs.do(f.role, func() (err error) {
		n, err = f.File.WriteAt(p, off)
		return err
	})
	if err == nil {
		n = len(p)
	}
	return n, err
}

// Preallocate implements vfs.File. It is only a hint: a write will tell.
func (f *guardedFile) Preallocate(offset, length int64) error {
	if goOn, err := f.fs.before(f.role); !goOn {
		return err
	}
	return f.File.Preallocate(offset, length)
}

// Sync implements vfs.File.
func (f *guardedFile) Sync() error { return f.sync(f.File.Sync) }

// SyncData implements vfs.File.
func (f *guardedFile) SyncData() error { return f.sync(f.File.SyncData) }

// SyncTo implements vfs.File.
func (f *guardedFile) SyncTo(length int64) (full bool, err error) {
	err = f.fs.do(f.role, func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// Close implements vfs.File.
func (f *guardedFile) Close() error {
	err := f.File.Close()
	if f.broken != nil {
		return f.fs.Remove(f.name)
	}
	if f.fs.fault.failure() != nil && f.role != roleTable && f.role != roleMeta {
		return nil
	}
	return f.fs.after(f.role, err)
}

// noSpace tells whether the disk, or the user's share of it, is full.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
