package mail

import "sync"

// answers has what the store said about some names, until anything of the kind changes:
// which mailbox a name stands for, who a user is.
//
// It has nothing that is older than what was acknowledged and nothing that a power cut
// could undo, because each transaction with such a change gives forget to Tx.OnApply. A
// View that sees the change waits until that is durable, when the old answers have long
// been forgotten; one that does not see it has begun before, and its answer comes too
// late for add. This holds as long as one process alone writes to the store.
type answers[V any] struct {
	limit int // names; above it all are forgotten

	mu      sync.Mutex
	changes uint64 // grows with each forget
	known   map[string]V
}

// get returns the answer about a name. Without one, state is what add wants to have
// with the answer of a View that begins now.
func (a *answers[V]) get(name string) (v V, state uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok = a.known[name]
	return v, a.changes, ok
}

// add keeps an answer unless something has changed since get returned state.
func (a *answers[V]) add(name string, v V, state uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.changes != state {
		return
	}
	if a.known == nil || len(a.known) >= a.limit {
		a.known = make(map[string]V)
	}
	a.known[name] = v
}

// forget drops all answers, and those that add would bring of Views that have begun.
func (a *answers[V]) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes++
	a.known = nil
}
