package mail

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tidemark/imap"
	"tidemark/imapwire"
)

// Threading in the words of RFC 5256 §3, with nodes and lists: slow, and easy to compare
// with the text.

type threadMessage struct {
	uid     uint32
	sent    int64
	subject []byte
	ids     []uint64
	repl    bool
}

// earlier orders messages by sent date, then by their order in the mailbox.
func earlier(a, b *threadMessage) int {
	return cmp.Or(cmp.Compare(a.sent, b.sent), cmp.Compare(a.uid, b.uid))
}

// threadNode is a message, or a dummy (row is nil) that stands for one that is not
// there.
type threadNode struct {
	row      *threadMessage
	parent   *threadNode
	children []*threadNode
}

// referenceThreads is REFERENCES. The numbers are those of its steps in RFC 5256 §3.
func referenceThreads(rows []*threadMessage) []*imap.ThreadNode {
	t := &threader{byID: make(map[uint64]*threadNode, len(rows))}
	for _, r := range rows {
		t.add(r)
	}
	for _, n := range t.messages {
		t.link(n) // (1)
	}
	roots := t.roots()   // (2) and (3)
	sortSiblings(roots)  // (4)
	roots = merge(roots) // (5)
	sortThreads(roots)   // (6)
	return threadsOf(roots)
}

type threader struct {
	byID     map[uint64]*threadNode
	messages []*threadNode
	dummies  []*threadNode
}

// add makes the node of a message. Of several with one Message-ID, or without any, only
// the first can be referred to.
func (t *threader) add(r *threadMessage) {
	n := &threadNode{row: r}
	t.messages = append(t.messages, n)
	if len(r.ids) == 0 || r.ids[0] == 0 {
		return
	}
	if t.byID[r.ids[0]] == nil {
		t.byID[r.ids[0]] = n
	}
}

// link makes each reference the parent of the next (1A), and the last one the parent of
// the message whatever was thought before (1B).
func (t *threader) link(n *threadNode) {
	var last *threadNode
	if len(n.row.ids) > 1 {
		for _, id := range n.row.ids[1:] {
			ref := t.byID[id]
			if ref == nil {
				ref = &threadNode{}
				t.byID[id] = ref
				t.dummies = append(t.dummies, ref)
			}
			if last != nil && ref.parent == nil && !isBelow(last, ref) {
				ref.parent = last
			}
			last = ref
		}
	}
	n.parent = nil
	if last != nil && !isBelow(last, n) {
		n.parent = last
	}
}

// isBelow says whether n is ancestor, or stands below it, or is so deep that nothing
// more is to be put below it.
func isBelow(n, ancestor *threadNode) bool {
	for range maxAncestors {
		if n == nil {
			return false
		}
		if n == ancestor {
			return true
		}
		n = n.parent
	}
	return true
}

// roots turns the parents into lists of children and prunes dummies: one without children
// goes, one with children is replaced by them, except that a dummy at the top stays
// while it holds more than one child together.
func (t *threader) roots() []*threadNode {
	all := append(t.messages, t.dummies...)
	for _, n := range all {
		if n.parent != nil {
			n.parent.children = append(n.parent.children, n)
		}
	}
	var roots []*threadNode
	for _, n := range all {
		if n.parent == nil {
			roots = append(roots, n)
		}
	}
	for _, n := range bottomUp(roots) {
		n.children = promote(n.children)
	}
	var kept []*threadNode
	for _, n := range roots {
		switch {
		case n.row != nil || len(n.children) > 1:
			kept = append(kept, n)
		case len(n.children) == 1:
			kept = append(kept, n.children[0])
		}
	}
	return kept
}

func promote(children []*threadNode) []*threadNode {
	if !slices.ContainsFunc(children, func(n *threadNode) bool { return n.row == nil }) {
		return children
	}
	var out []*threadNode
	for _, n := range children {
		if n.row == nil {
			out = append(out, n.children...)
		} else {
			out = append(out, n)
		}
	}
	return out
}

// bottomUp lists the nodes of the trees so that children come before their parents. It
// does not recurse: threads can be deep.
func bottomUp(roots []*threadNode) []*threadNode {
	order := slices.Clone(roots)
	for i := 0; i < len(order); i++ {
		order = append(order, order[i].children...)
	}
	slices.Reverse(order)
	return order
}

// head is the message that stands for a thread: itself, or of a dummy the first child.
func (n *threadNode) head() *threadMessage {
	if n.row == nil {
		return n.children[0].row
	}
	return n.row
}

