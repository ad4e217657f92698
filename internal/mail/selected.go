package mail

import (
	"context"
	"errors"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
)

// Selected is a mailbox that one session has open (imapserver.Mailbox).
type Selected struct {
	*mailbox
	acct     *Account
	name     string
	readOnly bool

	early     *earlyChange // the last that Settle has to wait for; nil for none
	unsettled int          // how many there are
}

var _ imapserver.Mailbox = (*Selected)(nil)

// Name returns the name under which the mailbox was opened.
func (s *Selected) Name() string { return s.name }

// ID returns the MAILBOXID.
func (s *Selected) ID() imap.ObjectID { return s.mailbox.id.objectID() }

// UIDValidity returns the UIDVALIDITY, which a mailbox keeps for its life.
func (s *Selected) UIDValidity() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uidValidity
}

// ReadOnly says whether the session only looks.
func (s *Selected) ReadOnly() bool { return s.readOnly }

// View returns the newest durable version.
func (s *Selected) View() imapserver.View { return s.durable.Load() }

// Watch has wake called when there is a newer View.
func (s *Selected) Watch(wake func()) (stop func()) { return s.watch(wake) }

// Gone says whether the mailbox was deleted.
func (s *Selected) Gone() bool { return s.gone.Load() }

// ClaimRecent returns the first UID that is \Recent for this session.
func (s *Selected) ClaimRecent(v imapserver.View) imap.UID {
	return imap.UID(s.claimRecent(v.(*view), s.readOnly))
}

// Close ends the session's use of the mailbox.
func (s *Selected) Close() error {
	err := s.Settle(context.Background())
	s.account.release(s.mailbox)
	return err
}

// Since says what has happened between modseq and v (RFC 7162 §3.2.5).
func (s *Selected) Since(
	ctx context.Context, version imapserver.View, modseq imap.ModSeq, known imap.NumSet,
) (expunged, changed imap.NumSet, err error) {
	v := version.(*view)
	changed = v.changedSince(uint64(modseq))
	complete := false
	err = s.svc().engine.View(ctx, s.account.id, func(r store.Reader) error {
		expunged, complete, err = s.expungedSince(r, uint64(modseq), v.modseq)
		return err
	})
	if err != nil {
		return nil, nil, s.svc().fault(err)
	}
	if !complete {
		if known == nil && v.uidNext > 1 {
			known = imap.NumSet{{Start: 1, Stop: v.uidNext - 1}}
		}
		return known.Clip(1, max(v.uidNext-1, 1)).Minus(v.allUIDs()), changed, nil
	}
	if known != nil {
		expunged = expunged.Intersect(known)
	}
	return expunged, changed, nil
}

// expungedSince reads from the log which UIDs were expunged after modseq and up to
// last. complete is false if the log does not reach back that far.
func (m *mailbox) expungedSince(r store.Reader, modseq, last uint64) (uids imap.NumSet, complete bool, err error) {
	meta, err := get(r, mailboxKey(m.id), decodeMailboxMeta)
	if errors.Is(err, store.ErrNotFound) {
		return nil, false, errGone
	}
	if err != nil || modseq < meta.LogFloor {
		return nil, false, err
	}
	if modseq >= last {
		return nil, true, nil
	}
	start, end := logRange(m.id, modseq, last)
	it := r.Scan(start, end, false)
	defer it.Close()
	var all imap.NumSet
	for it.Next() {
		b, err := it.Value()
		if err != nil {
			return nil, false, err
		}
		rec, err := decodeLogRecord(b)
		if err != nil {
			return nil, false, err
		}
		all = append(all, rec.Expunged...)
	}
	return all.Resolve(0), true, it.Close()
}

func (s *Selected) svc() *Service { return s.account.svc }

