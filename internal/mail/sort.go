package mail

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
)

// sortRows are messages as SORT and THREAD see them.
type sortRows struct {
	at      []place
	ranks   [textColumns][]uint32 // of the columns that were ranked
	threads [][]byte              // of threadColumn
}

// rowsOf returns the messages of v among uids, in the order of the mailbox.
func rowsOf(v *view, uids imap.NumSet) *sortRows {
	return &sortRows{at: v.places(v.Seqs(uids))}
}

// rowsPerCheck is how many rows are read before it is asked whether to go on.
const rowsPerCheck = 4096

// eachTerm calls fn with the term of each row. A message that was expunged meanwhile has
// nothing.
func (r *sortRows) eachTerm(ctx context.Context, t *textReader, k textColumn, fn func(row int, text term)) error {
	for i, at := range r.at {
		if i%rowsPerCheck == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		text, err := t.term(k, at)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		fn(i, text)
	}
	return nil
}

// rank works out the order of the rows by a text: equal texts have equal ranks, none has 0.
func (r *sortRows) rank(ctx context.Context, t *textReader, k textColumn) error {
	var lists termLists
	var in *column
	var single []loneText
	terms := make([]uint32, len(r.at)) // each row's, counted through all lists
	err := r.eachTerm(ctx, t, k, func(row int, text term) {
		if text.in == nil {
			single = append(single, loneText{text.text, row})
			return
		}
		if text.in != in {
			in = text.in
			lists.add(in.terms)
		}
		terms[row] = lists.last + uint32(text.index)
	})
	if err != nil {
		return err
	}
	slices.SortFunc(single, func(a, b loneText) int { return bytes.Compare(a.text, b.text) })
	list := make([][]byte, len(single))
	for i, s := range single {
		list[i] = s.text
	}
	lists.add(list)
	for i, s := range single {
		terms[s.row] = lists.last + uint32(i)
	}
	ranks := lists.ranks()
	for i, n := range terms {
		terms[i] = ranks[n]
	}
	r.ranks[k] = terms
	return nil
}

// loneText is a text that stands in no column.
type loneText struct {
	text []byte
	row  int
}

// sent is the sent date: that of the Date header, or else INTERNALDATE
// (RFC 5256 §2.2).
func (p place) sent() int64 {
	if t := p.sentDate(); t != 0 {
		return t.unix()
	}
	return p.internalDate().unix()
}

// Sort returns those of uids that are in v in the order of the criteria
// (RFC 5256 §3).
func (s *Selected) Sort(
	ctx context.Context, version imapserver.View, order []imap.SortKey, uids imap.NumSet,
) ([]imap.UID, error) {
	v := version.(*view)
	order = effective(order)
	rows := rowsOf(v, uids)
	var sorted []imap.UID
	err := s.svc().engine.View(ctx, s.account.id, func(r store.Reader) error {
		t, err := newTextReader(r, s.mailbox.id, rows.at)
		if err != nil {
			return err
		}
		defer t.close()
		for _, k := range order {
			column, isText := sortColumnOf(k.Field)
			switch {
			case !isText:
				err = v.loadDetails(r, v.Seqs(uids))
			case rows.ranks[column] == nil:
				err = rows.rank(ctx, t, column)
			}
			if err != nil {
				return err
			}
		}
		sorted = rows.sorted(order)
		return nil
	})
	if err != nil {
		return nil, s.svc().fault(err)
	}
	return sorted, nil
}

// effective returns the criteria without those that come too late: what is equal by a field
// stays so. A client may name thousands, each of which would go over all messages.
func effective(order []imap.SortKey) []imap.SortKey {
	var first []imap.SortKey
	for _, k := range order {
		if !slices.ContainsFunc(first, func(f imap.SortKey) bool { return f.Field == k.Field }) {
			first = append(first, k)
		}
	}
	return first
}

// sorted returns the UIDs of the rows in order.
func (r *sortRows) sorted(order []imap.SortKey) []imap.UID {
	items := make([]sortItem, len(r.at))
	for i := range items {
		items[i].row = uint32(i)
	}
	r.sort(items, order)
	out := make([]imap.UID, len(items))
	for i, item := range items {
		at := r.at[item.row]
		out[i] = imap.UID(at.uid())
	}
	return out
}

// sortItem is a row with the number that orders it by one criterion.
type sortItem struct {
	rank uint64
	row  uint32
}

// sortByRank keeps in their order items that are equal (RFC 5256 §3).
func sortByRank(items []sortItem) {
	if len(items) < radixMin {
		slices.SortStableFunc(items, func(a, b sortItem) int { return cmp.Compare(a.rank, b.rank) })
		return
	}
	var differ uint64
	for _, item := range items {
		differ |= item.rank ^ items[0].rank
	}
	other := make([]sortItem, len(items))
	for shift := 0; shift < 64; shift += radixBits {
		if differ>>shift&(1<<radixBits-1) == 0 {
			continue
		}
		sortByDigit(other, items, shift)
		copy(items, other)
	}
}

// From radixMin items on it is cheaper to count how often each digit of the ranks occurs, a
// digit of radixBits at a time, than to compare items.
const (
	radixMin  = 4096
	radixBits = 16
)

// sortByDigit copies items to sorted in the order of one digit of their ranks.
func sortByDigit(sorted, items []sortItem, shift int) {
	next := make([]uint32, 1<<radixBits) // where the next item with that digit goes
	for _, item := range items {
		next[item.rank>>shift&(1<<radixBits-1)]++
	}
	before := uint32(0)
	for digit, n := range next {
		next[digit] = before
		before += n
	}
	for _, item := range items {
		digit := item.rank >> shift & (1<<radixBits - 1)
		sorted[next[digit]] = item
		next[digit]++
	}
}

// sort orders items by the first criterion, then what is equal by the others.
func (r *sortRows) sort(items []sortItem, order []imap.SortKey) {
	if len(items) < 2 || len(order) == 0 {
		return
	}
	number := r.number(order[0].Field)
	for i := range items {
		items[i].rank = number(int(items[i].row))
		if order[0].Reverse {
			items[i].rank = ^items[i].rank
		}
	}
	sortByRank(items)
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].rank == items[0].rank {
			n++
		}
		r.sort(items[:n], order[1:])
		items = items[n:]
	}
}

// number returns what orders rows by a field.
func (r *sortRows) number(field imap.SortField) func(row int) uint64 {
	switch field {
	case imap.SortArrival:
		return func(row int) uint64 { return ascending(r.at[row].internalDate().unix()) }
	case imap.SortDate:
		return func(row int) uint64 { return ascending(r.at[row].sent()) }
	case imap.SortSize:
		return func(row int) uint64 { return uint64(r.at[row].size()) }
	}
	column, _ := sortColumnOf(field)
	ranks := r.ranks[column]
	return func(row int) uint64 { return uint64(ranks[row]) }
}

// ascending returns a number that orders as n does.
func ascending(n int64) uint64 { return uint64(n) ^ 1<<63 }

// sortColumnOf returns the column of a field that is text.
func sortColumnOf(field imap.SortField) (column textColumn, isText bool) {
	i := slices.Index(sortTexts[:], field)
	return sortColumn(i), i >= 0
}
