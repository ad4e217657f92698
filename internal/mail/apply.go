package mail

import (
	"fmt"
	"slices"
	"sort"

	"tidemark/imap"
	"tidemark/internal/store"
)

// apply returns the version of the mailbox that a log record makes of v. keywords are
// the mailbox's keywords as of the record. It is the only way in which a view comes to
// change, whether the record was just made, is replayed, or comes from another node.
func (v *view) apply(rec *logRecord, modseq uint64, keywords []imap.Flag) (*view, error) {
	if modseq != v.modseq+1 {
		return nil, fmt.Errorf("%w: log record %d does not follow %d", store.ErrCorrupt, modseq, v.modseq)
	}
	next := &view{
		modseq: modseq, uidNext: v.uidNext, keywords: keywords, table: v.table,
		chunks: slices.Clone(v.chunks), sets: v.sets,
	}
	touched := make(map[int]bool)
	for i := range rec.Flags {
		next.changeFlags(&rec.Flags[i], touched)
	}
	if len(rec.Expunged) > 0 {
		next.expunge(rec.Expunged, touched)
	}
	if err := next.add(rec.Added, touched); err != nil {
		return nil, err
	}
	next.sets = next.table.snapshot()
	for k := range touched {
		next.chunks[k].seal(next.sets)
	}
	if len(rec.Expunged) > 0 {
		next.closeGaps()
	}
	next.seal()
	return next, nil
}

// changeFlags applies a change of flags to the chunks that have any of its UIDs.
func (v *view) changeFlags(c *flagChange, touched map[int]bool) {
	changed := make(map[uint32]uint32)
	change := func(old uint32) uint32 {
		f, ok := changed[old]
		if !ok {
			f = v.table.number(c.of(v.bits(old)), v.keywords)
			changed[old] = f
		}
		return f
	}
	for k := range v.chunksWith(c.UIDs) {
		old := v.chunks[k]
		v.chunks[k] = old.withFlags(old.indexes(c.UIDs), change, v.modseq)
		if v.chunks[k] != old {
			touched[k] = true
		}
	}
}

// bits returns the flags behind a number, which may be newer than v.sets.
func (v *view) bits(number uint32) flagBits {
	if number >= uint32(len(v.sets)) {
		v.sets = v.table.snapshot()
	}
	return v.sets[number].bits
}

// of returns what the change makes of old.
func (c *flagChange) of(old flagBits) flagBits {
	if c.Replace {
		return c.Add
	}
	return old.with(c.Add, c.Remove)
}

// expunge removes messages. Chunks that lose all of theirs become nil.
func (v *view) expunge(uids imap.NumSet, touched map[int]bool) {
	for k := range v.chunksWith(uids) {
		next := v.chunks[k].without(uids)
		if next == v.chunks[k] {
			continue
		}
		v.chunks[k] = next
		touched[k] = next != nil
		if next == nil {
			delete(touched, k)
		}
	}
}

// add puts messages at the end.
func (v *view) add(msgs []added, touched map[int]bool) error {
	for len(msgs) > 0 {
		last := len(v.chunks) - 1
		if last < 0 || v.chunks[last] == nil || v.chunks[last].len() >= chunkSize {
			v.chunks = append(v.chunks, nil)
			last++
		}
		room := chunkSize
		if c := v.chunks[last]; c != nil {
			room -= c.len()
		}
		n := min(room, len(msgs))
		flags := make([]uint32, n)
		for i, a := range msgs[:n] {
			if a.UID < v.uidNext {
				return fmt.Errorf("%w: log adds UID %d again", store.ErrCorrupt, a.UID)
			}
			v.uidNext = a.UID + 1
			flags[i] = v.table.number(a.Flags, v.keywords)
		}
		v.chunks[last] = v.chunks[last].with(msgs[:n], flags, v.modseq)
		touched[last] = true
		msgs = msgs[n:]
	}
	return nil
}

// closeGaps drops chunks that have become empty and joins neighbours that together
// fill at most half a chunk, so that the number of chunks follows that of messages.
func (v *view) closeGaps() {
	kept := make([]*chunk, 0, len(v.chunks))
	for _, c := range v.chunks {
		if c == nil {
			continue
		}
		if k := len(kept) - 1; k >= 0 && kept[k].len()+c.len() <= chunkSize/2 {
			kept[k] = join(kept[k], c)
			kept[k].seal(v.sets)
			continue
		}
		kept = append(kept, c)
	}
	v.chunks = kept
}

func join(a, b *chunk) *chunk {
	return &chunk{
		uid: slices.Concat(a.uid, b.uid), email: slices.Concat(a.email, b.email), size: slices.Concat(a.size, b.size),
		internal: slices.Concat(a.internal, b.internal), sent: slices.Concat(a.sent, b.sent),
		saved: slices.Concat(a.saved, b.saved), flags: slices.Concat(a.flags, b.flags),
		modseq: slices.Concat(a.modseq, b.modseq),
	}
}

// chunksWith yields the indexes of the chunks that may hold any of uids. It may be
// used while chunks are replaced by versions of themselves or by nil.
func (v *view) chunksWith(uids imap.NumSet) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		k := 0
		for _, r := range uids {
			k += sort.Search(len(v.chunks)-k, func(i int) bool {
				c := v.chunks[k+i]
				return c != nil && c.lastUID() >= r.Start
			})
			for k < len(v.chunks) && v.chunks[k].firstUID() <= r.Stop {
				last := v.chunks[k].lastUID()
				if !yield(k) {
					return
				}
				k++
				if last >= r.Stop {
					break
				}
			}
		}
	}
}

// indexes yields the indexes of those of uids that are in the chunk.
func (c *chunk) indexes(uids imap.NumSet) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for _, r := range uids.Clip(c.firstUID(), c.lastUID()) {
			i, _ := slices.BinarySearch(c.uid, r.Start)
			for ; i < c.len() && c.uid[i] <= r.Stop; i++ {
				if !yield(i) {
					return
				}
			}
		}
	}
}
