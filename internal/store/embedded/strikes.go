package embedded

import (
	"sync/atomic"
	"time"
)

// strikes counts the flushes, or the compactions, in a row that have failed. Each
// makes the next try wait longer.
type strikes struct{ n atomic.Int32 }

const (
	strikeTime = 10 * time.Millisecond
	// maxWait is the longest time to wait, reached with eight strikes.
	maxWait = 2 * time.Second
	// fullStrikes are given for a full disk: the next try comes after 160 ms.
	fullStrikes = 4
	// maxStrikes for flushes, after some 10 s, mean that the storage has failed.
	maxStrikes = 12
)

// strike returns the new number.
func (s *strikes) strike() int32 { return s.n.Add(1) }

func (s *strikes) full() { s.n.CompareAndSwap(0, fullStrikes) }

func (s *strikes) succeed() { s.n.Store(0) }

// holdBack waits after a strike. When the storage has failed it waits until the
// store is closed.
func (s *strikes) holdBack(f *fault) {
	if f.failure() != nil {
		<-f.closing
		return
	}
	n := s.n.Load()
	if n == 0 {
		return
	}
	t := time.NewTimer(min(strikeTime<<min(n, 8), maxWait))
	defer t.Stop()
	select {
	case <-t.C:
	case <-f.closing:
	}
}

// strikes returns the count that the file belongs to.
func (f *guardedFile) strikes() *strikes {
	if f.compaction {
		return &f.fs.compactions
	}
	return &f.fs.flushes
}

// strike counts a table that could not be written.
func (f *guardedFile) strike(err error) {
	if err == nil || f.role != roleTable && f.role != roleValue {
		return
	}
	fault, s := f.fs.fault, f.strikes()
	if !f.compaction && !fault.armed.Load() {
		fault.stopOpening(err) // Pebble waits for the flush, and nobody is told
	}
	switch {
	case fault.ending.Load():
		fault.fail(err)
	case noSpace(err) && f.compaction:
		s.strike() // it has time
	case noSpace(err):
		s.full()
	case s.strike() > maxStrikes && !f.compaction:
		fault.fail(err)
	}
}
