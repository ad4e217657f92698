package embedded

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tidemark/internal/store"
)

// backlog makes writers wait while too much memory holds changes that are not in
// tables yet. Pebble would do that itself, but then they could not be told that the
// disk is full or has failed.
type backlog struct {
	engine *Engine
	limit  uint64 // bytes of memory tables from which on writers wait

	// grown is set when Pebble has begun a new memory table.
	grown atomic.Bool
	high  atomic.Bool
	mu    sync.Mutex // held while the size is asked
}

const (
	// memTables is the number of memory tables with which writers wait.
	memTables = 3
	// backlogTime is how often a waiting writer looks.
	backlogTime = 5 * time.Millisecond
)

// admit waits until a change can be taken.
func (b *backlog) admit(ctx context.Context) error {
	if !b.grown.Load() && !b.high.Load() {
		return nil
	}
	if !b.measure() {
		return nil
	}
	tick := time.NewTicker(backlogTime)
	defer tick.Stop()
	for b.measure() {
		if b.engine.space.full.Load() && b.engine.fs.flushes.n.Load() > 0 {
			return fmt.Errorf("%w: changes cannot be moved out of memory", store.ErrFull)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-b.engine.fault.failed:
			return b.engine.failure()
		}
	}
	return nil
}

// measure tells whether the memory is in use.
func (b *backlog) measure() bool {
	if !b.mu.TryLock() {
		return b.high.Load() // somebody else is asking
	}
	defer b.mu.Unlock()
	b.grown.Store(false)
	high := b.engine.db.Metrics().MemTable.Size >= b.limit
	b.high.Store(high)
	return high
}
