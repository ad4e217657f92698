package mail

import "container/list"

// idleList keeps mailboxes that nobody refers to, the longest idle first, as far as they
// take no more memory in all than they may. It is guarded by Service.mu.
type idleList struct {
	limit  int // octets
	octets int
	order  list.List // of *mailbox
	places map[*mailbox]idlePlace
}

type idlePlace struct {
	element *list.Element
	octets  int
}

// add puts m at the end and returns the mailboxes that had to go for it.
func (l *idleList) add(m *mailbox) (dropped []*mailbox) {
	if l.places == nil {
		l.places = make(map[*mailbox]idlePlace)
	}
	n := m.memory()
	l.places[m] = idlePlace{l.order.PushBack(m), n}
	l.octets += n
	for l.octets > l.limit && l.order.Len() > 0 {
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
	l.octets -= p.octets
	delete(l.places, m)
}
