package mail

import (
	"bytes"
	"encoding/binary"
)

// termLists are sorted lists of texts that are merged. A term has the number of terms before
// it in all lists, one after the other.
type termLists struct {
	heap  []termList // the list whose first term is the least comes first
	last  uint32     // the number of the first term of the list added last
	terms uint32
}

type termList struct {
	prefix uint64 // the first octets of the first term
	terms  [][]byte
	number uint32 // of the first term
}

func (l *termLists) add(terms [][]byte) {
	l.last = l.terms
	l.terms += uint32(len(terms))
	if len(terms) > 0 {
		l.heap = append(l.heap, termList{termPrefix(terms[0]), terms, l.last})
	}
}

// termPrefix returns a number that is not greater for a lesser text.
func termPrefix(text []byte) uint64 {
	var first [8]byte
	copy(first[:], text)
	return binary.BigEndian.Uint64(first[:])
}

// ranks empties the lists and returns a rank for each term by its number: those of equal
// texts are equal, that of the empty text is 0.
func (l *termLists) ranks() []uint32 {
	for i := len(l.heap)/2 - 1; i >= 0; i-- {
		l.down(i)
	}
	ranks := make([]uint32, l.terms)
	var before []byte
	rank := uint32(0)
	for len(l.heap) > 0 {
		least := &l.heap[0]
		if text := least.terms[0]; !bytes.Equal(text, before) {
			rank++
			before = text
		}
		ranks[least.number] = rank
		least.number++
		if least.terms = least.terms[1:]; len(least.terms) > 0 {
			least.prefix = termPrefix(least.terms[0])
		} else {
			l.heap[0] = l.heap[len(l.heap)-1]
			l.heap = l.heap[:len(l.heap)-1]
		}
		l.down(0)
	}
	return ranks
}

// down moves a list after those that come before it.
func (l *termLists) down(i int) {
	for {
		least := 2*i + 1
		if least >= len(l.heap) {
			return
		}
		if least+1 < len(l.heap) && l.heap[least+1].before(&l.heap[least]) {
			least++
		}
		if !l.heap[least].before(&l.heap[i]) {
			return
		}
		l.heap[i], l.heap[least] = l.heap[least], l.heap[i]
		i = least
	}
}

func (l *termList) before(o *termList) bool {
	if l.prefix != o.prefix {
		return l.prefix < o.prefix
	}
	return bytes.Compare(l.terms[0], o.terms[0]) < 0
}
