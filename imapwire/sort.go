package imapwire

import (
	"strings"

	"tidemark/imap"
)

// sort reads SORT (RFC 5256 §5).
func (d *Decoder) sort(uid bool) imap.Command {
	c := &imap.Sort{UID: uid}
	d.sp()
	d.list(func() { c.Order = append(c.Order, d.sortKey()) })
	d.sp()
	c.Charset, c.Key = d.searchIn()
	return c
}

// sortFields are the sort criteria by name.
var sortFields = map[string]imap.SortField{
	"ARRIVAL":     imap.SortArrival,
	"CC":          imap.SortCc,
	"DATE":        imap.SortDate,
	"FROM":        imap.SortFrom,
	"SIZE":        imap.SortSize,
	"SUBJECT":     imap.SortSubject,
	"TO":          imap.SortTo,
	"DISPLAYFROM": imap.SortDisplayFrom,
	"DISPLAYTO":   imap.SortDisplayTo,
}

func (d *Decoder) sortKey() imap.SortKey {
	var k imap.SortKey
	var buf [labelSize]byte
	name := string(d.label(classLabel, &buf))
	if name == "REVERSE" {
		k.Reverse = true
		d.sp()
		name = string(d.label(classLabel, &buf))
	}
	field, ok := sortFields[name]
	if !ok {
		d.fail("unknown sort criterion")
	}
	k.Field = field
	return k
}

// thread reads THREAD (RFC 5256 §5).
func (d *Decoder) thread(uid bool) imap.Command {
	c := &imap.Thread{UID: uid}
	d.sp()
	switch {
	case d.acceptLabel("REFERENCES"):
		c.Algorithm = imap.ThreadReferences
	case d.acceptLabel("ORDEREDSUBJECT"):
		c.Algorithm = imap.ThreadOrderedSubject
	default:
		d.fail("unknown threading algorithm")
	}
	d.sp()
	c.Charset, c.Key = d.searchIn()
	return c
}

// searchIn reads the charset and the search keys that end SORT and THREAD.
func (d *Decoder) searchIn() (charset string, key imap.SearchKey) {
	charset = strings.ToUpper(d.astring())
	s := searcher{Decoder: d, decode: decodeUTF8}
	s.setCharset(charset)
	d.sp()
	return charset, s.keys(0)
}

// AppendSort appends the SORT response (RFC 5256 §4). modSeq is left out if it is zero
// (RFC 7162 §3.1.9).
func AppendSort[N ~uint32](b []byte, nums []N, modSeq imap.ModSeq) []byte {
	b = append(b, "* SORT"...)
	for _, n := range nums {
		b = append(b, ' ')
		b = appendUint(b, uint32(n))
	}
	return AppendSearchEnd(b, modSeq)
}

// AppendThreads appends the THREAD response (RFC 5256 §4). number gives the number of
// a message for its UID. The depth of the threads costs memory and not stack.
func AppendThreads(b []byte, threads []*imap.ThreadNode, number func(imap.UID) uint32) []byte {
	b = append(b, "* THREAD "...)
	for _, t := range threads {
		b = appendThread(b, t, number)
	}
	if len(threads) == 0 {
		b = b[:len(b)-1]
	}
	return append(b, "\r\n"...)
}

// appendThread appends one thread: a run of parent and only child stands in one
// list, and each split makes a list for every child.
func appendThread(b []byte, root *imap.ThreadNode, number func(imap.UID) uint32) []byte {
	stack := []*imap.ThreadNode{root} // nil: close a list
	for len(stack) > 0 {
		node := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if node == nil {
			b = append(b, ')')
			continue
		}
		b = append(b, '(')
		for first := true; ; first = false {
			if node.UID != 0 {
				if !first && b[len(b)-1] != '(' {
					b = append(b, ' ')
				}
				b = appendUint(b, number(node.UID))
			}
			if len(node.Children) != 1 {
				break
			}
			node = node.Children[0]
		}
		stack = append(stack, nil)
		if len(node.Children) > 1 && b[len(b)-1] != '(' {
			b = append(b, ' ')
		}
		for i := len(node.Children) - 1; i >= 0; i-- {
			stack = append(stack, node.Children[i])
		}
	}
	return b
}
