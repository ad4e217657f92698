// Package embedded keeps the accounts in one directory: keys and small blobs in
// Pebble, large blobs in files.
//
// A directory has these entries:
//
//	FORMAT        the version of the layout, as text
//	keys/         the Pebble store
//	manifest.sum  what the manifest of keys/ was when the store was closed
//	blobs/        one file a large blob, named account-blob in hexadecimal
//	ballast       space to give up when the disk is full
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/internal/store"
)

// ErrLocked is returned by Open when another process has the store open.
var ErrLocked = errors.New("store is in use by another process")

// Engine implements store.Engine.
type Engine struct {
	opts     Options
	log      *slog.Logger
	fs       *guardedFS
	dir      string
	db       *pebble.DB
	anchor   *anchor
	lock     *pebble.Lock
	accounts *accountTable
	space    *space
	backlog  *backlog
	files    *blobFiles
	fault    *fault

	reclaimer     *reclaimer
	stopReclaimer context.CancelFunc

	memory  atomic.Int64 // bytes of blobs that are in memory and not adopted
	damaged atomic.Bool  // Pebble has met a damaged file
	news    news         // what was logged of damaged files

	// calls counts the running calls; closed is set when no more may begin, and
	// idle is closed when the last one has ended after that.
	calls  atomic.Int64
	closed atomic.Bool
	idle   chan struct{}
	once   sync.Once
}

var _ store.Engine = (*Engine)(nil)

// Open opens the store in dir, which is made if it does not exist. The errors are
// ErrLocked, store.ErrFormat, store.ErrCorrupt and those of the file system.
func Open(dir string, opts Options) (*Engine, error) {
	opts.setDefaults()
	if err := prepareDir(opts.FS, dir); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	opts.fit(dir)
	e := &Engine{
		opts:     opts,
		log:      opts.Logger,
		dir:      dir,
		accounts: newAccountTable(),
		idle:     make(chan struct{}),
	}
	e.fault = newFault(opts.Logger, opts.Failed)
	e.space = newSpace(opts, dir)
	e.backlog = &backlog{engine: e, limit: memTables * uint64(opts.MemTableSize)}
	e.reclaimer = newReclaimer(e)
	e.fs = newGuardedFS(vfs.OnDiskFull(opts.FS, e.space.onFull), e.fault, e.space)
	if err := e.openParts(); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return e, nil
}

// openParts opens what is in the directory.
func (e *Engine) openParts() error {
	files, err := openBlobFiles(e.fs, e.fs.PathJoin(e.dir, blobsDir))
	if err != nil {
		return err
	}
	keys := e.fs.PathJoin(e.dir, keysDir)
	lock, err := pebble.LockDirectory(keys, e.fs)
	if err != nil {
		_ = files.close()
		return lockError(err)
	}
	opts := e.pebbleOptions()
	opts.Lock = lock
	var db *pebble.DB
	if err = checkManifest(e.fs, e.dir); err == nil {
		err = upgradeFormat(e.opts.FS, e.dir)
	}
	if err == nil {
		db, err = e.openPebble(keys, opts)
	}
	if err != nil {
		_, _ = lock.Close(), files.close()
		return openError(err)
	}
	if err := e.fault.arm(); err != nil {
		_, _ = lock.Close(), files.close()
		return openError(err)
	}
	e.files, e.db, e.lock = files, db, lock
	e.anchor = &anchor{db: db}
	e.startWork()
	return nil
}

// startWork begins what is done in the background.
func (e *Engine) startWork() {
	e.space.unflushed = func() int64 { return int64(e.db.Metrics().WAL.Size) }
	e.space.onShort = e.reclaimer.poke
	e.space.restore()
	e.files.startSweep(e)
	ctx, stop := context.WithCancel(context.Background())
	e.stopReclaimer = stop
	go e.reclaimer.run(ctx)
}

// stopWork ends it.
func (e *Engine) stopWork() {
	e.files.stopSweep()
	e.stopReclaimer()
	<-e.reclaimer.done
}

// openPebble opens Pebble and looks whether its files are there. Pebble panics if a
// directory cannot be synced, and when the opening fails after a flush, because what it
// does in the background goes on. It expects that the process ends if its manifest cannot
// be written, be it by a compaction that begins when it has just been opened. From the
// flush on it is therefore left as it is, with a goroutine that never goes on.
func (e *Engine) openPebble(dir string, opts *pebble.Options) (*pebble.DB, error) {
	type result struct {
		db  *pebble.DB
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("%w: %v", store.ErrFailed, p)
			}
			done <- r
		}()
		if r.db, r.err = pebble.Open(dir, opts); r.err != nil {
			return
		}
		if err := checkValueFiles(e.fs, dir, r.db); err != nil {
			r.err = errors.Join(err, r.db.Close())
		}
	}()
	select {
	case r := <-done:
		return r.db, r.err
	case err := <-e.fault.opening:
		return nil, err
	}
}

// Close implements store.Engine. The error is that of a storage that has failed
// before. What goes wrong in closing is only logged, because all that was
// acknowledged is in the log.
func (e *Engine) Close() error {
	if e.closed.Swap(true) {
		return store.ErrClosed
	}
	e.stopWork()
	if e.calls.Load() == 0 {
		e.once.Do(func() { close(e.idle) })
	}
	if !e.awaitIdle() {
		// Calls hang in Pebble, whose storage has failed. It cannot be closed
		// under them, and the process is of no more use anyway.
		return e.failure()
	}
	failure := e.failure()
	e.fault.end()
	if failure == nil {
		e.flush()
	}
	e.fault.unblock()
	e.anchor.lift()
	err := errors.Join(e.db.Close(), e.files.close())
	if err == nil && e.failure() == nil {
		err = sealManifest(e.fs, e.dir)
	}
	if err = errors.Join(err, e.lock.Close()); err != nil && e.failure() == nil {
		e.log.Warn("storage: not closed well", "error", err)
	}
	return failure
}

const (
	// hangTime is how long Close waits for calls once the storage has failed.
	hangTime = 5 * time.Second
	// flushTime is how long Close waits for the last flush. It only makes the
	// next Open faster.
	flushTime = 10 * time.Second
)

// awaitIdle waits for the running calls and tells whether all have ended.
func (e *Engine) awaitIdle() bool {
	select {
	case <-e.idle:
		return true
	case <-e.fault.failed:
	}
	t := time.NewTimer(hangTime)
	defer t.Stop()
	select {
	case <-e.idle:
		return true
	case <-t.C:
		return false
	}
}

// flush moves what is only in the log into tables, whose damage is found by
// checksums wherever it is.
func (e *Engine) flush() {
	done, err := e.db.AsyncFlush()
	if err != nil {
		return
	}
	t := time.NewTimer(flushTime)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-e.fault.failed:
	}
}

// enter begins a call. Unless it fails, exit must follow.
func (e *Engine) enter() error {
	e.calls.Add(1)
	if e.closed.Load() {
		e.exit()
		return store.ErrClosed
	}
	return nil
}

func (e *Engine) exit() {
	if e.calls.Add(-1) == 0 && e.closed.Load() {
		e.once.Do(func() { close(e.idle) })
	}
}
