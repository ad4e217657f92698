package mail

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/imapwire"
)

func appendText(t *testing.T, a *Account, text string) {
	t.Helper()
	up, err := a.NewUpload(t.Context(), "INBOX", int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Append(t.Context(), "INBOX", []imapserver.AppendMessage{{Upload: up}}); err != nil {
		t.Fatal(err)
	}
}

// mails makes INBOX of lines "day subject id references…" and opens it.
func mails(t *testing.T, lines ...string) *Selected {
	t.Helper()
	_, a := newAccount(t)
	for _, l := range lines {
		f := strings.Fields(l)
		text := fmt.Sprintf("Date: Thu, %s Jan 2026 10:00:00 +0000\nSubject: %s\n", f[0], strings.ReplaceAll(f[1], "_", " "))
		if len(f) > 2 && f[2] != "-" {
			text += "Message-ID: <" + f[2] + "@x>\n"
		}
		if len(f) > 3 {
			text += "References:"
			for _, r := range f[3:] {
				text += " <" + r + "@x>"
			}
			text += "\n"
		}
		appendText(t, a, text+"\nbody\n")
	}
	return openMailbox(t, a, "INBOX")
}

func threads(t *testing.T, m *Selected, algorithm imap.ThreadAlgorithm) string {
	t.Helper()
	v := m.View()
	nodes, err := m.Thread(t.Context(), v, algorithm, v.UIDs(imap.NumSet{{Start: 1, Stop: v.Len()}}))
	if err != nil {
		t.Fatal(err)
	}
	wire := imapwire.AppendThreads(nil, nodes, func(u imap.UID) uint32 { return uint32(u) })
	return strings.TrimSuffix(strings.TrimPrefix(string(wire), "* THREAD "), "\r\n")
}

// Threads must be those of RFC 5256 §3, step by step.
func TestThreadReferences(t *testing.T) {
	for _, tc := range []struct {
		name  string
		mails []string
		want  string
	}{
		{"chain", []string{"1 a 1", "2 Re:_a 2 1", "3 Re:_a 3 1 2"}, "(1 2 3)"},
		{"reply came first", []string{"2 Re:_a 2 1", "1 a 1"}, "(2 1)"},
		{"siblings by date", []string{"1 a 1", "5 Re:_a 2 1", "3 Re:_a 3 1"}, "(1 (3)(2))"},
		{"parent is missing", []string{"2 Re:_a 2 1", "3 Re:_a 3 1"}, "((1)(2))"},
		{"missing in the middle", []string{"1 a 1", "3 Re:_a 3 1 2"}, "(1 2)"},
		{"same subject, not a reply", []string{"1 a 1", "2 a 2"}, "((1)(2))"},
		{"same subject, a reply", []string{"1 a 1", "2 Re:_a 2"}, "(1 2)"},
		{"duplicate id", []string{"1 a 1", "2 b 1", "3 Re:_a 3 1"}, "(1 3)(2)"},
		{"loop", []string{"1 a 1 2", "2 b 2 1"}, "(2 1)"},
		{"no ids", []string{"2 b -", "1 a -"}, "(2)(1)"},
		{"own reference", []string{"1 a 1 1"}, "(1)"},
	} {
		if got := threads(t, mails(t, tc.mails...), imap.ThreadReferences); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// A chain of thousands of replies must neither recurse nor take quadratic time.
func TestThreadLongChain(t *testing.T) {
	const messages = 50_000
	c := &chunk{uid: []uint32{1}, sent: []packedTime{0}, internal: []packedTime{0}}
	rows := &sortRows{at: make([]place, messages)}
	rows.texts[subjectColumn] = make([][]byte, messages)
	rows.texts[threadColumn] = make([][]byte, messages)
	for i := range messages {
		rows.at[i] = place{c, 0}
		ids := binary.BigEndian.AppendUint64([]byte{0}, uint64(i+1))
		rows.texts[threadColumn][i] = binary.BigEndian.AppendUint64(ids, uint64(i))
	}
	n := 0
	for _, root := range threadByReferences(rows) {
		for ; root != nil; n++ {
			if len(root.Children) == 0 {
				root = nil
			} else {
				root = root.Children[0]
			}
		}
	}
	if n < messages {
		t.Errorf("%d messages in threads, want %d", n, messages)
	}
}

// ORDEREDSUBJECT has one level of replies, ordered by date (RFC 5256 §3).
func TestThreadOrderedSubject(t *testing.T) {
	m := mails(t, "3 Re:_b 1", "1 a 2", "2 b 3", "4 Fwd:_A 4", "5 re:_b 5")
	if got, want := threads(t, m, imap.ThreadOrderedSubject), "(2 4)(3 (1)(5))"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// SORT must compare as RFC 5256 §3 says, and keep the mailbox's order where all is equal.
func TestSort(t *testing.T) {
	m := mails(t, "3 Re:_b 1", "1 a 2", "2 B 3", "1 a 4")
	v := m.View()
	all := v.UIDs(imap.NumSet{{Start: 1, Stop: v.Len()}})
	for _, tc := range []struct {
		order []imap.SortKey
		want  string
	}{
		{[]imap.SortKey{{Field: imap.SortDate}}, "[2 4 3 1]"},
		{[]imap.SortKey{{Field: imap.SortDate, Reverse: true}}, "[1 3 2 4]"},
		{[]imap.SortKey{{Field: imap.SortSubject}}, "[2 4 1 3]"},
		{[]imap.SortKey{{Field: imap.SortSubject, Reverse: true}, {Field: imap.SortDate}}, "[3 1 2 4]"},
		{[]imap.SortKey{{Field: imap.SortFrom}, {Field: imap.SortArrival}}, "[1 2 3 4]"},
	} {
		got, err := m.Sort(t.Context(), v, tc.order, all)
		if err != nil || fmt.Sprint(got) != tc.want {
			t.Errorf("%v: %v, want %s (%v)", tc.order, got, tc.want, err)
		}
	}
}
