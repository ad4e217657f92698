package mail

import "tidemark/imapserver"

// Delta says how to come from an earlier version of the mailbox to this one. It
// skips the chunks that the versions share, so that its cost follows what has changed.
func (v *view) Delta(old imapserver.View) imapserver.Delta {
	o := old.(*view)
	d := imapserver.Delta{Keywords: len(v.keywords) != len(o.keywords)}
	if v == o {
		return d
	}
	w := deltaWalk{old: o, new: v, delta: &d}
	w.run()
	before, _ := v.position(o.uidNext)
	d.Added = v.Len() - before
	return d
}

// deltaWalk goes over two versions side by side, in the order of UIDs.
type deltaWalk struct {
	old, new *view
	delta    *imapserver.Delta
	k, i     int // chunk and index in old
	m, j     int // chunk and index in new
}

func (w *deltaWalk) run() {
	for w.k < len(w.old.chunks) {
		if w.m == len(w.new.chunks) {
			w.expungeRest()
			return
		}
		oc, nc := w.old.chunks[w.k], w.new.chunks[w.m]
		switch {
		case w.i == 0 && w.j == 0 && oc == nc:
			w.k++
			w.m++
		case w.i == 0 && w.j == 0 && oc.begins(nc):
			w.compareFlags(nc, oc.len())
			w.k++
			w.skipNew(nc, oc.len())
		default:
			w.step(oc, nc)
		}
	}
}

// compareFlags notes the changes of the first n messages of a chunk, which were there before.
func (w *deltaWalk) compareFlags(c *chunk, n int) {
	if c.maxModSeq <= w.old.modseq {
		return
	}
	for i, modseq := range c.columns().modseq[:n] {
		if modseq > w.old.modseq {
			w.delta.Changed.Add(w.new.starts[w.m] + uint32(i) + 1)
		}
	}
}

// step compares one message. A UID of the new version below the old one's cannot be:
// messages are added at the end only.
func (w *deltaWalk) step(oc, nc *chunk) {
	if oc.columns().uid[w.i] != nc.columns().uid[w.j] {
		w.delta.Expunged.Add(w.old.starts[w.k] + uint32(w.i) + 1)
		w.nextOld(oc)
		return
	}
	if nc.columns().modseq[w.j] > w.old.modseq {
		w.delta.Changed.Add(w.new.starts[w.m] + uint32(w.j) + 1)
	}
	w.nextOld(oc)
	w.skipNew(nc, 1)
}

func (w *deltaWalk) skipNew(nc *chunk, n int) {
	if w.j += n; w.j == nc.len() {
		w.m++
		w.j = 0
	}
}

func (w *deltaWalk) nextOld(oc *chunk) {
	if w.i++; w.i == oc.len() {
		w.k++
		w.i = 0
	}
}

func (w *deltaWalk) expungeRest() {
	first := w.old.starts[w.k] + uint32(w.i) + 1
	w.delta.Expunged.AddRange(first, w.old.Len())
}
