package mail

import (
	"iter"
	"slices"
	"sort"

	"tidemark/imap"
	"tidemark/imapserver"
)

// view is one version of a mailbox: its messages as of a MODSEQ. It is never
// changed; apply makes the next one, which shares what is the same.
type view struct {
	modseq   uint64
	uidNext  uint32
	chunks   []*chunk
	starts   []uint32 // messages before each chunk, and before the end
	keywords []imap.Flag
	table    *flagTable
	sets     []flagSet // of table; every number in the chunks is below its length
	unseen   uint32
	deleted  uint32
	octets   uint64

	// changes counts the messages whose flags were changed or that were expunged since the
	// version that came from the snapshot, one that was changed twice twice.
	changes uint64
}

var _ imapserver.View = (*view)(nil)

// seal completes a view whose chunks are complete.
func (v *view) seal() {
	v.starts = make([]uint32, len(v.chunks)+1)
	v.unseen, v.deleted, v.octets = 0, 0, 0
	for i, c := range v.chunks {
		v.starts[i+1] = v.starts[i] + uint32(c.len())
		v.unseen += c.unseen
		v.deleted += c.deleted
		v.octets += c.octets
	}
}

// ModSeq returns the HIGHESTMODSEQ of this version.
func (v *view) ModSeq() imap.ModSeq { return imap.ModSeq(v.modseq) }

// Len returns the number of messages.
func (v *view) Len() uint32 { return v.starts[len(v.chunks)] }

// UIDNext returns the UID that the next message would get.
func (v *view) UIDNext() imap.UID { return imap.UID(v.uidNext) }

// Keywords returns the mailbox's keywords in the order in which they came.
func (v *view) Keywords() []imap.Flag { return v.keywords }

// locate returns the chunk and the index in it of a position, counted from 1,
// which must exist.
func (v *view) locate(seq uint32) (c *chunk, i int) {
	k := sort.Search(len(v.chunks), func(k int) bool { return v.starts[k+1] >= seq })
	return v.chunks[k], int(seq - 1 - v.starts[k])
}

// UID returns the UID at a position, which must exist.
func (v *view) UID(seq imap.SeqNum) imap.UID {
	c, i := v.locate(uint32(seq))
	return imap.UID(place{c, i}.uid())
}

// position returns how many messages have UIDs below uid, and whether uid is there.
func (v *view) position(uid uint32) (before uint32, found bool) {
	k := v.chunkOf(uid)
	if k == len(v.chunks) {
		return v.Len(), false
	}
	i, found := slices.BinarySearch(v.chunks[k].columns().uid, uid)
	return v.starts[k] + uint32(i), found
}

// chunkOf returns the index of the first chunk whose last UID is not below uid.
func (v *view) chunkOf(uid uint32) int {
	return sort.Search(len(v.chunks), func(k int) bool { return v.chunks[k].lastUID() >= uid })
}

// Seq returns the position of uid, 0 if it is not there.
func (v *view) Seq(uid imap.UID) imap.SeqNum {
	before, found := v.position(uint32(uid))
	if !found {
		return 0
	}
	return imap.SeqNum(before + 1)
}

// Row returns the message at a position, which must exist.
func (v *view) Row(seq imap.SeqNum) imapserver.Row {
	c, i := v.locate(uint32(seq))
	return v.row(c, i)
}

func (v *view) row(c *chunk, i int) imapserver.Row {
	cols := c.columns()
	return imapserver.Row{
		UID:    imap.UID(cols.uid[i]),
		Flags:  v.sets[cols.flags[i]].flagSet(v.keywords),
		ModSeq: imap.ModSeq(cols.modseq[i]),
	}
}

// Rows yields the messages at the given positions, which must exist.
func (v *view) Rows(seqs imap.NumSet) iter.Seq2[imap.SeqNum, imapserver.Row] {
	return func(yield func(imap.SeqNum, imapserver.Row) bool) {
		for seq, at := range v.at(seqs) {
			if !yield(imap.SeqNum(seq), v.row(at.c, at.i)) {
				return
			}
		}
	}
}

// place is where a message stands in a view.
type place struct {
	c *chunk
	i int
}

