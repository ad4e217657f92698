// Package simtest drives a whole server with random sessions and compares it
// with a model of IMAP so simple that it can be checked by reading. The model
// shares no code with the server: not its parser, not its sets, not its types.
package simtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// flagNames are the flags in use: the system flags that can be stored and two
// keywords.
var flagNames = [...]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`, `$Work`, `later`}

// flagSet has bit i for flagNames[i].
type flagSet uint8

const (
	flagSeen    flagSet = 1 << 0
	flagDeleted flagSet = 1 << 3
	allFlags    flagSet = 1<<len(flagNames) - 1
)

func (f flagSet) String() string {
	var names []string
	for i, n := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return "(" + strings.Join(names, " ") + ")"
}

// storeOp is what STORE does with the flags it is given.
type storeOp string

const (
	storeAdd     storeOp = "+FLAGS"
	storeRemove  storeOp = "-FLAGS"
	storeReplace storeOp = "FLAGS"
)

func (op storeOp) apply(old, given flagSet) flagSet {
	switch op {
	case storeAdd:
		return old | given
	case storeRemove:
		return old &^ given
	}
	return given
}

// message is a message in the model.
type message struct {
	uid   uint32
	flags flagSet
	body  int // which text it has
}

// text is the content of the message number n that has been made.
func text(n int) string {
	lines := strings.Repeat(fmt.Sprintf("line of message %d\r\n", n), n%7)
	return fmt.Sprintf("From: sim@example.org\r\nSubject: message %d\r\n\r\n%s", n, lines)
}

// mailbox is a mailbox in the model. Validity and highest are learned from the
// server, which may choose them but must then keep to them.
type mailbox struct {
	validity uint32
	highest  uint64 // the highest MODSEQ heard of
	next     uint32 // UIDNEXT
	messages []message
}

func newMailbox() *mailbox { return &mailbox{next: 1} }

// find returns the position of uid in the list, or -1.
func (m *mailbox) find(uid uint32) int {
	i, ok := slices.BinarySearchFunc(m.messages, uid, func(a message, uid uint32) int { return int(a.uid) - int(uid) })
	if !ok {
		return -1
	}
	return i
}

func (m *mailbox) append(flags flagSet, body int) (uid uint32) {
	uid = m.next
	m.next++
	m.messages = append(m.messages, message{uid, flags, body})
	return uid
}

func (m *mailbox) store(uids []uint32, op storeOp, flags flagSet) {
	for _, uid := range uids {
		if i := m.find(uid); i >= 0 {
			m.messages[i].flags = op.apply(m.messages[i].flags, flags)
		}
	}
}

// expunge removes what is \Deleted, of uids if that is not nil.
func (m *mailbox) expunge(uids []uint32) {
	m.messages = slices.DeleteFunc(m.messages, func(msg message) bool {
		return msg.flags&flagDeleted != 0 && (uids == nil || slices.Contains(uids, msg.uid))
	})
}

// copy copies or moves messages and returns the old and the new UIDs.
func (m *mailbox) copy(uids []uint32, to *mailbox, move bool) (source, dest []uint32) {
	for _, uid := range uids {
		i := m.find(uid)
		if i < 0 {
			continue
		}
		msg := m.messages[i]
		source, dest = append(source, uid), append(dest, to.append(msg.flags, msg.body))
		if move {
			i = m.find(uid)
			m.messages = slices.Delete(m.messages, i, i+1)
		}
	}
	return source, dest
}

func (m *mailbox) count(has, hasNot flagSet) int {
	n := 0
	for _, msg := range m.messages {
		if msg.flags&has == has && msg.flags&hasNot == 0 {
			n++
		}
	}
	return n
}

// account is a user's mail in the model, by name.
type account map[string]*mailbox

func (a account) names() []string { return slices.Sorted(maps.Keys(a)) }

// rename moves a mailbox and what is below it. INBOX stays, emptied, and keeps
// its children.
func (a account) rename(from, to string) {
	if from == "INBOX" {
		old := a[from]
		a[to] = newMailbox()
		for _, msg := range old.messages {
			a[to].append(msg.flags, msg.body)
		}
		old.messages = nil
		return
	}
	for _, name := range a.names() {
		if rest, ok := strings.CutPrefix(name, from); ok && (rest == "" || rest[0] == '/') {
			a[to+rest] = a[name]
			delete(a, name)
		}
	}
}

// searchKey is a search condition: its wire form and its meaning.
type searchKey struct {
	wire  string
	match func(message) bool
}

func (k searchKey) not() searchKey {
	return searchKey{"NOT " + k.wire, func(m message) bool { return !k.match(m) }}
}

func (k searchKey) or(o searchKey) searchKey {
	return searchKey{"OR " + k.wire + " " + o.wire, func(m message) bool { return k.match(m) || o.match(m) }}
}

func (k searchKey) and(o searchKey) searchKey {
	return searchKey{"(" + k.wire + " " + o.wire + ")", func(m message) bool { return k.match(m) && o.match(m) }}
}
