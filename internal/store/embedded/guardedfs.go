package embedded

import (
	"errors"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guardedFS stands between Pebble and the disk, because Pebble ends the process
// when its log or its manifest cannot be written. Here such an error marks the
// storage as failed and Pebble is told that all is well; Update knows better and
// acknowledges nothing. From then on nothing reaches the disk any more, so what the
// next Open finds is the state of a crash at that moment: what is written to log
// and manifest goes nowhere, tables cannot be written, and reading goes on.
type guardedFS struct {
	vfs.FS
	fault *fault
	space *space
	// What fails in the background is tried again by Pebble, at once and for ever.
	flushes, compactions strikes
	gap                  logGap
}

func newGuardedFS(fs vfs.FS, f *fault, s *space) *guardedFS {
	return &guardedFS{FS: fs, fault: f, space: s, gap: logGap{fs: fs}}
}

// role is what a file is for, and with it what an error means.
type role int

const (
	roleVital role = iota // log, manifest, markers, directories: errors are final
	roleValue             // values apart from tables: errors are final, but for a full disk
	roleTable             // tables: Pebble writes them anew after an error
	roleBlob              // our files of blobs: errors are final, and told
)

func roleOf(name string) role {
	switch {
	case strings.HasSuffix(name, ".sst"):
		return roleTable
	case strings.HasSuffix(name, ".blob"):
		return roleValue
	case path.Base(path.Dir(name)) == blobsDir:
		return roleBlob
	default:
		return roleVital
	}
}

// secret tells whether Pebble must not be told of errors.
func (r role) secret() bool { return r == roleVital || r == roleValue }

// before is called before anything is changed. It returns false if it must not be
// done, and with what result.
func (g *guardedFS) before(r role) (goOn bool, err error) {
	if g.fault.failure() == nil {
		return true, nil
	}
	if r.secret() {
		return false, nil
	}
	return false, errFrozen
}

// after judges the result of a change. Until the store is open, these are Pebble's.
func (g *guardedFS) after(r role, err error) error {
	if err == nil {
		return nil
	}
	if !g.fault.armed.Load() {
		if g.fault.busy.Load() && r.secret() {
			g.fault.stopOpening(err)
		}
		return notWritten(err)
	}
	switch r {
	case roleVital, roleValue:
		g.fault.fail(err)
		return nil
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
	f := &guardedFile{fs: g, role: roleOf(name), name: name, compaction: isCompaction(c)}
	toMake := f.role
	if toMake == roleTable || toMake == roleValue {
		f.strikes().holdBack(g.fault)
		toMake = roleTable // Pebble bears it that a file of values cannot be made
	}
	err := g.do(toMake, func() (err error) {
		f.File, err = create()
		return err
	})
	if err != nil {
		f.strike(err)
		return nil, err
	}
	if f.File == nil {
		f.File = vfs.NewMemFile(nil)
	}
	return f, nil
}

// Open implements vfs.FS. What is read needs no guard, but for files of values and for logs,
// which Pebble reads only while it is being opened.
func (g *guardedFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	switch {
	case roleOf(name) == roleValue:
		return g.openValue(name, opts...)
	case strings.HasSuffix(name, ".log"):
		if err := g.gap.check(name); err != nil {
			return nil, err
		}
	}
	return g.FS.Open(name, opts...)
}

// isCompaction tells by Pebble's names for them whether a file is the work of a
// compaction, and not of a flush.
func isCompaction(c vfs.DiskWriteCategory) bool {
	return c == "pebble-compaction" || c == "pebble-blob-file-rewrite"
}

// Create implements vfs.FS.
func (g *guardedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open(name, c, func() (vfs.File, error) { return g.FS.Create(name, c) })
}

// ReuseForWrite implements vfs.FS. While space is short the old file's is given back.
func (g *guardedFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if g.space.short() && g.Remove(oldname) == nil {
		return g.Create(newname, c)
	}
	return g.open(newname, c, func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, c) })
}

// OpenReadWrite implements vfs.FS.
func (g *guardedFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.open(name, c, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, c, opts...) })
}

// OpenDir implements vfs.FS.
func (g *guardedFS) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedFile{File: f, fs: g, role: roleVital}, nil
}

// MkdirAll implements vfs.FS.
func (g *guardedFS) MkdirAll(dir string, perm os.FileMode) error {
	return g.do(roleVital, func() error { return g.FS.MkdirAll(dir, perm) })
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
	if g.fault.failure() != nil {
		return errFrozen
	}
	return g.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (g *guardedFS) RemoveAll(name string) error {
	if g.fault.failure() != nil {
		return errFrozen
	}
	return g.FS.RemoveAll(name)
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
	if f.compaction {
		f.fs.space.wrote(int64(size))
	}
	switch {
	case f.broken != nil && size >= bufferSize:
		return 0, f.broken
	case err == nil:
		return size, nil
	}
	f.strike(err)
	return n, err
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

// Preallocate implements vfs.File. It is only a hint, which is not taken while space
// is short: a write will tell.
func (f *guardedFile) Preallocate(offset, length int64) error {
	if f.fs.space.short() {
		return nil
	}
	if goOn, err := f.fs.before(f.role); !goOn {
		return err
	}
	return f.File.Preallocate(offset, length)
}

// sync writes what is held and syncs the file.
func (f *guardedFile) sync(how func() error) error {
	err := f.fs.do(f.role, func() error {
		if f.broken != nil {
			return nil
		}
		if err := f.writeHeld(); err != nil {
			return err
		}
		return how()
	})
	f.strike(err)
	return err
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
	if f.fs.fault.failure() != nil && f.role.secret() {
		return nil
	}
	return f.fs.after(f.role, err)
}

// noSpace tells whether the disk, or the user's share of it, is full.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
