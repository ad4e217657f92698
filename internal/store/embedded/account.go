package embedded

import (
	"context"
	"sync"
	"sync/atomic"

	"tidemark/internal/store"
)

// account is what the engine keeps in memory of an account while somebody
// writes to it.
type account struct {
	id store.AccountID
	// turn holds a token while an Update function runs. It is a channel and not
	// a mutex so that waiting can be cancelled.
	turn chan struct{}
	// last is the newest commit. It is set before the commit becomes visible, so
	// whoever sees a change in a snapshot and then loads last finds that commit or
	// a later one. Nil when everything is durable.
	last atomic.Pointer[commit]
	// refs counts the holders; the table's lock guards it.
	refs int
}

// lock waits for the account's turn to write.
func (a *account) lock(ctx context.Context) error {
	select {
	case a.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *account) unlock() { <-a.turn }

// commit is one applied transaction on its way to the disk.
type commit struct {
	done chan struct{} // closed when the outcome is known
	err  error         // nil: durable. Read it only when done is closed
}

func newCommit() *commit { return &commit{done: make(chan struct{})} }

func (c *commit) finish(err error) {
	c.err = err
	close(c.done)
}

// wait returns the outcome of the commit. It waits for its end even if the
// context has ended before, when the outcome is known already.
func (c *commit) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	default:
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// accountTable holds the accounts that are being written to. An account is in it
// while it has a holder.
type accountTable struct {
	mu     sync.Mutex
	byID   map[store.AccountID]*account
	unused []*account // for use again, at most maxUnused
}

const maxUnused = 64

func newAccountTable() *accountTable {
	return &accountTable{byID: make(map[store.AccountID]*account)}
}

// acquire returns the account and holds it.
func (t *accountTable) acquire(id store.AccountID) *account {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.byID[id]
	if a == nil {
		if n := len(t.unused); n > 0 {
			a, t.unused = t.unused[n-1], t.unused[:n-1]
		} else {
			a = &account{turn: make(chan struct{}, 1)}
		}
		a.id = id
		t.byID[id] = a
	}
	a.refs++
	return a
}

// release ends the hold of one holder.
func (t *accountTable) release(a *account) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a.refs--
	if a.refs > 0 {
		return
	}
	delete(t.byID, a.id)
	if len(t.unused) < maxUnused {
		t.unused = append(t.unused, a)
	}
}

// pin keeps the account in the table for good.
func (t *accountTable) pin(a *account) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a.refs++
}

// pending returns the account's newest commit if it may not be durable yet.
func (t *accountTable) pending(id store.AccountID) *commit {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.byID[id]; a != nil {
		return a.last.Load()
	}
	return nil
}
