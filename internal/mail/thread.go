package mail

import (
	"context"
	"encoding/binary"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
)

// Thread returns the threads of those of uids that are in v (RFC 5256 §3).
func (s *Selected) Thread(
	ctx context.Context, version imapserver.View, algorithm imap.ThreadAlgorithm, uids imap.NumSet,
) ([]*imap.ThreadNode, error) {
	v := version.(*view)
	rows := rowsOf(v, uids)
	var threads []*imap.ThreadNode
	err := s.svc().engine.View(ctx, s.account.id, func(r store.Reader) error {
		t, err := newTextReader(r, s.mailbox.id, rows.at)
		if err != nil {
			return err
		}
		defer t.close()
		if err := v.loadDetails(r, v.Seqs(uids)); err != nil {
			return err
		}
		if err := rows.rank(ctx, t, subjectColumn); err != nil {
			return err
		}
		if algorithm != imap.ThreadReferences {
			threads = threadBySubject(rows)
			return nil
		}
		rows.threads = make([][]byte, len(rows.at))
		err = rows.eachTerm(ctx, t, threadColumn, func(row int, ids term) { rows.threads[row] = ids.text })
		if err != nil {
			return err
		}
		threads, err = threadByReferences(ctx, rows)
		return err
	})
	if err != nil {
		return nil, s.svc().fault(err)
	}
	return threads, nil
}

// bySent returns the rows ordered by sent date, then by their order in the mailbox.
func (r *sortRows) bySent() []int32 {
	items := make([]sortItem, len(r.at))
	for i, at := range r.at {
		items[i] = sortItem{ascending(at.sent()), uint32(i)}
	}
	sortByRank(items)
	order := make([]int32, len(items))
	for i, item := range items {
		order[i] = int32(item.row)
	}
	return order
}

// threadBySubject is ORDEREDSUBJECT: one level of replies below the first message of
// each base subject.
func threadBySubject(r *sortRows) []*imap.ThreadNode {
	f := newForest(len(r.at))
	order := r.bySent()
	first := newSubjectTable(r)
	for _, n := range order {
		if head := first[r.subject(n)]; head != none {
			f.parent[n] = head
		} else {
			first[r.subject(n)] = n
		}
	}
	return f.threads(r, order)
}

// forest is threads in the making. Its nodes are numbers: those of the rows, and from
// there on dummies that stand for messages that are not there.
type forest struct {
	rows   int32
	parent []int32 // of each node, none at the top
}

const none = int32(-1)

func newForest(rows int) *forest {
	f := &forest{rows: int32(rows), parent: make([]int32, rows, rows+rows/4)}
	for i := range f.parent {
		f.parent[i] = none
	}
	return f
}

func (f *forest) dummy() int32 {
	f.parent = append(f.parent, none)
	return int32(len(f.parent) - 1)
}

func (f *forest) isDummy(n int32) bool { return n >= f.rows }

// maxAncestors bounds the walk to the root of a thread. A message further down starts a
// thread of its own, so that no chain of replies costs more than linear time.
const maxAncestors = 1000

// threadByReferences is REFERENCES. The numbers are those of its steps in RFC 5256 §3.
//
// Steps (4) and (6) order siblings by sent date, a dummy by the first of its children.
// Nothing is sorted but all messages, once: going through them in that order finds the
// siblings in theirs.
func threadByReferences(ctx context.Context, r *sortRows) ([]*imap.ThreadNode, error) {
	f := newForest(len(r.at))
	if err := f.link(ctx, r.threads); err != nil { // (1) and (2)
		return nil, err
	}
	f.prune() // (3)
	order := r.bySent()
	f.merge(r, order)               // (4) and (5)
	return f.threads(r, order), nil // (6)
}

// linksPerCheck is how many messages are linked before it is asked whether to go on: a
// message may have a thousand references, and each may ask for a thousand ancestors.
const linksPerCheck = 64

// link makes each reference the parent of the next (1A), and the last one the parent of
// the message whatever was thought before (1B). Of several messages with one Message-ID, or
// without any, only the first can be referred to.
func (f *forest) link(ctx context.Context, threads [][]byte) error {
	byID := make(map[uint64]int32, len(threads)+len(threads)/4)
	for n, ids := range threads {
		if len(ids) == 0 {
			continue
		}
		id := binary.BigEndian.Uint64(ids[1:])
		if _, taken := byID[id]; id != 0 && !taken {
			byID[id] = int32(n)
		}
	}
	for i, ids := range threads {
		if i%linksPerCheck == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		n, last := int32(i), none
		for k := 9; k < len(ids); k += 8 {
			id := binary.BigEndian.Uint64(ids[k:])
			ref, ok := byID[id]
			if !ok {
				ref = f.dummy()
				byID[id] = ref
			}
			if last != none && f.parent[ref] == none && !f.isBelow(last, ref) {
				f.parent[ref] = last
			}
			last = ref
		}
		f.parent[n] = none
		if last != none && !f.isBelow(last, n) {
			f.parent[n] = last
		}
	}
	return nil
}

