package mail

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

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
	c := newChunk(&columns{uid: []uint32{1}}, knownDetails(&details{sent: []packedTime{0}, internal: []packedTime{0}}))
	rows := &sortRows{at: make([]place, messages), threads: make([][]byte, messages)}
	rows.ranks[subjectColumn] = make([]uint32, messages)
	for i := range messages {
		rows.at[i] = place{c, 0}
		ids := binary.BigEndian.AppendUint64([]byte{0}, uint64(i+1))
		rows.threads[i] = binary.BigEndian.AppendUint64(ids, uint64(i))
	}
	found, err := threadByReferences(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, root := range found {
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

// A THREAD of messages with very many references must end when its time is over or the
// client has gone.
func TestThreadCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ids := make([]byte, 17)
	if err := newForest(1).link(ctx, [][]byte{ids}); !errors.Is(err, context.Canceled) {
		t.Errorf("linked, %v", err)
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
		{[]imap.SortKey{{Field: imap.SortSubject}, {Field: imap.SortSubject, Reverse: true}, {Field: imap.SortDate}}, "[2 4 3 1]"},
	} {
		got, err := m.Sort(t.Context(), v, tc.order, all)
		if err != nil || fmt.Sprint(got) != tc.want {
			t.Errorf("%v: %v, want %s (%v)", tc.order, got, tc.want, err)
		}
	}
}

// A SORT with thousands of criteria must not go over the messages thousands of times: there
// are few different ones, and the first of each decides.
func TestSortByManyCriteria(t *testing.T) {
	var order []imap.SortKey
	for i := range 5000 {
		order = append(order, imap.SortKey{Field: imap.SortSize, Reverse: i > 0}, imap.SortKey{Field: imap.SortDate})
	}
	want := []imap.SortKey{{Field: imap.SortSize}, {Field: imap.SortDate}}
	if got := effective(order); !slices.Equal(got, want) {
		t.Errorf("%d criteria, want %v", len(got), want)
	}
}

// SORT must give the order that comparing whole texts gives, wherever the texts stand, also of
// texts that begin another, and with the criteria reversed.
func TestSortAgainstComparison(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.Custom(func(t *rapid.T) string {
			prefix := rapid.SampledFrom([]string{"", "a", "hello w", "hello world", strings.Repeat("x", 40)}).Draw(t, "prefix")
			return prefix + rapid.StringOfN(rapid.RuneFrom([]rune("\x00\x01z")), 0, 9, -1).Draw(t, "rest")
		})
		n := rapid.IntRange(0, 40).Draw(t, "messages")
		subjects := rapid.SliceOfN(word, n, n).Draw(t, "subjects")
		d := &details{size: make([]uint32, n)}
		cols := &columns{uid: make([]uint32, n)}
		c := newChunk(cols, knownDetails(d))
		rows := &sortRows{}
		for i := range n {
			cols.uid[i] = uint32(i + 1)
			d.size[i] = rapid.Uint32Range(0, 3).Draw(t, "size")
			rows.at = append(rows.at, place{c, i})
		}
		rows.ranks[subjectColumn] = ranksInLists(t, subjects)
		order := []imap.SortKey{
			{Field: imap.SortSubject, Reverse: rapid.Bool().Draw(t, "reverse")},
			{Field: imap.SortSize, Reverse: rapid.Bool().Draw(t, "reverse")},
		}
		want := make([]imap.UID, n)
		for i := range want {
			want[i] = imap.UID(i + 1)
		}
		slices.SortFunc(want, func(x, y imap.UID) int {
			a, b := int(x-1), int(y-1)
			bySubject, bySize := cmp.Compare(subjects[a], subjects[b]), cmp.Compare(d.size[a], d.size[b])
			if order[0].Reverse {
				bySubject = -bySubject
			}
			if order[1].Reverse {
				bySize = -bySize
			}
			return cmp.Or(bySubject, bySize, cmp.Compare(a, b))
		})
		if got := rows.sorted(order); !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

// Many items must be sorted as few are: by rank, and in their order where ranks are equal.
func TestSortByRankMany(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, bits := range []int{4, 15, 16, 31, 33, 64} {
		items := make([]sortItem, radixMin+r.IntN(100))
		for i := range items {
			items[i] = sortItem{r.Uint64() >> (64 - bits), uint32(i)}
		}
		sortByRank(items)
		if !slices.IsSortedFunc(items, func(a, b sortItem) int {
			return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.row, b.row))
		}) {
			t.Errorf("ranks of %d bits: not in order", bits)
		}
	}
}

// ranksInLists spreads texts over some lists and returns their ranks.
func ranksInLists(t *rapid.T, texts []string) []uint32 {
	var lists termLists
	numbers := make([]uint32, len(texts))
	for from := 0; from < len(texts); {
		to := rapid.IntRange(from+1, len(texts)).Draw(t, "list")
		sorted := slices.Sorted(slices.Values(texts[from:to]))
		list := make([][]byte, len(sorted))
		for i, s := range sorted {
			list[i] = []byte(s)
		}
		lists.add(list)
		for i := range texts[from:to] {
			at, _ := slices.BinarySearch(sorted, texts[from+i])
			numbers[from+i] = lists.last + uint32(at)
		}
		from = to
	}
	ranks := lists.ranks()
	for i, number := range numbers {
		if (ranks[number] == 0) != (texts[i] == "") {
			t.Fatalf("text %q has rank %d", texts[i], ranks[number])
		}
		numbers[i] = ranks[number]
	}
	return numbers
}
