package mail

import "container/list"

// idleList keeps mailboxes that nobody refers to, the longest idle first, up to a
// number of messages in all. It is guarded by Service.mu.
type idleList struct {
	limit    int // messages
	messages int
	order    list.List // of *mailbox
	places   map[*mailbox]idlePlace
}

type idlePlace struct {
	element  *list.Element
	messages int
}

// add puts m at the end and returns the mailboxes that had to go for it.
func (l *idleList) add(m *mailbox) (dropped []*mailbox) {
	if l.places == nil {
		l.places = make(map[*mailbox]idlePlace)
	}
	// An empty mailbox counts, too: it takes memory of its own.
	n := 16 + m.cachedMessages()
	l.places[m] = idlePlace{l.order.PushBack(m), n}
	l.messages += n
	for l.messages > l.limit && l.order.Len() > 0 {
		old := l.order.Front().Value.(*mailbox)
		l.remove(old)
		dropped = append(dropped, old)
	}
	return dropped
}

func (l *idleList) remove(m *mailbox) {
	p, ok := l.places[m]
	if !ok {
		return
	}
	l.order.Remove(p.element)
	l.messages -= p.messages
	delete(l.places, m)
}