func (p place) uid() uint32    { return p.c.columns().uid[p.i] }
func (p place) flags() uint32  { return p.c.columns().flags[p.i] }
func (p place) modseq() uint64 { return p.c.columns().modseq[p.i] }

// at yields the places of the given positions.
func (v *view) at(seqs imap.NumSet) iter.Seq2[uint32, place] {
	return func(yield func(uint32, place) bool) {
		for _, r := range seqs.Clip(1, v.Len()) {
			k := sort.Search(len(v.chunks), func(k int) bool { return v.starts[k+1] >= r.Start })
			for seq := r.Start; seq <= r.Stop; k++ {
				c := v.chunks[k]
				for i := int(seq - 1 - v.starts[k]); i < c.len() && seq <= r.Stop; i++ {
					if !yield(seq, place{c, i}) {
						return
					}
					seq++
				}
			}
		}
	}
}

// places returns the places of the given positions.
func (v *view) places(seqs imap.NumSet) []place {
	all := make([]place, 0, min(seqs.Count(), uint64(v.Len())))
	for _, at := range v.at(seqs) {
		all = append(all, at)
	}
	return all
}

// UIDs returns the UIDs at the given positions.
func (v *view) UIDs(seqs imap.NumSet) imap.NumSet {
	var out imap.NumSet
	if len(seqs) == 1 && seqs[0].Start <= 1 && seqs[0].Stop >= v.Len() {
		return v.allUIDs()
	}
	for _, at := range v.at(seqs) {
		out.Add(at.uid())
	}
	return out
}

// allUIDs returns every UID. A chunk without gaps is one range.
func (v *view) allUIDs() imap.NumSet {
	var out imap.NumSet
	for _, c := range v.chunks {
		if int(c.lastUID()-c.firstUID())+1 == c.len() {
			out.AddRange(c.firstUID(), c.lastUID())
			continue
		}
		for _, uid := range c.columns().uid {
			out.Add(uid)
		}
	}
	return out
}

// Seqs returns the positions of those of uids that are there. In each range of UIDs
// the messages that are there have consecutive positions, so that its cost does not
// grow with the range.
func (v *view) Seqs(uids imap.NumSet) imap.NumSet {
	var out imap.NumSet
	for _, r := range uids {
		first, _ := v.position(r.Start)
		last, found := v.position(r.Stop)
		if found {
			last++
		}
		if last > first {
			out.AddRange(first+1, last)
		}
	}
	return out
}

// FirstUnseen returns the position of the first message without \Seen, 0 if there
// is none.
func (v *view) FirstUnseen() imap.SeqNum {
	for k, c := range v.chunks {
		if c.unseen == 0 {
			continue
		}
		for i, f := range c.columns().flags {
			if !v.sets[f].bits.has(bitSeen) {
				return imap.SeqNum(v.starts[k] + uint32(i) + 1)
			}
		}
	}
	return 0
}

// changedSince returns the UIDs of the messages whose MODSEQ is above modseq.
func (v *view) changedSince(modseq uint64) imap.NumSet {
	var out imap.NumSet
	for _, c := range v.chunks {
		if c.maxModSeq <= modseq {
			continue
		}
		for i, m := range c.columns().modseq {
			if m > modseq {
				out.Add(place{c, i}.uid())
			}
		}
	}
	return out
}

// Newer returns the positions of the messages whose MODSEQ is above modseq.
func (v *view) Newer(modseq imap.ModSeq) imap.NumSet {
	var out imap.NumSet
	for k, c := range v.chunks {
		if c.maxModSeq <= uint64(modseq) {
			continue
		}
		for i, m := range c.columns().modseq {
			if m > uint64(modseq) {
				out.Add(v.starts[k] + uint32(i) + 1)
			}
		}
	}
	return out
}

// deletedUIDs returns the UIDs of the messages with \Deleted.
func (v *view) deletedUIDs() imap.NumSet {
	var out imap.NumSet
	for _, c := range v.chunks {
		if c.deleted == 0 {
			continue
		}
		for i, f := range c.columns().flags {
			if v.sets[f].bits.has(bitDeleted) {
				out.Add(place{c, i}.uid())
			}
		}
	}
	return out
}
