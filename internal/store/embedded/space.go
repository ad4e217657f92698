package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/internal/store"
)

// space refuses changes before the disk is so full that Pebble would fail. As a
// last resort it gives up the ballast.
//
// What is kept free serves, from the top down: compactions, small changes, removals.
// None of them may use it up, and none waits for more room than itself needs, so that
// users can always make room by deleting.
type space struct {
	fs      vfs.FS
	log     *slog.Logger
	dir     string
	minFree int64
	ballast atomic.Int64 // its size in bytes; not above 0 if there is none
	// unflushed returns how many bytes of changes are in the log but not in tables
	// yet; they will need as much again. It is set before anything is admitted.
	unflushed func() int64
	onShort   func() // called when space is short; likewise

	start     time.Time
	asked     atomic.Int64 // when the disk was asked last, in ns since start
	free      atomic.Int64 // its answer in bytes, less what was written since
	askedDebt atomic.Int64 // when unflushed was called last
	debt      atomic.Int64 // its answer
	shortAt   atomic.Int64 // when space was short last, in ns since start
	// full is set when the disk had no room at all and the ballast was given up. It
	// lasts until there is room for the ballast again.
	full atomic.Bool
	// reclaiming is set while compactions run that give space back.
	reclaiming atomic.Bool
	mu         sync.Mutex // held while the ballast is made or given up
}

const (
	// askTime is how old an answer of the disk may be.
	askTime = 100 * time.Millisecond
	// shortTime is how long space counts as short when it is not any more, so that
	// what was begun to be given back is given back whole.
	shortTime = time.Minute
	// unlimited is the free space of a file system that does not tell.
	unlimited = 1 << 62
)

// purpose is what space is wanted for.
type purpose int64

// Each purpose is a divisor: so many times less than MinFree must be left.
const (
	toAdd     purpose = 1  // messages
	toCompact purpose = 4  // temporarily, for tidiness
	toChange  purpose = 8  // flags, names; also the expunge that precedes a removal
	toReclaim purpose = 16 // temporarily, to have more than before
	toRemove  purpose = 16 // what a transaction that drops blobs needs
)

func newSpace(opts Options, dir string) *space {
	s := &space{
		fs:        opts.FS,
		log:       opts.Logger,
		dir:       dir,
		minFree:   opts.MinFree,
		unflushed: func() int64 { return 0 },
		onShort:   func() {},
		start:     time.Now(),
	}
	s.ballast.Store(opts.Ballast)
	s.free.Store(unlimited)
	s.asked.Store(-int64(askTime)) // ask at once
	s.askedDebt.Store(-int64(askTime))
	s.shortAt.Store(-int64(shortTime))
	return s
}

// admit tells whether there is room for the transaction.
func (s *space) admit(t *tx) error {
	why := toChange
	size := int64(t.batch.Len())
	switch {
	case len(t.adopted) > 0:
		why = toAdd
		for _, b := range t.adopted {
			size += int64(len(b.content))
		}
	case t.drops:
		why = toRemove
	}
	size *= 2 // in the log and in a table
	if err := s.check(why, size); err != nil {
		return err
	}
	s.wrote(size)
	return nil
}

// check returns store.ErrFull if there are not size bytes for that purpose. It does
// not refuse because of an old answer.
func (s *space) check(why purpose, size int64) error {
	err := s.checkOnce(why, size)
	if err != nil {
		s.asked.Store(-int64(askTime))
		s.askedDebt.Store(-int64(askTime))
		err = s.checkOnce(why, size)
	}
	return err
}

func (s *space) checkOnce(why purpose, size int64) error {
	if s.due(&s.askedDebt) {
		s.debt.Store(s.unflushed())
	}
	free := s.freeBytes() - s.debt.Load()
	if s.full.Load() || free < 2*s.minFree {
		s.shortAt.Store(int64(time.Since(s.start)))
		s.onShort()
	}
	room := free - size
	if why != toAdd && !s.full.Load() {
		room += max(0, s.ballast.Load())
	}
	if room < s.minFree/int64(why) || s.full.Load() && why == toAdd {
		return fmt.Errorf("%w: %d MiB are free, %d MiB are kept free", store.ErrFull, max(0, free)>>20, s.minFree>>20)
	}
	return nil
}

// short tells whether space should rather be given back than kept for speed: so it
// is, or was a little while ago.
func (s *space) short() bool {
	return s.full.Load() || s.freeBytes()-s.debt.Load() < 2*s.minFree ||
		int64(time.Since(s.start))-s.shortAt.Load() < int64(shortTime)
}

// crowded tells whether compactions must not write. It does not use the ballast: that
// is for what cannot be put off.
func (s *space) crowded() bool {
	why := toCompact
	if s.reclaiming.Load() {
		why = toReclaim
	}
	return s.freeBytes()-s.debt.Load() < s.minFree/int64(why)
}

// wrote says that the disk will have n bytes less.
func (s *space) wrote(n int64) { s.free.Add(-n) }

// due tells whether a question is to be asked again, and by this caller.
func (s *space) due(last *atomic.Int64) bool {
	then, now := last.Load(), int64(time.Since(s.start))
	return now-then >= int64(askTime) && last.CompareAndSwap(then, now)
}

// freeBytes returns the free space, asking the disk now and then.
func (s *space) freeBytes() int64 {
	if !s.due(&s.asked) {
		return s.free.Load()
	}
	free := int64(unlimited)
	usage, err := s.fs.GetDiskUsage(s.dir)
	switch {
	case err == nil:
		free = int64(min(usage.AvailBytes, unlimited))
	case !errors.Is(err, vfs.ErrUnsupported):
		s.log.Warn("storage: cannot tell the free space", "error", err)
	}
	s.free.Store(free)
	// Half of MinFree must be left besides, lest the ballast come and go.
	if s.full.Load() && free >= max(0, s.ballast.Load())+s.minFree/2 {
		s.restore()
	}
	return free
}

// onFull is called when a write found the disk full, and before it is tried once
// more.
func (s *space) onFull() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.full.Swap(true) {
		s.log.Error("storage: the disk is full; new mail is refused until there is room")
	}
	_ = s.fs.Remove(s.ballastPath())
}

// restore makes the ballast and takes changes again.
func (s *space) restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ballast.Load() > 0 {
		err := s.makeBallast()
		if noSpace(err) {
			s.full.Store(true)
			return
		}
		if err != nil { // not every file system can reserve space
			s.ballast.Store(0)
			s.log.Warn("storage: cannot keep space in reserve", "error", err)
		}
	}
	if s.full.Swap(false) {
		s.log.Info("storage: there is room on the disk again")
	}
}

func (s *space) makeBallast() error {
	f, err := s.fs.Create(s.ballastPath(), category)
	if err != nil {
		return err
	}
	err = f.Preallocate(0, s.ballast.Load())
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = s.fs.Remove(s.ballastPath())
	}
	return err
}

func (s *space) ballastPath() string { return s.fs.PathJoin(s.dir, ballastFile) }
