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
type space struct {
	fs      vfs.FS
	log     *slog.Logger
	dir     string
	minFree int64
	ballast atomic.Int64 // its size in bytes; not above 0 if there is none

	start time.Time
	asked atomic.Int64 // when the disk was asked last, in ns since start
	free  atomic.Int64 // its answer in bytes
	// full is set when the disk had no room at all. It lasts until there is room
	// for the ballast again.
	full atomic.Bool
	mu   sync.Mutex // held while the ballast is made or given up
}

const (
	// askTime is how old an answer of the disk may be.
	askTime = 100 * time.Millisecond
	// smallTx is the size in bytes of transactions that are let through longer.
	smallTx = 1 << 20
	// unlimited is the free space of a file system that does not tell.
	unlimited = 1 << 62
)

func newSpace(opts Options, dir string) *space {
	s := &space{
		fs:      opts.FS,
		log:     opts.Logger,
		dir:     dir,
		minFree: opts.MinFree,
		start:   time.Now(),
	}
	s.ballast.Store(opts.Ballast)
	s.free.Store(unlimited)
	s.asked.Store(-int64(askTime)) // ask at once
	return s
}

// admit tells whether there is room for the transaction.
func (s *space) admit(t *tx) error {
	small := len(t.adopted) == 0 && t.batch.Len() <= smallTx
	return s.check(small)
}

// check returns store.ErrFull if something may not be added. What is small, such
// as the removal of messages, may be when larger things may not.
func (s *space) check(small bool) error {
	limit := s.minFree
	if small {
		limit /= 2
	}
	free := s.freeBytes()
	if free < limit || s.full.Load() && !small {
		return fmt.Errorf("%w: %d MiB are free, %d MiB are kept free", store.ErrFull, free>>20, s.minFree>>20)
	}
	return nil
}

// crowded tells whether nothing large may be written.
func (s *space) crowded() bool { return s.check(false) != nil }

// freeBytes returns the free space, asking the disk now and then.
func (s *space) freeBytes() int64 {
	asked, now := s.asked.Load(), int64(time.Since(s.start))
	if now-asked < int64(askTime) || !s.asked.CompareAndSwap(asked, now) {
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
	if s.full.Load() && free >= s.minFree+s.ballast.Load() {
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
