package embedded

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/internal/store"
	"tidemark/internal/store/storetest"
	"tidemark/internal/testbed"
)

// smallDisk is a file system with limited room. It counts what is written and
// gives it back when the file is removed; a file that is written over counts once.
type smallDisk struct {
	vfs.FS
	tells bool // how much is free
	total int64

	mu    sync.Mutex
	room  int64
	sizes map[string]int64
}

func newSmallDisk(room int64, tells bool) *smallDisk {
	return &smallDisk{FS: vfs.NewCrashableMem(), tells: tells, room: room, sizes: map[string]int64{}}
}

func (d *smallDisk) addRoom(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room += n
}

// grow makes the file n bytes longer, or tells that there is no room.
func (d *smallDisk) grow(name string, n int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n > d.room {
		return &os.PathError{Op: "write", Path: name, Err: syscall.ENOSPC}
	}
	d.room -= n
	d.sizes[name] += n
	return nil
}

func (d *smallDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	if err != nil {
		return nil, err
	}
	d.freed(name)
	return &smallFile{File: f, disk: d, name: name}, nil
}

func (d *smallDisk) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.Remove(oldname); err != nil {
		return nil, err
	}
	return d.Create(newname, c)
}

func (d *smallDisk) Remove(name string) error {
	if err := d.FS.Remove(name); err != nil {
		return err
	}
	d.freed(name)
	return nil
}

func (d *smallDisk) Rename(oldname, newname string) error {
	if err := d.FS.Rename(oldname, newname); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sizes[newname] = d.sizes[oldname]
	delete(d.sizes, oldname)
	return nil
}

func (d *smallDisk) freed(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room += d.sizes[name]
	delete(d.sizes, name)
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.tells {
		return vfs.DiskUsage{}, vfs.ErrUnsupported
	}
	return vfs.DiskUsage{AvailBytes: uint64(d.room), TotalBytes: uint64(d.total)}, nil
}

type smallFile struct {
	vfs.File
	disk *smallDisk
	name string
}

func (f *smallFile) Write(p []byte) (int, error) {
	if err := f.disk.grow(f.name, int64(len(p))); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *smallFile) Preallocate(off, n int64) error {
	if f.disk.PathBase(f.name) != ballastFile {
		return nil // what the log reserves is not counted
	}
	return f.disk.grow(f.name, n)
}

// If this fails, a full disk loses mail, ends the server, or stays full for it when
// there is room again.
func TestFullDisk(t *testing.T) {
	for name, tells := range map[string]bool{"with warning": true, "without warning": false} {
		t.Run(name, func(t *testing.T) { testFullDisk(t, tells) })
	}
}

func testFullDisk(t *testing.T, tells bool) {
	disk, ledger := newSmallDisk(6<<20, tells), storetest.NewLedger(3)
	opts := smallOptions(disk)
	opts.MinFree, opts.Ballast = 1<<20, 2<<20
	opts.Failed = func(err error) { t.Errorf("failed: %v", err) }
	e, err := Open("a/store", opts)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		if err := fill(t, ledger, e); !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrFailed) {
			t.Fatalf("round %d: the disk is full: %v", round, err)
		}
		if err := ledger.Check(t.Context(), e); err != nil {
			t.Errorf("round %d: reading on a full disk: %v", round, err)
		}
		disk.addRoom(6 << 20)
		awaitRoom(t, e)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if e, err = Open("a/store", opts); err != nil {
		t.Fatal(err)
	}
	if err := ledger.Check(t.Context(), e); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// fill adds messages, among other work, until something does not work.
func fill(t *testing.T, ledger *storetest.Ledger, e *Engine) error {
	for i := range 1000 {
		if i%20 == 0 {
			if err := ledger.Work(t.Context(), e, 1); err != nil {
				return err
			}
		}
		if err := addMessage(t, e); err != nil {
			return err
		}
	}
	return nil
}

// addMessage adds what does not compress to an account that the ledger does not
// look at.
func addMessage(t *testing.T, e *Engine) error {
	body := make([]byte, 30_000)
	rand.NewChaCha8([32]byte{}).Read(body)
	ref, err := storetest.WriteBlob(t.Context(), e, 99, body)
	if err != nil {
		return err
	}
	defer ref.Discard()
	return e.Update(t.Context(), 99, func(tx store.Tx) error { tx.Adopt(ref); return nil })
}

// awaitRoom fails the test if writing does not come to work again.
func awaitRoom(t *testing.T, e *Engine) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(testbed.Patience)
	for {
		err := addMessage(t, e)
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrFull) {
			t.Fatalf("there is room again: %v", err)
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("there has been room for long: %v", err)
		}
	}
}

// If this fails, a user cannot make room by deleting mail.
func TestDeleteWhenNearlyFull(t *testing.T) {
	disk := newSmallDisk(64<<20, true)
	opts := smallOptions(disk)
	opts.MinFree, opts.Ballast = 32<<20, -1
	e, err := Open("a/store", opts)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ref, err := storetest.WriteBlob(t.Context(), e, 1, make([]byte, 10_000))
	if err != nil {
		t.Fatal(err)
	}
	other, err := storetest.WriteBlob(t.Context(), e, 1, make([]byte, 10_000))
	if err != nil {
		t.Fatal(err)
	}
	adopt := func(ref store.BlobRef) error {
		return e.Update(t.Context(), 1, func(tx store.Tx) error { tx.Adopt(ref); return nil })
	}
	if err := adopt(ref); err != nil {
		t.Fatal(err)
	}
	for disk.free() > 30<<20 {
		disk.addRoom(-1 << 20)
	}
	e.space.asked.Store(-int64(askTime)) // what was asked before is old
	if err := adopt(other); !errors.Is(err, store.ErrFull) {
		t.Errorf("adding a message: %v", err)
	}
	if _, err := e.NewBlob(t.Context(), 1, 0); !errors.Is(err, store.ErrFull) {
		t.Errorf("beginning a message: %v", err)
	}
	err = e.Update(t.Context(), 1, func(tx store.Tx) error { tx.DropBlob(ref.Info().ID); return nil })
	if err != nil {
		t.Errorf("removing a message: %v", err)
	}
	other.Discard()
}

// large returns the sizes of the large files, for messages.
func (d *smallDisk) large() map[string]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := map[string]int64{}
	for name, size := range d.sizes {
		if size > 500<<10 {
			files[name] = size
		}
	}
	return files
}

func (d *smallDisk) free() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.room
}