// Store changes flags (RFC 9051 §6.4.6). Messages whose flags stay as they are keep
// their MODSEQ.
func (s *Selected) Store(ctx context.Context, req imapserver.StoreChange) (imapserver.StoreResult, error) {
	update := s.update
	if req.Early {
		update = s.updateEarly
	}
	var modified imap.NumSet
	before, after, err := update(ctx, func(c *change) error {
		uids := req.UIDs
		modified = nil
		if req.UnchangedSince != nil {
			modified = c.view.newerThan(uids, uint64(*req.UnchangedSince))
			uids = uids.Minus(modified)
		}
		fc, err := c.flagChange(uids, req.Op, req.Flags)
		if err != nil || len(fc.UIDs) == 0 {
			return err
		}
		return c.record(&logRecord{Flags: []flagChange{fc}})
	})
	if err != nil {
		return imapserver.StoreResult{}, err
	}
	return imapserver.StoreResult{Before: before, After: after, Modified: modified}, nil
}

// newerThan returns those of uids whose message is newer than modseq.
func (v *view) newerThan(uids imap.NumSet, modseq uint64) imap.NumSet {
	var out imap.NumSet
	for k := range v.chunksWith(uids) {
		c := v.chunks[k]
		if c.maxModSeq <= modseq {
			continue
		}
		cols := c.columns()
		for i := range c.indexes(uids) {
			if cols.modseq[i] > modseq {
				out.Add(cols.uid[i])
			}
		}
	}
	return out
}

// flagChange works out which of uids change at all.
func (c *change) flagChange(uids imap.NumSet, op imap.StoreOp, flags []imap.Flag) (flagChange, error) {
	learn := c.learn
	if op == imap.StoreRemove {
		learn = nil // a keyword that nothing has needs no removing
	}
	bits, err := bitsOf(flags, c.meta.Keywords, learn)
	if err != nil {
		return flagChange{}, err
	}
	fc := flagChange{Replace: op == imap.StoreReplace}
	if op == imap.StoreRemove {
		fc.Remove = bits
	} else {
		fc.Add = bits
	}
	changes := make(map[uint32]bool)
	for k := range c.view.chunksWith(uids) {
		ch := c.view.chunks[k]
		cols := ch.columns()
		for i := range ch.indexes(uids) {
			f := cols.flags[i]
			differs, ok := changes[f]
			if !ok {
				old := c.view.sets[f].bits
				differs = fc.of(old) != old
				changes[f] = differs
			}
			if differs {
				fc.UIDs.Add(cols.uid[i])
			}
		}
	}
	return fc, nil
}

// Expunge removes messages that are \Deleted: those of uids, or all if it is nil.
func (s *Selected) Expunge(ctx context.Context, uids imap.NumSet) error {
	_, _, err := s.update(ctx, func(c *change) error {
		gone := c.view.deletedUIDs()
		if uids != nil {
			gone = gone.Intersect(uids)
		}
		if len(gone) == 0 {
			return nil
		}
		return c.expunge(gone)
	})
	return err
}

// expunge removes messages that are there.
func (c *change) expunge(uids imap.NumSet) error {
	var emails []emailID
	for k := range c.view.chunksWith(uids) {
		ch := c.view.chunks[k]
		d, err := ch.lazy.load(c.tx)
		if err != nil {
			return err
		}
		for i := range ch.indexes(uids) {
			emails = append(emails, emailID(d.email[i]))
		}
	}
	if err := c.record(&logRecord{Expunged: uids}); err != nil {
		return err
	}
	acct, err := readAccountMeta(c.tx)
	if err != nil {
		return err
	}
	discard(c.tx, acct, c.time, emails)
	c.tx.Set(accountKey, acct.encode())
	return nil
}

// discard notes emails that have lost a message. The account's head is to be
// written by the caller.
func discard(tx store.Tx, acct *accountMeta, now int64, emails []emailID) {
	const perRecord = 100_000 // keeps a record well below store.MaxValue
	for len(emails) > 0 {
		n := min(len(emails), perRecord)
		acct.LastGarbage++
		rec := garbageRecord{Time: now, Emails: emails[:n]}
		tx.Set(garbageKey(acct.LastGarbage), rec.encode())
		emails = emails[n:]
	}
}
