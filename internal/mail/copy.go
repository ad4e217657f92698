package mail

import (
	"context"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
)

// addedPerRecord bounds the log records of a large copy, so that each stays well
// below store.MaxValue.
const addedPerRecord = 100_000

// Copy copies or moves messages (RFC 9051 §6.4.7 and §6.4.8). The copies refer to
// the content that is there: nothing is read or written of it.
func (s *Selected) Copy(
	ctx context.Context, uids imap.NumSet, dest string, move bool,
) (imapserver.CopyResult, error) {
	if uids == nil {
		uids = imap.NumSet{}
	}
	return s.acct.transfer(ctx, s.mailbox, uids, dest, move)
}

// transfer copies or moves those of uids that are there, or all messages if it is
// nil, to the mailbox named dest, in one transaction.
func (a *Account) transfer(
	ctx context.Context, from *mailbox, uids imap.NumSet, dest string, move bool,
) (res imapserver.CopyResult, err error) {
	to, err := a.open(ctx, dest)
	if err != nil {
		return res, tryCreate(err)
	}
	defer a.release(to)
	var views [2]*view
	err = a.svc.engine.Update(ctx, a.id, func(tx store.Tx) error {
		res, views, err = transferIn(tx, from, to, uids, move)
		return err
	})
	if err != nil {
		return imapserver.CopyResult{}, a.svc.fault(err)
	}
	to.publish(views[1])
	from.publish(views[0])
	return res, nil
}

// transferIn does the work of transfer within tx and returns the views of both
// mailboxes that come of it.
func transferIn(
	tx store.Tx, from, to *mailbox, uids imap.NumSet, move bool,
) (res imapserver.CopyResult, views [2]*view, err error) {
	target, err := to.begin(tx)
	if err != nil {
		return res, views, err
	}
	source := target
	if from != to {
		if source, err = from.begin(tx); err != nil {
			return res, views, err
		}
	}
	if uids == nil {
		uids = source.view.allUIDs()
	}
	rows, err := target.copiesOf(source, uids)
	if err != nil {
		return res, views, err
	}
	for i := range rows {
		res.Source.Add(rows[i].source)
		res.Dest.Add(rows[i].added.UID)
	}
	res.UIDValidity = target.meta.UIDValidity
	if err := target.addAll(rows); err != nil {
		return res, views, err
	}
	if move && len(rows) > 0 {
		// The email stays in use: no garbage. In one mailbox, the record follows
		// the one that adds.
		if err := source.record(&logRecord{Expunged: res.Source}); err != nil {
			return res, views, err
		}
	}
	target.finish()
	if source != target {
		source.finish()
	}
	return res, [2]*view{source.view, target.view}, nil
}

type copied struct {
	source uint32
	added  added
}

// copiesOf returns the messages that copying uids of source would add to c.
func (c *change) copiesOf(source *change, uids imap.NumSet) ([]copied, error) {
	var rows []copied
	next := uint64(c.meta.UIDNext)
	flags := make(map[uint32]flagBits)
	for k := range source.view.chunksWith(uids) {
		ch := source.view.chunks[k]
		d, err := ch.lazy.load(source.tx)
		if err != nil {
			return nil, err
		}
		cols := ch.columns()
		for i := range ch.indexes(uids) {
			bits, ok := flags[cols.flags[i]]
			if !ok {
				set := source.view.sets[cols.flags[i]].flagSet(source.view.keywords)
				if bits, err = bitsOf(set.Flags(), c.meta.Keywords, c.learn); err != nil {
					return nil, err
				}
				flags[cols.flags[i]] = bits
			}
			if next >= 1<<32-1 {
				return nil, errUIDsUsed
			}
			rows = append(rows, copied{cols.uid[i], added{
				UID: uint32(next), Email: emailID(d.email[i]), Size: d.size[i],
				Internal: d.internal[i], Sent: d.sent[i], Saved: c.time, Flags: bits,
			}})
			next++
		}
	}
	return rows, nil
}

func (c *change) addAll(rows []copied) error {
	for len(rows) > 0 {
		n := min(len(rows), addedPerRecord)
		rec := &logRecord{Added: make([]added, n)}
		for i := range n {
			rec.Added[i] = rows[i].added
		}
		if err := c.record(rec); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}
