package embedded

import (
	"context"
	"math"
	"sync"
	"time"

	"tidemark/internal/store"
)

// reclaimer gives space back to the disk while it is short. Left to itself, Pebble
// removes dropped blobs when enough has been written for it to compact their keys; on
// a disk on which nothing can be written that would be never.
type reclaimer struct {
	engine *Engine
	wake   chan struct{} // has room for one token
	done   chan struct{} // closed when the goroutine has ended

	mu sync.Mutex
	// The accounts of which blobs were dropped since the last run, from min to max.
	any      bool
	min, max store.AccountID
}

// reclaimPause is the time between two runs, in which more may be dropped.
const reclaimPause = time.Second

// newReclaimer supposes that blobs of all accounts were dropped when the store was
// open before.
func newReclaimer(e *Engine) *reclaimer {
	return &reclaimer{
		engine: e,
		wake:   make(chan struct{}, 1),
		done:   make(chan struct{}),
		any:    true,
		max:    math.MaxUint64,
	}
}

// dropped says that blobs of the account were dropped durably.
func (r *reclaimer) dropped(id store.AccountID) {
	r.add(id, id)
	if r.engine.space.short() {
		r.poke()
	}
}

func (r *reclaimer) add(first, last store.AccountID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.any {
		r.any, r.min, r.max = true, first, last
		return
	}
	r.min, r.max = min(r.min, first), max(r.max, last)
}

// take returns the accounts and forgets them.
func (r *reclaimer) take() (first, last store.AccountID, any bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, last, any = r.min, r.max, r.any
	r.any = false
	return first, last, any
}

// poke makes a run begin soon. It does not wait.
func (r *reclaimer) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run works until the context ends.
func (r *reclaimer) run(ctx context.Context) {
	defer close(r.done)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		r.reclaim(ctx)
		pause.Reset(reclaimPause)
	}
}

// reclaim removes what was dropped, if space is short.
func (r *reclaimer) reclaim(ctx context.Context) {
	e := r.engine
	if e.failure() != nil || !e.space.short() {
		return
	}
	first, last, any := r.take()
	if any {
		if err := r.compact(ctx, first, last); err != nil {
			r.add(first, last) // the next check that finds space short tries again
			e.log.Debug("storage: space of removed mail cannot be given back yet", "error", err.Error())
			return
		}
	}
	r.trimLogs(ctx)
}

// compact rewrites the keys of blobs without those that were dropped. The blobs
// themselves are not rewritten: files of values that nobody refers to any more are
// removed, and blobPolicy sees to those that are half empty.
func (r *reclaimer) compact(ctx context.Context, first, last store.AccountID) error {
	e := r.engine
	e.space.reclaiming.Store(true)
	defer e.space.reclaiming.Store(false)
	e.anchor.lift()
	for _, space := range []byte{spaceBody, spaceInfo} {
		start, end := appendPrefix(nil, space, first), appendEnd(nil, space, last, nil)
		if err := e.db.Compact(ctx, start, end, false); err != nil {
			return err
		}
	}
	return nil
}

// maxTrims bounds the logs that one run replaces.
const maxTrims = 8

// trimLogs replaces the old logs that Pebble keeps to write over them. While space is
// short the one that takes an old one's place begins empty: see ReuseForWrite.
func (r *reclaimer) trimLogs(ctx context.Context) {
	e := r.engine
	for range maxTrims {
		if e.db.Metrics().WAL.ObsoletePhysicalSize < uint64(e.opts.MemTableSize)/2 {
			return
		}
		flushed, err := e.db.AsyncFlush()
		if err != nil {
			return
		}
		select {
		case <-flushed:
		case <-ctx.Done():
			return
		}
	}
}
