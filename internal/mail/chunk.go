package mail

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"

	"tidemark/imap"
	"tidemark/internal/store"
)

// chunkSize is how many messages a chunk holds at most. A change copies the columns
// that it changes of the chunks that it touches: larger chunks cost more for each change,
// smaller ones more for each version of the list of chunks.
const chunkSize = 1024

// chunk is a run of messages of a mailbox as columns, in the order of their UIDs.
// A chunk is never changed once it is part of a view. Its next version shares the
// columns that stay the same.
type chunk struct {
	messages    int
	first, last uint32 // UIDs

	// To open a mailbox takes totals. A chunk that comes from a snapshot is unpacked when a
	// command goes over its messages, and its details are read when one asks for them.
	packed   *packedChunk // nil unless it comes from a snapshot
	unpacked atomic.Pointer[columns]
	lazy     *lazyDetails

	maxModSeq uint64
	unseen    uint32
	deleted   uint32
	octets    uint64

	// stored says that the snapshot on disk has this version of the chunk, its details aside.
	stored atomic.Bool

	room *room // nil for none
}

// room is the free room after the UIDs and details of some versions of a chunk, each of
// which has more messages than the one before. They share the memory: to append is to write
// where no version has anything yet, and copies nothing.
type room struct{ used atomic.Int64 }

// take claims the places from have to want. It fails if another version has been made of the
// one that ends at have, as by a transaction that was run again.
func (r *room) take(have, want int) bool {
	return r != nil && r.used.CompareAndSwap(int64(have), int64(want))
}

// columns are what all sessions look at.
type columns struct {
	uid    []uint32
	flags  []uint32 // numbers in the mailbox's flagTable
	modseq []uint64
}

// newChunk returns a chunk that is not sealed.
func newChunk(cols *columns, lazy *lazyDetails) *chunk {
	c := &chunk{messages: len(cols.uid), lazy: lazy}
	if c.messages > 0 {
		c.first, c.last = cols.uid[0], cols.uid[c.messages-1]
	}
	c.unpacked.Store(cols)
	return c
}

func (c *chunk) len() int         { return c.messages }
func (c *chunk) firstUID() uint32 { return c.first }
func (c *chunk) lastUID() uint32  { return c.last }

// columns returns the columns, which must not be changed.
func (c *chunk) columns() *columns {
	if cols := c.unpacked.Load(); cols != nil {
		return cols
	}
	c.unpacked.CompareAndSwap(nil, c.packed.unpack(c.messages))
	return c.unpacked.Load()
}

// memory is about how many octets the chunk takes.
func (c *chunk) memory() int {
	const own, columnsPerMessage, detailsPerMessage = 300, 4 + 4 + 8, 8 + 4 + 8 + 8 + 8
	n := own
	if p := c.packed; p != nil {
		n += len(p.uid.rests) + len(p.flags.rests) + len(p.modseq.rests)
	}
	if c.unpacked.Load() != nil {
		n += columnsPerMessage * c.messages
	}
	if c.lazy.columns.Load() != nil {
		n += detailsPerMessage * c.messages
	}
	return n
}

// begins says that next holds all messages of c and perhaps new ones after them. No message
// before those of c is in next. As UIDs ascend, and what is not new was in c, none is
// missing where the last one stands in its place.
func (c *chunk) begins(next *chunk) bool {
	n := c.len()
	if n == next.len() {
		return c.last == next.last
	}
	return n < next.len() && next.columns().uid[n-1] == c.last
}

// seal computes the totals of a chunk that has just been built, but for octets, which
// change with the messages alone.
func (c *chunk) seal(sets []flagSet) {
	c.maxModSeq, c.unseen, c.deleted = 0, 0, 0
	cols := c.columns()
	for i, f := range cols.flags {
		c.maxModSeq = max(c.maxModSeq, cols.modseq[i])
		if !sets[f].bits.has(bitSeen) {
			c.unseen++
		}
		if sets[f].bits.has(bitDeleted) {
			c.deleted++
		}
	}
}

// pick returns a chunk of the messages at the given indexes, not sealed. d are the details
// of c.
func (c *chunk) pick(keep []int, d *details) *chunk {
	cols := c.columns()
	d = d.pick(keep)
	next := newChunk(&columns{
		uid: pick(cols.uid, keep), flags: pick(cols.flags, keep), modseq: pick(cols.modseq, keep),
	}, knownDetails(d))
	for _, n := range d.size {
		next.octets += uint64(n)
	}
	return next
}

func pick[T any](column []T, keep []int) []T {
	out := make([]T, len(keep))
	for i, k := range keep {
		out[i] = column[k]
	}
	return out
}

// indexesWithout returns the indexes of the messages whose UID is not in uids.
func (c *chunk) indexesWithout(uids imap.NumSet) []int {
	keep := make([]int, 0, c.len())
	for i, uid := range c.columns().uid {
		if !uids.Contains(uid) {
			keep = append(keep, i)
		}
	}
	return keep
}

// copyFlags returns a copy of the chunk whose flags and MODSEQs may be changed until it is
// part of a view. It shares all else.
func (c *chunk) copyFlags() *chunk {
	cols := c.columns()
	next := newChunk(&columns{
		uid: cols.uid, flags: slices.Clone(cols.flags), modseq: slices.Clone(cols.modseq),
	}, c.lazy)
	next.octets = c.octets
	return next
}

