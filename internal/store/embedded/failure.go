package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"

	"tidemark/internal/store"
)

// fault remembers that the storage has failed. A write or sync that failed once
// is never tried again: the kernel may have dropped the data and would report
// success the second time.
type fault struct {
	log  *slog.Logger
	hook func(error)

	once   sync.Once
	err    error         // set before failed is closed
	failed chan struct{} // closed when the storage has failed
	// closing is closed when Pebble is about to be closed: background work that
	// was held back goes on, and fails.
	closing chan struct{}
	armed   atomic.Bool // until then, errors only go to the caller
	busy    atomic.Bool // Pebble has begun to flush while it is being opened
	opening chan error  // has room for what keeps Pebble from being opened
	ending  atomic.Bool // from then on nobody need be told of a failure
}

func newFault(log *slog.Logger, hook func(error)) *fault {
	return &fault{log: log, hook: hook, failed: make(chan struct{}), closing: make(chan struct{}), opening: make(chan error, 1)}
}

// arm is called when the store is open. It returns what has kept Pebble from being
// opened after all.
func (f *fault) arm() error {
	f.armed.Store(true)
	select {
	case err := <-f.opening:
		return err
	default:
		return nil
	}
}

// end is called when no more calls run. What is written from then on is in the
// log already, and is not tried twice.
func (f *fault) end() { f.ending.Store(true) }

// unblock is called when the store is about to be closed.
func (f *fault) unblock() { close(f.closing) }

// fail marks the storage as failed.
func (f *fault) fail(err error) {
	if !f.armed.Load() {
		return
	}
	f.once.Do(func() {
		f.err = fmt.Errorf("%w: %v", store.ErrFailed, err)
		close(f.failed)
		if f.ending.Load() {
			f.log.Warn("storage: changes stay in the log until the store is opened again", "error", err)
			return
		}
		f.log.Error("storage has failed; it takes no more changes until it is opened again", "error", err)
		if f.hook != nil {
			go f.hook(f.err)
		}
	})
}

// failure returns the error that the storage failed with, or nil.
func (f *fault) failure() error {
	select {
	case <-f.failed:
		return f.err
	default:
		return nil
	}
}

func (e *Engine) fail(err error) { e.fault.fail(err) }

func (e *Engine) failure() error { return e.fault.failure() }

// stopOpening ends the opening of Pebble, which on return would panic or try again for ever.
// It returns only if the store has been opened meanwhile.
func (f *fault) stopOpening(err error) {
	select {
	case f.opening <- notWritten(err):
	default: // it was told before
	}
	if !f.armed.Load() {
		select {}
	}
}

// notWritten tells an error of the disk in writing from one in reading, which would mean
// that data is damaged.
func notWritten(err error) error {
	if errors.Is(err, syscall.EIO) {
		return fmt.Errorf("%w: %w", store.ErrFailed, err)
	}
	return err
}

// errFrozen is what writes get when the storage has failed.
var errFrozen = errors.New("not done, because the storage has failed before")
