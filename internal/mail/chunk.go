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
	uid      []uint32
	email    []uint64
	size     []uint32
	internal []packedTime
	sent     []packedTime
	saved    []int64

	flags  []uint32 // numbers in the mailbox's flagTable
	modseq []uint64

	maxModSeq uint64
	unseen    uint32
	deleted   uint32
	octets    uint64

	// stored says that the snapshot on disk has this version of the chunk.
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

// seal computes the totals of a chunk that has just been built.
func (c *chunk) seal(sets []flagSet) {
	c.maxModSeq, c.unseen, c.deleted, c.octets = 0, 0, 0, 0
	for i, f := range c.flags {
		c.maxModSeq = max(c.maxModSeq, c.modseq[i])
		if !sets[f].bits.has(bitSeen) {
			c.unseen++
		}
		if sets[f].bits.has(bitDeleted) {
			c.deleted++
		}
		c.octets += uint64(c.size[i])
	}
}

// withFlags returns a version in which the flags of some messages have changed:
// change gives the new number for an old one, for the messages whose index is set in
// hit. The result is not sealed; it is c itself if nothing changed.
func (c *chunk) withFlags(hit func(yield func(i int) bool), change func(uint32) uint32, modseq uint64) *chunk {
	var next *chunk
	for i := range hit {
		f := change(c.flags[i])
		if next == nil {
			next = &chunk{
				uid: c.uid, email: c.email, size: c.size, internal: c.internal, sent: c.sent, saved: c.saved,
				flags: slices.Clone(c.flags), modseq: slices.Clone(c.modseq),
			}
		}
		next.flags[i] = f
		next.modseq[i] = modseq
	}
	if next == nil {
		return c
	}
	return next
}

// without returns a version that lacks the messages whose UID is in uids, nil if
// none are left, c itself if none of them was there. The result is not sealed.
func (c *chunk) without(uids imap.NumSet) *chunk {
	keep := make([]int, 0, c.len())
	for i, uid := range c.uid {
		if !uids.Contains(uid) {
			keep = append(keep, i)
		}
	}
	switch len(keep) {
	case 0:
		return nil
	case c.len():
		return c
	}
	return &chunk{
		uid: pick(c.uid, keep), email: pick(c.email, keep), size: pick(c.size, keep),
		internal: pick(c.internal, keep), sent: pick(c.sent, keep), saved: pick(c.saved, keep),
		flags: pick(c.flags, keep), modseq: pick(c.modseq, keep),
	}
}

func pick[T any](column []T, keep []int) []T {
	out := make([]T, len(keep))
	for i, k := range keep {
		out[i] = column[k]
	}
	return out
}

// with returns a version with the messages of more behind those of c, of which
// there may be none (nil). The result is not sealed.
func (c *chunk) with(more []added, flags []uint32, modseq uint64) *chunk {
	if c == nil {
		c = new(chunk)
	}
	n := c.len() + len(more)
	next := &chunk{
		uid: grow(c.uid, n), email: grow(c.email, n), size: grow(c.size, n),
		internal: grow(c.internal, n), sent: grow(c.sent, n), saved: grow(c.saved, n),
		flags: grow(c.flags, n), modseq: grow(c.modseq, n),
	}
	for i, a := range more {
		next.uid = append(next.uid, a.UID)
		next.email = append(next.email, uint64(a.Email))
		next.size = append(next.size, a.Size)
		next.internal = append(next.internal, a.Internal)
		next.sent = append(next.sent, a.Sent)
		next.saved = append(next.saved, a.Saved)
		next.flags = append(next.flags, flags[i])
		next.modseq = append(next.modseq, modseq)
	}
	return next
}

// grow returns a copy of column with room for n elements.
func grow[T any](column []T, n int) []T {
	return append(make([]T, 0, n), column...)
}

const chunkVersion = 1

// encode returns the chunk as it is stored: the distinct flag sets, then each
// column in full, little endian, so that loading it is copying.
func (c *chunk) encode(sets []flagSet) []byte {
	local := make(map[uint32]uint32)
	var used []flagBits
	for _, f := range c.flags {
		if _, ok := local[f]; !ok {
			local[f] = uint32(len(used))
			used = append(used, sets[f].bits)
		}
	}
	n := c.len()
	b := append(make([]byte, 0, 16+n*48), chunkVersion)
	b = binary.AppendUvarint(b, uint64(len(used)))
	for _, bits := range used {
		b = appendString(b, string(bits))
	}
	b = binary.AppendUvarint(b, uint64(n))
	b = appendColumn32(b, c.uid)
	b = appendColumn64(b, c.email)
	b = appendColumn32(b, c.size)
	b = appendColumn64(b, c.internal)
	b = appendColumn64(b, c.sent)
	b = appendColumn64(b, c.saved)
	for _, f := range c.flags {
		b = binary.LittleEndian.AppendUint32(b, local[f])
	}
	return appendColumn64(b, c.modseq)
}

// bytesPerMessage is what one message takes in an encoded chunk.
const bytesPerMessage = 4 + 8 + 4 + 8 + 8 + 8 + 4 + 8

func decodeChunk(b []byte, table *flagTable, keywords []imap.Flag) (*chunk, error) {
	r := newReader(b, chunkVersion, "chunk")
	var numbers []uint32
	for range r.count() {
		numbers = append(numbers, table.number(flagBits(r.bytes()), keywords))
	}
	n := int(r.uint32())
	if r.err != nil {
		return nil, r.err
	}
	if n == 0 || len(r.b) != n*bytesPerMessage {
		return nil, fmt.Errorf("%w: chunk of %d messages has %d octets", store.ErrCorrupt, n, len(r.b))
	}
	c := &chunk{
		uid: takeColumn32(r, n), email: takeColumn64[uint64](r, n), size: takeColumn32(r, n),
		internal: takeColumn64[packedTime](r, n), sent: takeColumn64[packedTime](r, n), saved: takeColumn64[int64](r, n),
		flags: takeColumn32(r, n), modseq: takeColumn64[uint64](r, n),
	}
	for i, f := range c.flags {
		if f >= uint32(len(numbers)) {
			return nil, fmt.Errorf("%w: chunk names a flag set that it does not have", store.ErrCorrupt)
		}
		c.flags[i] = numbers[f]
	}
	return c, nil
}

func appendColumn32(b []byte, column []uint32) []byte {
	for _, n := range column {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

func appendColumn64[T ~uint64 | ~int64](b []byte, column []T) []byte {
	for _, n := range column {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return b
}

func takeColumn32(r *reader, n int) []uint32 {
	column := make([]uint32, n)
	for i := range column {
		column[i] = binary.LittleEndian.Uint32(r.b[4*i:])
	}
	r.b = r.b[4*n:]
	return column
}

func takeColumn64[T ~uint64 | ~int64](r *reader, n int) []T {
	column := make([]T, n)
	for i := range column {
		column[i] = T(binary.LittleEndian.Uint64(r.b[8*i:]))
	}
	r.b = r.b[8*n:]
	return column
}