// extend returns a copy of the chunk that messages may be added to until it is part of a
// view, n in all. What never changes is shared: the UIDs and d, the details of c.
func (c *chunk) extend(n int, d *details) *chunk {
	cols, more := c.columns(), *d
	next := newChunk(&columns{
		uid: cols.uid, flags: grow(cols.flags, n), modseq: grow(cols.modseq, n),
	}, knownDetails(&more))
	next.octets, next.room = c.octets, c.room
	return next
}

// reserve makes room for n messages in all in a chunk that is part of no view yet. Call it
// before append.
func (c *chunk) reserve(n int) {
	cols := c.columns()
	if n <= cap(cols.uid) && c.room.take(c.len(), n) {
		return
	}
	free := min(n+n/4, chunkSize)
	cols.uid = grow(cols.uid, free)
	c.details().grow(free)
	c.room = new(room)
	c.room.used.Store(int64(n))
}

// append adds a message to a chunk that is part of no view yet and has room for it.
func (c *chunk) append(a *added, flags uint32, modseq uint64) {
	if c.messages == 0 {
		c.first = a.UID
	}
	c.messages++
	c.last = a.UID
	c.octets += uint64(a.Size)
	cols := c.columns()
	cols.uid = append(cols.uid, a.UID)
	cols.flags = append(cols.flags, flags)
	cols.modseq = append(cols.modseq, modseq)
	c.details().append(a)
}

// join returns a chunk with the messages of two neighbours, whose details are ad and bd. It
// is not sealed.
func join(a, b *chunk, ad, bd *details) *chunk {
	ac, bc := a.columns(), b.columns()
	c := newChunk(&columns{
		uid: slices.Concat(ac.uid, bc.uid), flags: slices.Concat(ac.flags, bc.flags),
		modseq: slices.Concat(ac.modseq, bc.modseq),
	}, knownDetails(joinDetails(ad, bd)))
	c.octets = a.octets + b.octets
	return c
}

// grow returns a copy of column with room for n elements.
func grow[T any](column []T, n int) []T {
	return append(make([]T, 0, n), column...)
}

const chunkVersion = 3

// encode returns the chunk as it is stored, but for its details: its totals, the distinct
// flag sets, and the columns. details is the MODSEQ of the snapshot that wrote its details.
func (c *chunk) encode(sets []flagSet, details uint64) []byte {
	local := make(map[uint32]uint32)
	flags := make([]uint32, c.len())
	cols := c.columns()
	var used []flagBits
	for i, f := range cols.flags {
		n, ok := local[f]
		if !ok {
			n = uint32(len(used))
			local[f] = n
			used = append(used, sets[f].bits)
		}
		flags[i] = n
	}
	b := append(make([]byte, 0, 64+c.len()*8), chunkVersion)
	for _, n := range [...]uint64{
		uint64(c.len()), details, c.maxModSeq, uint64(c.unseen), uint64(c.deleted), c.octets, uint64(len(used)),
	} {
		b = binary.AppendUvarint(b, n)
	}
	for _, bits := range used {
		b = appendString(b, string(bits))
	}
	b = appendPacked(b, cols.uid)
	b = appendPacked(b, flags)
	return appendPacked(b, cols.modseq)
}

// packedChunk has the columns of a chunk as they are stored.
type packedChunk struct {
	uid, flags, modseq packedColumn
	numbers            []uint32 // in the mailbox's flagTable, of the flag sets of the chunk
}

func (p *packedChunk) unpack(n int) *columns {
	cols := &columns{
		uid: unpack[uint32](p.uid, n), flags: unpack[uint32](p.flags, n), modseq: unpack[uint64](p.modseq, n),
	}
	for i, f := range cols.flags {
		cols.flags[i] = p.numbers[f]
	}
	return cols
}

// decodeChunk returns a chunk of the mailbox with the given id. It keeps nothing of b.
func decodeChunk(b []byte, id mailboxID, table *flagTable, keywords []imap.Flag) (*chunk, error) {
	r := newReader(bytes.Clone(b), chunkVersion, "chunk")
	n, details := r.uint(), r.uint()
	if r.err == nil && (n == 0 || n > chunkSize) {
		return nil, fmt.Errorf("%w: chunk of %d messages", store.ErrCorrupt, n)
	}
	p := new(packedChunk)
	c := &chunk{messages: int(n), packed: p, maxModSeq: r.uint(), unseen: r.uint32(), deleted: r.uint32(), octets: r.uint()}
	for range r.count() {
		p.numbers = append(p.numbers, table.number(flagBits(r.bytes()), keywords))
	}
	p.uid, p.flags, p.modseq = r.packed(c.messages), r.packed(c.messages), r.packed(c.messages)
	if err := r.done(); err != nil {
		return nil, err
	}
	if !p.flags.below(uint64(len(p.numbers)), c.messages) {
		return nil, fmt.Errorf("%w: chunk names a flag set that it does not have", store.ErrCorrupt)
	}
	if !p.uid.ascending(c.messages) || !p.uid.below(1<<32, c.messages) {
		return nil, fmt.Errorf("%w: chunk is out of order", store.ErrCorrupt)
	}
	c.first, c.last = uint32(p.uid.at(0)), uint32(p.uid.at(c.messages-1))
	c.stored.Store(true)
	c.lazy = &lazyDetails{mailbox: id, firstUID: c.first, messages: c.messages}
	c.lazy.written.Store(details)
	return c, nil
}
