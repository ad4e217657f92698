package mail

import (
	"fmt"
	"time"

	"tidemark/internal/store"
)

// logRetention is how long a mailbox's history is kept beyond what is needed to
// open it: a device that was away for less gets a quick resynchronisation.
const logRetention = 60 * 24 * time.Hour

// loadSnapshot reads the view that the mailbox's chunks stand for.
func loadSnapshot(r store.Reader, id mailboxID, meta *mailboxMeta, table *flagTable) (*view, error) {
	v := &view{modseq: meta.Snapshot, uidNext: 1, keywords: meta.Keywords, table: table}
	start, end := ofMailbox(kindChunk, id)
	it := r.Scan(start, end, false)
	defer it.Close()
	for it.Next() {
		b, err := it.Value()
		if err != nil {
			return nil, fmt.Errorf("snapshot of mailbox %d: %w", id, err)
		}
		c, err := decodeChunk(b, id, table, meta.Keywords)
		if err != nil {
			return nil, fmt.Errorf("snapshot of mailbox %d: %w", id, err)
		}
		if c.firstUID() < v.uidNext {
			return nil, fmt.Errorf("%w: snapshot of mailbox %d is out of order", store.ErrCorrupt, id)
		}
		v.uidNext = c.lastUID() + 1
		v.chunks = append(v.chunks, c)
	}
	if err := it.Close(); err != nil {
		return nil, err
	}
	v.sets = table.snapshot()
	v.seal()
	return v, nil
}

// replay brings v to the head of the mailbox by its log.
func replay(r store.Reader, id mailboxID, v *view, meta *mailboxMeta) (*view, error) {
	if v.modseq == meta.ModSeq {
		return v.withUIDNext(meta.UIDNext), nil
	}
	e := v.edit(r, meta.Keywords)
	start, end := logRange(id, v.modseq, meta.ModSeq)
	it := r.Scan(start, end, false)
	defer it.Close()
	for it.Next() {
		b, err := it.Value()
		if err != nil {
			return nil, err
		}
		rec, err := decodeLogRecord(b)
		if err != nil {
			return nil, err
		}
		if err := e.apply(rec, lastNumber8(it.Key())); err != nil {
			return nil, err
		}
	}
	if err := it.Close(); err != nil {
		return nil, err
	}
	v = e.finish()
	if v.modseq != meta.ModSeq {
		return nil, fmt.Errorf("%w: log ends at %d, its head says %d", store.ErrCorrupt, v.modseq, meta.ModSeq)
	}
	return v.withUIDNext(meta.UIDNext), nil
}

// withUIDNext returns v with the UIDNEXT of the mailbox's head: the last messages
// that were added may have been expunged before the snapshot was made.
func (v *view) withUIDNext(next uint32) *view {
	if v.uidNext >= next {
		return v
	}
	copied := *v
	copied.uidNext = next
	return &copied
}

// snapshotState is what is known of a mailbox's snapshot on disk.
type snapshotState struct {
	modseq  uint64
	uidNext uint32
	changes uint64   // of the view that it was made of
	uids    []uint32 // the first UIDs of the chunks, which are in their keys
}

// setSnapshot notes that v is what the chunks on disk stand for, unless a later one is.
func (m *mailbox) setSnapshot(v *view) {
	s := snapshotState{modseq: v.modseq, uidNext: v.uidNext, changes: v.changes, uids: make([]uint32, len(v.chunks))}
	for i, c := range v.chunks {
		s.uids[i] = c.firstUID()
		c.stored.Store(true)
		c.lazy.written.CompareAndSwap(0, v.modseq)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.modseq >= m.snapshot.modseq {
		m.snapshot = s
	}
}

func (m *mailbox) snapshotState() snapshotState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.snapshot
}

// writeSnapshot makes the chunks on disk stand for the change's view. Only what has
// changed is written: a change of flags leaves the details on disk as they are. The log
// keeps what is after the snapshot, and before it as far as logRetention says.
func (c *change) writeSnapshot() error {
	old := c.mbox.snapshotState()
	if old.modseq != c.meta.Snapshot {
		return fmt.Errorf("the snapshot on disk is that of MODSEQ %d, not %d", c.meta.Snapshot, old.modseq)
	}
	next := make(map[uint32]bool, len(c.view.chunks))
	for _, ch := range c.view.chunks {
		next[ch.firstUID()] = true
		c.writeChunk(ch)
	}
	for _, uid := range old.uids {
		if !next[uid] {
			c.tx.Delete(chunkKey(c.mbox.id, uid))
			c.tx.Delete(detailsKey(c.mbox.id, uid))
		}
	}
	c.meta.Snapshot = c.meta.ModSeq
	if err := c.trimLog(); err != nil {
		return err
	}
	v := c.view
	c.tx.Set(mailboxKey(c.mbox.id), c.meta.encode())
	c.tx.OnApply(func() { c.mbox.setSnapshot(v) })
	return nil
}

// writeChunk writes what the snapshot on disk lacks of a chunk. Details that no snapshot
// has are in memory.
func (c *change) writeChunk(ch *chunk) {
	written := ch.lazy.written.Load()
	if written == 0 {
		written = c.meta.ModSeq
		c.tx.Set(detailsKey(c.mbox.id, ch.firstUID()), ch.details().encode(written))
	}
	if !ch.stored.Load() {
		c.tx.Set(chunkKey(c.mbox.id, ch.firstUID()), ch.encode(c.view.sets, written))
	}
}

// trimLog drops records that are older than logRetention and that the snapshot
// stands for.
func (c *change) trimLog() error {
	start, end := logRange(c.mbox.id, c.meta.LogFloor, c.meta.Snapshot)
	it := c.tx.Scan(start, end, false)
	defer it.Close()
	floor, oldest := c.meta.LogFloor, c.time-int64(logRetention/time.Second)
	for it.Next() {
		b, err := it.Value()
		if err != nil {
			return err
		}
		rec, err := decodeLogRecord(b)
		if err != nil {
			return err
		}
		if rec.Time >= oldest {
			break
		}
		floor = lastNumber8(it.Key())
	}
	if floor > c.meta.LogFloor {
		c.tx.DeleteRange(logRange(c.mbox.id, c.meta.LogFloor, floor))
		c.meta.LogFloor = floor
	}
	return it.Close()
}
