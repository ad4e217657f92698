package mail

import (
	"fmt"
	"slices"
	"sort"

	"tidemark/imap"
	"tidemark/internal/store"
)

// viewEdit makes a later version of a view by log records. It is the only way in which a
// view comes to change, whether the record was just made or is replayed.
type viewEdit struct {
	view   *view        // in the making
	reader store.Reader // for details that are not in memory
	// own are the chunks that are part of no version yet and may be changed: true if that
	// goes for their messages, too, and not for the flags alone.
	own map[*chunk]bool
}

// edit returns an edit that begins with v. r must see the store as of v or later.
func (v *view) edit(r store.Reader, keywords []imap.Flag) *viewEdit {
	return &viewEdit{reader: r, own: make(map[*chunk]bool), view: &view{
		modseq: v.modseq, uidNext: v.uidNext, keywords: keywords, table: v.table,
		chunks: slices.Clone(v.chunks), sets: v.sets, changes: v.changes,
	}}
}

// apply returns the version of the mailbox that a log record makes of v. keywords are
// the mailbox's keywords as of the record.
func (v *view) apply(r store.Reader, rec *logRecord, modseq uint64, keywords []imap.Flag) (*view, error) {
	e := v.edit(r, keywords)
	if err := e.apply(rec, modseq); err != nil {
		return nil, err
	}
	return e.finish(), nil
}

// finish returns the new version. The edit must not be used any more.
func (e *viewEdit) finish() *view {
	v := e.view
	v.sets = v.table.snapshot()
	for c := range e.own {
		c.seal(v.sets)
	}
	v.seal()
	return v
}

// apply takes one step. After an error the edit is of no use.
func (e *viewEdit) apply(rec *logRecord, modseq uint64) error {
	if modseq != e.view.modseq+1 {
		return fmt.Errorf("%w: log record %d does not follow %d", store.ErrCorrupt, modseq, e.view.modseq)
	}
	e.view.modseq = modseq
	for i := range rec.Flags {
		e.changeFlags(&rec.Flags[i])
	}
	if len(rec.Expunged) > 0 {
		if err := e.expunge(rec.Expunged); err != nil {
			return err
		}
	}
	return e.add(rec.Added)
}

// changeFlags applies a change of flags to the chunks that have any of its UIDs.
func (e *viewEdit) changeFlags(c *flagChange) {
	v := e.view
	changed := make(map[uint32]uint32)
	for k := range v.chunksWith(c.UIDs) {
		var cols *columns
		for i := range v.chunks[k].indexes(c.UIDs) {
			if cols == nil {
				cols = e.ownFlags(k).columns()
			}
			old := cols.flags[i]
			f, ok := changed[old]
			if !ok {
				f = v.table.number(c.of(v.bits(old)), v.keywords)
				changed[old] = f
			}
			cols.flags[i], cols.modseq[i] = f, v.modseq
			v.changes++
		}
	}
}

// ownFlags returns a chunk as one whose flags may be changed.
func (e *viewEdit) ownFlags(k int) *chunk {
	c := e.view.chunks[k]
	if _, ok := e.own[c]; ok {
		return c
	}
	next := c.copyFlags()
	e.replace(k, next, false)
	return next
}

// replace puts next, which may be nil, in the place of a chunk.
func (e *viewEdit) replace(k int, next *chunk, messages bool) {
	delete(e.own, e.view.chunks[k])
	e.view.chunks[k] = next
	if next != nil {
		e.own[next] = messages
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

// expunge removes messages. The details of a chunk that loses any are loaded, also where
// nothing is left of it: see lazyDetails.
func (e *viewEdit) expunge(uids imap.NumSet) error {
	for k := range e.view.chunksWith(uids) {
		c := e.view.chunks[k]
		keep := c.indexesWithout(uids)
		if len(keep) == c.len() {
			continue
		}
		e.view.changes += uint64(c.len() - len(keep))
		d, err := c.lazy.load(e.reader)
		if err != nil {
			return err
		}
		var next *chunk
		if len(keep) > 0 {
			next = c.pick(keep, d)
		}
		e.replace(k, next, true)
	}
	return e.closeGaps()
}

// closeGaps drops chunks that have become empty and joins neighbours that together
// fill at most half a chunk, so that the number of chunks follows that of messages.
func (e *viewEdit) closeGaps() error {
	old := e.view.chunks
	e.view.chunks = make([]*chunk, 0, len(old))
	for _, c := range old {
		last := len(e.view.chunks) - 1
		switch {
		case c == nil:
		case last >= 0 && e.view.chunks[last].len()+c.len() <= chunkSize/2:
			if err := e.join(last, c); err != nil {
				return err
			}
		default:
			e.view.chunks = append(e.view.chunks, c)
		}
	}
	return nil
}

// join adds the messages of c, which comes after chunk k, to that one.
func (e *viewEdit) join(k int, c *chunk) error {
	a, err := e.view.chunks[k].lazy.load(e.reader)
	if err != nil {
		return err
	}
	b, err := c.lazy.load(e.reader)
	if err != nil {
		return err
	}
	delete(e.own, c)
	e.replace(k, join(e.view.chunks[k], c, a, b), true)
	return nil
}

// add puts messages at the end.
func (e *viewEdit) add(msgs []added) error {
	v := e.view
	for len(msgs) > 0 {
		c, err := e.last(len(msgs))
		if err != nil {
			return err
		}
		n := min(chunkSize-c.len(), len(msgs))
		for i := range msgs[:n] {
			a := &msgs[i]
			if a.UID < v.uidNext {
				return fmt.Errorf("%w: log adds UID %d again", store.ErrCorrupt, a.UID)
			}
			v.uidNext = a.UID + 1
			c.append(a, v.table.number(a.Flags, v.keywords), v.modseq)
		}
		msgs = msgs[n:]
	}
	return nil
}

// last returns the last chunk as one to which messages may be added, of which n are to
// come. If it is full, it is a new one.
func (e *viewEdit) last(n int) (*chunk, error) {
	v := e.view
	k := len(v.chunks) - 1
	if k < 0 || v.chunks[k].len() == chunkSize {
		k++
		v.chunks = append(v.chunks, nil)
		e.replace(k, newChunk(new(columns), knownDetails(new(details))), true)
	}
	c := v.chunks[k]
	n = min(c.len()+n, chunkSize)
	if !e.own[c] {
		d, err := c.lazy.load(e.reader)
		if err != nil {
			return nil, err
		}
		c = c.extend(n, d)
		e.replace(k, c, true)
	}
	c.reserve(n)
	return c, nil
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
		uid := c.columns().uid
		for _, r := range uids.Clip(c.firstUID(), c.lastUID()) {
			i, _ := slices.BinarySearch(uid, r.Start)
			for ; i < len(uid) && uid[i] <= r.Stop; i++ {
				if !yield(i) {
					return
				}
			}
		}
	}
}
