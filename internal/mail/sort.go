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

// sortRow is a message as SORT and THREAD see it.
type sortRow struct {
	uid  uint32
	at   place
	text []byte   // the texts that are asked for, one behind the other
	ends []uint32 // where each of them ends
	ids  []uint64
	repl bool
}

func (r *sortRow) textAt(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = r.ends[i-1]
	}
	return r.text[start:r.ends[i]]
}

// sent is the sent date: that of the Date header, or else INTERNALDATE
// (RFC 5256 §2.2).
func (r *sortRow) sent() int64 {
	if t := r.at.c.sent[r.at.i]; t != 0 {
		return t.unix()
	}
	return r.at.c.internal[r.at.i].unix()
}

// Sort returns those of uids that are in v in the order of the criteria
// (RFC 5256 §3).
func (s *Selected) Sort(
	ctx context.Context, version imapserver.View, order []imap.SortKey, uids imap.NumSet,
) ([]imap.UID, error) {
	v := version.(*view)
	var texts []int
	for _, k := range order {
		if i := slices.Index(sortTexts[:], k.Field); i >= 0 && !slices.Contains(texts, i) {
			texts = append(texts, i)
		}
	}
	rows, err := s.account.sortRows(ctx, v, uids, texts, false)
	if err != nil {
		return nil, s.svc().fault(err)
	}
	less := comparison(order, texts)
	slices.SortFunc(rows, func(a, b *sortRow) int { return less(a, b) })
	out := make([]imap.UID, len(rows))
	for i, r := range rows {
		out[i] = imap.UID(r.uid)
	}
	return out, nil
}

// sortRows reads the messages of v among uids: of the texts those asked for, and the
// thread ids if ids is set. Without either nothing is read.
func (a *account) sortRows(
	ctx context.Context, v *view, uids imap.NumSet, texts []int, ids bool,
) ([]*sortRow, error) {
	all := make([]sortRow, 0, uids.Count())
	for _, at := range v.at(v.Seqs(uids)) {
		all = append(all, sortRow{uid: at.c.uid[at.i], at: at})
	}
	rows := make([]*sortRow, len(all))
	for i := range all {
		rows[i] = &all[i]
	}
	if len(texts) == 0 && !ids {
		return rows, nil
	}
	for first := 0; first < len(rows); first += searchPerRead {
		part := rows[first:min(first+searchPerRead, len(rows))]
		err := a.svc.engine.View(ctx, a.id, func(r store.Reader) error {
			c := newTextCursor(r)
			defer c.close()
			for _, row := range part {
				if err := row.read(c, texts, ids); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// read fills the row. A message that was expunged meanwhile sorts as if it had nothing.
func (r *sortRow) read(c *textCursor, texts []int, ids bool) error {
	rec, err := c.text(emailID(r.at.c.email[r.at.i]))
	if errors.Is(err, store.ErrNotFound) {
		rec, err = new(textRecord), nil
	}
	if err != nil {
		return err
	}
	n := 0
	for _, i := range texts {
		n += len(rec.Sort[i])
	}
	r.text = make([]byte, 0, n)
	r.ends = make([]uint32, len(texts))
	for k, i := range texts {
		r.text = append(r.text, rec.Sort[i]...)
		r.ends[k] = uint32(len(r.text))
	}
	if ids {
		r.repl = rec.IsReply
		r.ids = decodeThreadIDs(rec.IDs)
	}
	return nil
}

// comparison returns the order of the criteria; what is equal in all of them stays in
// the order of the mailbox (RFC 5256 §3). texts says which text a row has at which place.
func comparison(order []imap.SortKey, texts []int) func(a, b *sortRow) int {
	var steps []func(a, b *sortRow) int
	for _, k := range order {
		step := compareField(k.Field, texts)
		if k.Reverse {
			forward := step
			step = func(a, b *sortRow) int { return -forward(a, b) }
		}
		steps = append(steps, step)
	}
	return func(a, b *sortRow) int {
		for _, step := range steps {
			if c := step(a, b); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.uid, b.uid)
	}
}

func compareField(field imap.SortField, texts []int) func(a, b *sortRow) int {
	switch field {
	case imap.SortArrival:
		return func(a, b *sortRow) int {
			return cmp.Compare(a.at.c.internal[a.at.i].unix(), b.at.c.internal[b.at.i].unix())
		}
	case imap.SortDate:
		return func(a, b *sortRow) int { return cmp.Compare(a.sent(), b.sent()) }
	case imap.SortSize:
		return func(a, b *sortRow) int { return cmp.Compare(a.at.c.size[a.at.i], b.at.c.size[b.at.i]) }
	}
	i := slices.Index(texts, slices.Index(sortTexts[:], field))
	return func(a, b *sortRow) int { return bytes.Compare(a.textAt(i), b.textAt(i)) }
}
