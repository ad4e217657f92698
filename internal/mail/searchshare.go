package mail

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"tidemark/imap"
)

// searchHelpers lets a search use more than one processor. There is one helper less than
// there are processors, for all searches together: each search has its session's own
// goroutine in any case, and such helpers as are free when it begins.
type searchHelpers chan struct{}

func newSearchHelpers() searchHelpers { return make(searchHelpers, runtime.GOMAXPROCS(0)-1) }

// run calls work, and at the same time lets up to n helpers call it, and waits for all of
// them. The first error ends the context of the others and is returned; a panic of a helper
// becomes one of the caller, who knows how to contain it.
func (h searchHelpers) run(ctx context.Context, n int, work func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var helping sync.WaitGroup
	defer helping.Wait() // also when work panics
	defer cancel(nil)
	for range n {
		if !h.take() {
			break
		}
		helping.Go(func() {
			defer h.release()
			if err := contained(ctx, work); err != nil {
				cancel(err)
			}
		})
	}
	if err := work(ctx); err != nil {
		cancel(err)
	}
	helping.Wait()
	err := context.Cause(ctx)
	if p, ok := errors.AsType[*searchPanic](err); ok {
		panic(p.Error())
	}
	return err
}

func (h searchHelpers) take() bool {
	select {
	case h <- struct{}{}:
		return true
	default:
		return false
	}
}

func (h searchHelpers) release() { <-h }

// searchPanic is a panic of a helper.
type searchPanic struct {
	value any
	stack []byte
}

func (p *searchPanic) Error() string { return fmt.Sprintf("%v\n%s", p.value, p.stack) }

func contained(ctx context.Context, work func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &searchPanic{p, debug.Stack()}
		}
	}()
	return work(ctx)
}

// The most and the least messages that are read in one look at the store.
const (
	searchPerRead      = 1024
	leastSearchPerRead = 64
)

// searchQueue holds the messages that a search has yet to look at, and what was found.
type searchQueue struct {
	parts int // into which what is left is cut
	mu    sync.Mutex
	rest  []place
	found imap.NumSet // UIDs, in no order
}

// take returns the next messages, none at the end. They become fewer, so that none of
// those who share the work has much of it left when the others have ended.
func (q *searchQueue) take() []place {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(max(len(q.rest)/q.parts, leastSearchPerRead), searchPerRead, len(q.rest))
	part := q.rest[:n]
	q.rest = q.rest[n:]
	return part
}

func (q *searchQueue) add(found imap.NumSet) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.found = append(q.found, found...)
}
