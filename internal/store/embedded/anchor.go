package embedded

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// anchorTime is how long an anchor stays.
const anchorTime = time.Second

// anchor is a snapshot that makes later ones cheap. When Pebble's oldest snapshot is closed,
// Pebble looks for a compaction that this allows, under the lock that commits take, which
// cost small reads more than what they read. While there is an anchor theirs are not the
// oldest. It keeps what is removed or changed in the meantime, and so is given up soon.
type anchor struct {
	db *pebble.DB

	mu       sync.Mutex
	snapshot *pebble.Snapshot // nil for none
	lifting  *time.Timer
}

// newSnapshot returns a snapshot that is later than an anchor.
func (a *anchor) newSnapshot() *pebble.Snapshot {
	a.mu.Lock()
	if a.snapshot == nil {
		a.snapshot = a.db.NewSnapshot()
		a.lifting = time.AfterFunc(anchorTime, a.lift)
	}
	a.mu.Unlock()
	return a.db.NewSnapshot()
}

// lift gives the anchor up until the next snapshot.
func (a *anchor) lift() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.snapshot != nil {
		a.lifting.Stop()
		_ = a.snapshot.Close() // which cannot fail
		a.snapshot = nil
	}
}
