package mail

import (
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
	uid  []uint32
	lazy *lazyDetails

	flags  []uint32 // numbers in the mailbox's flagTable
	modseq []uint64

	maxModSeq uint64
	unseen    uint32
	deleted   uint32
	octets    uint64

	// stored says that the snapshot on disk has this version of the chunk, its details aside.
	stored atomic.Bool
}

func (c *chunk) len() int         { return len(c.uid) }
func (c *chunk) firstUID() uint32 { return c.uid[0] }
func (c *chunk) lastUID() uint32  { return c.uid[len(c.uid)-1] }

// sameMessages says that the two versions hold the same messages, because one was
// made of the other without adding or expunging.
func (c *chunk) sameMessages(o *chunk) bool {
	return len(c.uid) == len(o.uid) && &c.uid[0] == &o.uid[0]
}

// seal computes the totals of a chunk that has just been built, but for octets, which
// change with the messages alone.
func (c *chunk) seal(sets []flagSet) {
	c.maxModSeq, c.unseen, c.deleted = 0, 0, 0
	for i, f := range c.flags {
		c.maxModSeq = max(c.maxModSeq, c.modseq[i])
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
	d = d.pick(keep)
	next := &chunk{
		uid: pick(c.uid, keep), flags: pick(c.flags, keep), modseq: pick(c.modseq, keep), lazy: knownDetails(d),
	}
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
	for i, uid := range c.uid {
		if !uids.Contains(uid) {
			keep = append(keep, i)
		}
	}
	return keep
}

// copyFlags returns a copy of the chunk whose flags and MODSEQs may be changed until it is
// part of a view. It shares all else.
func (c *chunk) copyFlags() *chunk {
	return &chunk{
		uid: c.uid, lazy: c.lazy, octets: c.octets,
		flags: slices.Clone(c.flags), modseq: slices.Clone(c.modseq),
	}
}

// grow returns a copy of the chunk that messages may be added to until it is part of a view,
// with room for n. d are the details of c.
func (c *chunk) grow(n int, d *details) *chunk {
	return &chunk{
		uid: grow(c.uid, n), flags: grow(c.flags, n), modseq: grow(c.modseq, n),
		lazy: knownDetails(d.grow(n)), octets: c.octets,
	}
}

// append adds a message to a chunk that is part of no view yet.
func (c *chunk) append(a *added, flags uint32, modseq uint64) {
	c.uid = append(c.uid, a.UID)
	c.flags = append(c.flags, flags)
	c.modseq = append(c.modseq, modseq)
	c.octets += uint64(a.Size)
	c.details().append(a)
}

// join returns a chunk with the messages of two neighbours, whose details are ad and bd. It
// is not sealed.
func join(a, b *chunk, ad, bd *details) *chunk {
	return &chunk{
		uid: slices.Concat(a.uid, b.uid), flags: slices.Concat(a.flags, b.flags),
		modseq: slices.Concat(a.modseq, b.modseq),
		lazy:   knownDetails(joinDetails(ad, bd)), octets: a.octets + b.octets,
	}
}

// grow returns a copy of column with room for n elements.
func grow[T any](column []T, n int) []T {
	return append(make([]T, 0, n), column...)
}

const chunkVersion = 2

// encode returns the chunk as it is stored, but for its details: its totals, the distinct
// flag sets, and the columns. details is the MODSEQ of the snapshot that wrote its details.
func (c *chunk) encode(sets []flagSet, details uint64) []byte {
	local := make(map[uint32]uint32)
	flags := make([]uint32, c.len())
	var used []flagBits
	for i, f := range c.flags {
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
	b = appendPacked(b, c.uid)
	b = appendPacked(b, flags)
	return appendPacked(b, c.modseq)
}

func decodeChunk(b []byte, id mailboxID, table *flagTable, keywords []imap.Flag) (*chunk, error) {
	r := newReader(b, chunkVersion, "chunk")
	n, details := r.uint(), r.uint()
	if r.err == nil && (n == 0 || n > chunkSize) {
		return nil, fmt.Errorf("%w: chunk of %d messages", store.ErrCorrupt, n)
	}
	c := &chunk{maxModSeq: r.uint(), unseen: r.uint32(), deleted: r.uint32(), octets: r.uint()}
	var numbers []uint32
	for range r.count() {
		numbers = append(numbers, table.number(flagBits(r.bytes()), keywords))
	}
	c.uid = takePacked[uint32](r, int(n))
	c.flags = takePacked[uint32](r, int(n))
	c.modseq = takePacked[uint64](r, int(n))
	if err := r.done(); err != nil {
		return nil, err
	}
	for i, f := range c.flags {
		if f >= uint32(len(numbers)) {
			return nil, fmt.Errorf("%w: chunk names a flag set that it does not have", store.ErrCorrupt)
		}
		c.flags[i] = numbers[f]
	}
	c.stored.Store(true)
	c.lazy = &lazyDetails{mailbox: id, firstUID: c.firstUID(), messages: c.len()}
	c.lazy.written.Store(details)
	return c, nil
}
