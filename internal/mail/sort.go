package mail

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
)

// sortRows are messages as SORT and THREAD see them.
type sortRows struct {
	at    []place
	texts [textColumns][][]byte // of the columns that were read
}

// rowsOf returns the messages of v among uids, in the order of the mailbox.
func rowsOf(v *view, uids imap.NumSet) *sortRows {
	rows := &sortRows{at: make([]place, 0, min(uids.Count(), uint64(v.Len())))}
	for _, at := range v.at(v.Seqs(uids)) {
		rows.at = append(rows.at, at)
	}
	return rows
}

// rowsPerCheck is how many rows are read before it is asked whether to go on.
const rowsPerCheck = 4096

// read fills a column. A message that was expunged meanwhile sorts as if it had nothing.
// The texts are valid as long as what t reads.
func (r *sortRows) read(ctx context.Context, t *textReader, column textColumn) error {
	if r.texts[column] != nil {
		return nil
	}
	texts := make([][]byte, len(r.at))
	for i, at := range r.at {
		if i%rowsPerCheck == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		text, err := t.text(column, at.c.uid[at.i], emailID(at.c.email[at.i]))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		texts[i] = text
	}
	r.texts[column] = texts
	return nil
}

// sent is the sent date: that of the Date header, or else INTERNALDATE
// (RFC 5256 §2.2).
func (p place) sent() int64 {
	if t := p.c.sent[p.i]; t != 0 {
		return t.unix()
	}
	return p.c.internal[p.i].unix()
}

// Sort returns those of uids that are in v in the order of the criteria
// (RFC 5256 §3).
func (s *Selected) Sort(
	ctx context.Context, version imapserver.View, order []imap.SortKey, uids imap.NumSet,
) ([]imap.UID, error) {
	rows := rowsOf(version.(*view), uids)
	var sorted []imap.UID
	err := s.svc().engine.View(ctx, s.account.id, func(r store.Reader) error {
		t, err := newTextReader(r, s.mailbox.id)
		if err != nil {
			return err
		}
		defer t.close()
		for _, k := range order {
			if i := slices.Index(sortTexts[:], k.Field); i >= 0 {
				if err := rows.read(ctx, t, sortColumn(i)); err != nil {
					return err
				}
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

// sortItem is a row with a number that orders it by the first criterion, as far as 64 bits
// can tell.
type sortItem struct {
	rank uint64
	row  uint32
}

func (r *sortRows) sorted(order []imap.SortKey) []imap.UID {
	items := make([]sortItem, len(r.at))
	rank := r.ranking(order[0])
	for i := range items {
		items[i] = sortItem{rank(i), uint32(i)}
	}
	compare := r.comparison(order)
	slices.SortFunc(items, func(a, b sortItem) int {
		if a.rank != b.rank {
			return cmp.Compare(a.rank, b.rank)
		}
		return compare(int(a.row), int(b.row))
	})
	out := make([]imap.UID, len(items))
	for i, item := range items {
		at := r.at[item.row]
		out[i] = imap.UID(at.c.uid[at.i])
	}
	return out
}

// ranking returns the sortItem.rank of rows for a criterion.
func (r *sortRows) ranking(k imap.SortKey) func(i int) uint64 {
	var forward func(i int) uint64
	switch k.Field {
	case imap.SortArrival:
		forward = func(i int) uint64 { return ascending(r.at[i].c.internal[r.at[i].i].unix()) }
	case imap.SortDate:
		forward = func(i int) uint64 { return ascending(r.at[i].sent()) }
	case imap.SortSize:
		forward = func(i int) uint64 { return uint64(r.at[i].c.size[r.at[i].i]) }
	default:
		texts := r.texts[sortColumn(slices.Index(sortTexts[:], k.Field))]
		forward = func(i int) uint64 {
			var first [8]byte
			copy(first[:], texts[i])
			return binary.BigEndian.Uint64(first[:])
		}
	}
	if k.Reverse {
		return func(i int) uint64 { return ^forward(i) }
	}
	return forward
}

// ascending returns a number that orders as n does.
func ascending(n int64) uint64 { return uint64(n) ^ 1<<63 }

// comparison returns the order of the criteria; what is equal in all of them stays in
// the order of the mailbox (RFC 5256 §3).
func (r *sortRows) comparison(order []imap.SortKey) func(a, b int) int {
	var steps []func(a, b int) int
	for _, k := range order {
		step := r.step(k.Field)
		if k.Reverse {
			forward := step
			step = func(a, b int) int { return -forward(a, b) }
		}
		steps = append(steps, step)
	}
	return func(a, b int) int {
		for _, step := range steps {
			if c := step(a, b); c != 0 {
				return c
			}
		}
		return cmp.Compare(a, b)
	}
}

func (r *sortRows) step(field imap.SortField) func(a, b int) int {
	if i := slices.Index(sortTexts[:], field); i >= 0 {
		texts := r.texts[sortColumn(i)]
		return func(a, b int) int { return bytes.Compare(texts[a], texts[b]) }
	}
	number := r.ranking(imap.SortKey{Field: field}) // which tells all that there is to a number
	return func(a, b int) int { return cmp.Compare(number(a), number(b)) }
}
