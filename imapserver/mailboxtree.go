package imapserver

import (
	"slices"
	"strings"

	"tidemark/imap"
)

// mailboxTree is an account's mailboxes with the levels above them, in the order
// in which they are listed: INBOX first, each name before those below it.
type mailboxTree struct {
	nodes []mailboxNode
}

// mailboxNode is one name: a mailbox, a subscribed name without one, or a level that
// has only names below it.
type mailboxNode struct {
	name        string
	exists      bool
	subscribed  bool
	hasChildren bool // of mailboxes that exist
	uses        []imap.MailboxAttr
	first, end  int // the nodes below it
}

// newMailboxTree makes the tree of infos.
func newMailboxTree(infos []MailboxInfo) *mailboxTree {
	known := make(map[string]bool, len(infos))
	for i := range infos {
		known[infos[i].Name] = true
	}
	t := &mailboxTree{nodes: make([]mailboxNode, 0, len(infos))}
	for i := range infos {
		info := &infos[i]
		t.nodes = append(t.nodes, mailboxNode{
			name: info.Name, exists: !info.NonExistent, subscribed: info.Subscribed, uses: info.SpecialUse,
		})
		for parent := parentOf(info.Name); parent != "" && !known[parent]; parent = parentOf(parent) {
			known[parent] = true
			t.nodes = append(t.nodes, mailboxNode{name: parent})
		}
	}
	slices.SortFunc(t.nodes, func(a, b mailboxNode) int { return compareNames(a.name, b.name) })
	t.link()
	return t
}

// link finds the nodes below each node.
func (t *mailboxTree) link() {
	var path []int // the nodes above the current one
	leave := func(end int) {
		i := path[len(path)-1]
		path = path[:len(path)-1]
		t.nodes[i].end = end
	}
	for i := range t.nodes {
		for len(path) > 0 && !isBelow(t.nodes[i].name, t.nodes[path[len(path)-1]].name) {
			leave(i)
		}
		if t.nodes[i].exists {
			for _, above := range path {
				t.nodes[above].hasChildren = true
			}
		}
		t.nodes[i].first = i + 1
		path = append(path, i)
	}
	for len(path) > 0 {
		leave(len(t.nodes))
	}
}

// subscribedBelow says whether a name below n is subscribed.
func (t *mailboxTree) subscribedBelow(n *mailboxNode) bool {
	return slices.ContainsFunc(t.nodes[n.first:n.end], func(c mailboxNode) bool { return c.subscribed })
}

// compareNames orders INBOX first and otherwise level by level, so that what is below
// a name follows it at once: "a", "a/b", "a b".
func compareNames(a, b string) int {
	ca, cb := nameOrder(a), nameOrder(b)
	if ca != cb {
		return ca - cb
	}
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] != b[i] {
			return octetOrder(a[i]) - octetOrder(b[i])
		}
	}
	return len(a) - len(b)
}

func nameOrder(name string) int {
	if name == imap.Inbox || isBelow(name, imap.Inbox) {
		return 0
	}
	return 1
}

// octetOrder puts the delimiter before everything else.
func octetOrder(c byte) int {
	if c == imap.Delimiter {
		return -1
	}
	return int(c)
}

func isBelow(name, parent string) bool {
	return len(name) > len(parent) && name[len(parent)] == imap.Delimiter && strings.HasPrefix(name, parent)
}

// parentOf returns the name one level up, empty where there is none.
func parentOf(name string) string {
	return name[:max(strings.LastIndexByte(name, imap.Delimiter), 0)]
}

// listStyle says which words a client knows.
type listStyle uint8

const (
	listPlain    listStyle = iota // RFC 3501
	listExtended                  // RFC 5258 or RFC 9051
)

// attributes returns n's attributes but for \Subscribed.
func (n *mailboxNode) attributes(style listStyle) []imap.MailboxAttr {
	var attrs []imap.MailboxAttr
	switch {
	case n.exists:
	case style == listExtended:
		attrs = append(attrs, imap.AttrNonExistent)
	default:
		attrs = append(attrs, imap.AttrNoselect)
	}
	if n.hasChildren {
		attrs = append(attrs, imap.AttrHasChildren)
	} else {
		attrs = append(attrs, imap.AttrHasNoChildren)
	}
	return append(attrs, n.uses...)
}
