package auth

import (
	"context"
	"net/netip"
	"sync"

	"golang.org/x/sync/semaphore"
)

// laneWidth is how many password checks one address can have in progress or in the
// queue for a processor. Its others wait here, so that a flood of logins from a few
// addresses does not make everybody else wait behind it.
const laneWidth = 2

// lanes hold back the checks of each address.
type lanes struct {
	mu   sync.Mutex
	open map[netip.Prefix]*lane // those somebody is in or waits for
}

type lane struct {
	slots *semaphore.Weighted
	users int // guarded by lanes.mu
}

func newLanes() *lanes { return &lanes{open: map[netip.Prefix]*lane{}} }

// enter waits for a place in the lane of an address. leave must be called unless
// there is an error, which is that of ctx.
func (l *lanes) enter(ctx context.Context, address netip.Prefix) (leave func(), err error) {
	l.mu.Lock()
	own := l.open[address]
	if own == nil {
		own = &lane{slots: semaphore.NewWeighted(laneWidth)}
		l.open[address] = own
	}
	own.users++
	l.mu.Unlock()

	if err := own.slots.Acquire(ctx, 1); err != nil {
		l.forget(address, own)
		return nil, err
	}
	return func() {
		own.slots.Release(1)
		l.forget(address, own)
	}, nil
}

func (l *lanes) forget(address netip.Prefix, own *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(l.open, address)
	}
}