// sortSiblings orders threads by sent date; the children of a dummy, by which it is
// ordered, first.
func sortSiblings(nodes []*threadNode) {
	for _, n := range nodes {
		if n.row == nil {
			slices.SortFunc(n.children, func(a, b *threadNode) int { return earlier(a.head(), b.head()) })
		}
	}
	slices.SortFunc(nodes, func(a, b *threadNode) int { return earlier(a.head(), b.head()) })
}

// sortThreads orders all siblings by sent date, the youngest generation first.
func sortThreads(roots []*threadNode) {
	for _, n := range bottomUp(roots) {
		slices.SortFunc(n.children, func(a, b *threadNode) int { return earlier(a.head(), b.head()) })
	}
	sortSiblings(roots)
}

// merge joins the threads at the top that have one base subject.
func merge(roots []*threadNode) []*threadNode {
	table := make(map[string]*threadNode) // (5B)
	for _, n := range roots {
		subject := string(n.head().subject)
		have := table[subject]
		if subject != "" && (have == nil || have.row != nil &&
			(n.row == nil || have.row.repl && !n.row.repl)) {
			table[subject] = n
		}
	}
	gone := make(map[*threadNode]bool)
	var added []*threadNode
	for _, n := range roots { // (5C)
		subject := string(n.head().subject)
		if subject == "" || table[subject] == n {
			continue
		}
		have := table[subject]
		switch {
		case n.row == nil && have.row == nil:
			have.children = append(have.children, n.children...)
			gone[n] = true
		case have.row == nil, n.row != nil && n.row.repl && !have.row.repl:
			have.children = append(have.children, n)
			gone[n] = true
		default:
			both := &threadNode{children: []*threadNode{have, n}}
			gone[have], gone[n] = true, true
			added = append(added, both)
			table[subject] = both
		}
	}
	roots = append(roots, added...)
	return slices.DeleteFunc(roots, func(n *threadNode) bool { return gone[n] })
}

// threadsOf returns the threads in the form of package imap.
func threadsOf(roots []*threadNode) []*imap.ThreadNode {
	made := make(map[*threadNode]*imap.ThreadNode)
	for _, n := range bottomUp(roots) {
		out := &imap.ThreadNode{}
		if n.row != nil {
			out.UID = imap.UID(n.row.uid)
		}
		for _, c := range n.children {
			out.Children = append(out.Children, made[c])
		}
		made[n] = out
	}
	threads := make([]*imap.ThreadNode, len(roots))
	for i, n := range roots {
		threads[i] = made[n]
	}
	return threads
}

// REFERENCES must give the threads that its definition gives, whatever refers to whatever.
func TestThreadsAgainstReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(t, "messages")
		d := &details{sent: make([]packedTime, n), internal: make([]packedTime, n)}
		cols := &columns{uid: make([]uint32, n)}
		c := newChunk(cols, knownDetails(d))
		rows := &sortRows{threads: make([][]byte, n)}
		rows.ranks[subjectColumn] = make([]uint32, n)
		plain := make([]*threadMessage, n)
		for i := range n {
			cols.uid[i] = uint32(i + 1)
			d.sent[i] = packTime(time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 20).Draw(t, "day")))
			m := &threadMessage{
				uid:     cols.uid[i],
				sent:    d.sent[i].unix(),
				subject: bytes.Repeat([]byte("a"), rapid.IntRange(0, 4).Draw(t, "subject")),
				ids:     rapid.SliceOfN(rapid.Uint64Range(1, 25), 0, 4).Draw(t, "ids"),
				repl:    rapid.Bool().Draw(t, "reply"),
			}
			plain[i] = m
			rows.at = append(rows.at, place{c, i})
			rows.ranks[subjectColumn][i] = uint32(len(m.subject))
			text := []byte{boolByte(m.repl)}
			for _, id := range m.ids {
				text = binary.BigEndian.AppendUint64(text, id)
			}
			if len(m.ids) == 0 {
				text = binary.BigEndian.AppendUint64(text, 0)
			}
			rows.threads[i] = text
		}
		number := func(u imap.UID) uint32 { return uint32(u) }
		threads, err := threadByReferences(context.Background(), rows)
		if err != nil {
			t.Fatal(err)
		}
		got := string(imapwire.AppendThreads(nil, threads, number))
		want := string(imapwire.AppendThreads(nil, referenceThreads(plain), number))
		if got != want {
			t.Fatalf("got  %swant %s", got, want)
		}
	})
}
