package mail

import (
	"fmt"
	"slices"
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
		c, err := decodeChunk(b, table, meta.Keywords)
		if err != nil {
			return nil, fmt.Errorf("snapshot of mailbox %d: %w", id, err)
		}
		if c.firstUID() < v.uidNext || !slices.IsSorted(c.uid) {
			return nil, fmt.Errorf("%w: snapshot of mailbox %d is out of order", store.ErrCorrupt, id)
		}
		v.uidNext = c.lastUID() + 1
		v.chunks = append(v.chunks, c)
	}
	if err := it.Close(); err != nil {
		return nil, err
	}
	v.sets = table.snapshot()
	for _, c := range v.chunks {
		c.seal(v.sets)
	}
	v.seal()
	return v, nil
}

// replay brings v to the head of the mailbox by its log.
func replay(r store.Reader, id mailboxID, v *view, meta *mailboxMeta) (*view, error) {
	if v.modseq == meta.ModSeq {
		return v.withUIDNext(meta.UIDNext), nil
	}
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
		if v, err = v.apply(rec, lastNumber8(it.Key()), meta.Keywords); err != nil {
			return nil, err
		}
	}
	if err := it.Close(); err != nil {
		return nil, err
	}
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

// snapshotState is what is known of a mailbox's chunks on disk.
type snapshotState struct {
	known   bool
	modseq  uint64
	uidNext uint32
	uids    []uint32 // the first UIDs of the chunks, which are in their keys
}

// snapshotOf returns the state in which the snapshot on disk is v.
func snapshotOf(v *view) snapshotState {
	s := snapshotState{known: true, modseq: v.modseq, uidNext: v.uidNext, uids: make([]uint32, len(v.chunks))}
	for i, c := range v.chunks {
		s.uids[i] = c.firstUID()
	}
	return s
}

// setSnapshot notes that v is what the chunks on disk stand for.
func (m *mailbox) setSnapshot(v *view) {
	for _, c := range v.chunks {
		c.stored.Store(true)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.snapshot = snapshotOf(v)
}

func (m *mailbox) snapshotState() snapshotState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.snapshot
}

// writeSnapshot makes the chunks on disk stand for the change's view. Only chunks
// that have changed are written. The log keeps what is behind the snapshot, and before it
// as far as logRetention says.
func (c *change) writeSnapshot() error {
	id, old := c.mbox.id, c.mbox.snapshotState()
	next := make(map[uint32]bool, len(c.view.chunks))
	for _, ch := range c.view.chunks {
		next[ch.firstUID()] = true
		if !old.known || !ch.stored.Load() {
			c.tx.Set(chunkKey(id, ch.firstUID()), ch.encode(c.view.sets))
		}
	}
	for _, uid := range old.uids {
		if !next[uid] {
			c.tx.Delete(chunkKey(id, uid))
		}
	}
	c.meta.Snapshot = c.meta.ModSeq
	if err := c.trimLog(); err != nil {
		return err
	}
	v := c.view
	c.tx.Set(mailboxKey(id), c.meta.encode())
	c.tx.OnApply(func() { c.mbox.setSnapshot(v) })
	return nil
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