// isBelow says whether n is ancestor, or stands below it, or is so deep that nothing
// more is to be put below it.
func (f *forest) isBelow(n, ancestor int32) bool {
	for range maxAncestors {
		if n == none {
			return false
		}
		if n == ancestor {
			return true
		}
		n = f.parent[n]
	}
	return true
}

// above returns the message above n, without the dummies between; if there is none, the
// dummy at the top, if there is one. It makes the way shorter for the next that asks.
func (f *forest) above(n int32) int32 {
	top := f.parent[n]
	for top != none && f.isDummy(top) && f.parent[top] != none {
		top = f.parent[top]
	}
	for p := f.parent[n]; p != top; {
		p, f.parent[p] = f.parent[p], top
	}
	return top
}

// prune puts the children of dummies in their place. Only at the top a dummy stays, as
// long as it holds more than one message together.
func (f *forest) prune() {
	children := make([]int32, len(f.parent))
	for n := range f.rows {
		f.parent[n] = f.above(n)
		if p := f.parent[n]; p != none {
			children[p]++
		}
	}
	for n := range f.rows {
		if p := f.parent[n]; p != none && f.isDummy(p) && children[p] == 1 {
			f.parent[n] = none
		}
	}
}

// thread is one at the top, and the message that stands for it: itself, or of a dummy the
// first child.
type thread struct{ root, head int32 }

// tops returns the threads, given all messages ordered by sent date.
func (f *forest) tops(order []int32) []thread {
	var tops []thread
	seen := make([]bool, len(f.parent))
	for _, n := range order {
		switch p := f.above(n); {
		case p == none:
			tops = append(tops, thread{n, n})
		case f.isDummy(p) && !seen[p]:
			seen[p] = true
			tops = append(tops, thread{p, n})
		}
	}
	return tops
}

// merge joins the threads at the top that have one base subject.
func (f *forest) merge(r *sortRows, order []int32) {
	tops := f.tops(order)
	table := newSubjectTable(r) // (5B)
	for _, t := range tops {
		subject := r.subject(t.head)
		have := table[subject]
		if subject != 0 && (have == none || !f.isDummy(have) &&
			(f.isDummy(t.root) || r.isReply(have) && !r.isReply(t.root))) {
			table[subject] = t.root
		}
	}
	for _, t := range tops { // (5C)
		subject := r.subject(t.head)
		have := table[subject]
		if subject == 0 || have == t.root {
			continue
		}
		if f.isDummy(have) || r.isReply(t.root) && !r.isReply(have) {
			f.parent[t.root] = have // of two dummies the children become siblings, see above
			continue
		}
		both := f.dummy()
		f.parent[have], f.parent[t.root] = both, both
		table[subject] = both
	}
}

// subject returns the rank of a message's base subject.
func (r *sortRows) subject(n int32) uint32 { return r.ranks[subjectColumn][n] }

// isReply says whether a message's subject is that of a reply.
func (r *sortRows) isReply(n int32) bool { return len(r.threads[n]) > 0 && r.threads[n][0] != 0 }

// newSubjectTable returns a table with room for a node for each subject, all none.
func newSubjectTable(r *sortRows) []int32 {
	ranks := uint32(0)
	for _, n := range r.ranks[subjectColumn] {
		ranks = max(ranks, n+1)
	}
	table := make([]int32, ranks)
	for i := range table {
		table[i] = none
	}
	return table
}

// threads returns the threads in the form of package imap, given all messages ordered by
// sent date.
func (f *forest) threads(r *sortRows, order []int32) []*imap.ThreadNode {
	children := make([]int32, len(f.parent))
	for _, n := range order {
		if p := f.above(n); p != none {
			children[p]++
		}
	}
	nodes := make([]imap.ThreadNode, len(f.parent))
	places := make([]*imap.ThreadNode, len(order)) // for all lists of children
	var threads []*imap.ThreadNode
	for _, n := range order {
		node := &nodes[n]
		node.UID = imap.UID(r.at[n].uid())
		p := f.above(n)
		if p == none {
			threads = append(threads, node)
			continue
		}
		parent := &nodes[p]
		if parent.Children == nil {
			parent.Children, places = places[:0:children[p]], places[children[p]:]
			if f.isDummy(p) {
				threads = append(threads, parent)
			}
		}
		parent.Children = append(parent.Children, node)
	}
	return threads
}
