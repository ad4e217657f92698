package imapwire

import (
	"testing"

	"tidemark/imap"
)

// A THREAD response in another shape shows a webmail other conversations: the
// examples of RFC 5256 §4, and chains too deep for recursion.
func TestAppendThreads(t *testing.T) {
	n := func(uid imap.UID, children ...*imap.ThreadNode) *imap.ThreadNode {
		return &imap.ThreadNode{UID: uid, Children: children}
	}
	deep := n(1)
	for range 200_000 {
		deep = n(1, deep, n(2))
	}
	for _, tc := range []struct {
		threads []*imap.ThreadNode
		want    string
	}{
		{nil, "* THREAD\r\n"},
		{[]*imap.ThreadNode{n(2), n(3, n(6, n(4, n(23)), n(44, n(7, n(96)))))}, "* THREAD (2)(3 6 (4 23)(44 7 96))\r\n"},
		{[]*imap.ThreadNode{n(0, n(3), n(5))}, "* THREAD ((3)(5))\r\n"},
	} {
		got := string(AppendThreads(nil, tc.threads, func(u imap.UID) uint32 { return uint32(u) }))
		if got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
	AppendThreads(nil, []*imap.ThreadNode{deep}, func(u imap.UID) uint32 { return uint32(u) })
	if got := string(AppendSort(nil, []imap.UID{2, 84, 882}, 7)); got != "* SORT 2 84 882 (MODSEQ 7)\r\n" {
		t.Errorf("got %q", got)
	}
}
