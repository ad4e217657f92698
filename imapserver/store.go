package imapserver

import (
	"context"
	"slices"

	"tidemark/imap"
	"tidemark/imapwire"
)

// store is STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).
func (s *selected) store(ctx context.Context, cmd *imap.Store) (outcome, error) {
	if s.mailbox.ReadOnly() {
		return outcome{}, errReadOnly
	}
	if err := checkFlags(cmd.Flags); err != nil {
		return outcome{}, err
	}
	if cmd.UnchangedSince != nil {
		if err := s.settle(ctx); err != nil {
			return outcome{}, err
		}
		s.enableCondStore()
	}
	seqs, err := s.resolve(cmd.Set, cmd.UID)
	if err != nil || len(seqs) == 0 {
		return outcome{}, err
	}
	uids := s.base.UIDs(seqs)
	result, err := s.mailbox.Store(ctx, StoreChange{
		UIDs: uids, Op: cmd.Op, Flags: cmd.Flags, UnchangedSince: cmd.UnchangedSince, Early: s.storesEarly(),
	})
	if err != nil {
		return outcome{}, err
	}
	stored := uids.Minus(result.Modified)
	s.tellStored(result, stored, cmd.Silent)
	return s.stored(cmd, result, stored)
}

// storesEarly says whether changes of flags are answered before they are durable. A client
// that is told MODSEQs waits: after a power cut one of them could stand for another change,
// and the client would never hear of that.
func (s *selected) storesEarly() bool { return s.srv.opts.EarlyFlags && !s.enabled.condStore }

// settle waits until the flags that were answered early are durable. If that fails the
// session cannot go on, since its client knows what may never have been.
func (s *selected) settle(ctx context.Context) error {
	err := s.mailbox.Settle(ctx)
	if err == nil {
		return nil
	}
	refusal := s.fault("STORE", err)
	return &bye{refusal.Code, refusal.Text, "flags could not be stored"}
}

// checkFlags refuses flags that only a standard could define (RFC 9051 §2.3.2).
func checkFlags(flags []imap.Flag) error {
	for _, f := range flags {
		if f.IsSystem() && !slices.Contains(imap.SystemFlags[:], f) {
			return imap.Bad("Unknown system flag")
		}
	}
	return nil
}

// tellStored brings the client to the version that STORE made. What others did before
// is told in any case (RFC 9051 §6.4.6). Of the change itself the client knows the
// outcome: with .SILENT it is told the MODSEQs at most (RFC 7162 §3.1.3).
func (s *selected) tellStored(result StoreResult, stored imap.NumSet, silent bool) {
	knew := s.tip.ModSeq()
	s.advance(result.Before, false)
	s.tellModified(result, knew)

	delta := result.After.Delta(s.tip)
	if s.base == s.tip && len(delta.Expunged) == 0 && delta.Added == 0 {
		s.base = result.After
	}
	s.tip = result.After
	if delta.Keywords {
		s.tellKeywords()
	}
	switch {
	case !silent:
		// Flags are answered also where they were so already.
		s.tellRows(s.tip, s.tip.Seqs(stored), true)
	case s.enabled.condStore:
		s.tellRows(s.tip, delta.Changed, false)
	}
}

// tellModified tells the state of the messages that UNCHANGEDSINCE kept from being
// changed, so that the client need not ask for it (RFC 7162 §3.1.3). Those that
// changed after the version knew have been told as such.
func (s *selected) tellModified(result StoreResult, knew imap.ModSeq) {
	var positions imap.NumSet
	for seq, row := range result.After.Rows(result.After.Seqs(result.Modified)) {
		if row.ModSeq <= knew {
			positions.Add(uint32(seq))
		}
	}
	s.tellRows(result.After, positions, true)
}

// stored makes the tagged answer: which messages were not changed because somebody
// else had changed them, and whether some no longer exist.
func (s *selected) stored(cmd *imap.Store, result StoreResult, stored imap.NumSet) (outcome, error) {
	if len(result.Modified) > 0 {
		modified := result.Modified
		if !cmd.UID {
			modified = s.base.Seqs(modified)
		}
		return outcome{code: imapwire.CodeModified(modified), text: "Conditional STORE failed for some messages"}, nil
	}
	if !cmd.UID && s.tip.Seqs(stored).Count() < stored.Count() {
		return outcome{code: imap.CodeExpungeIssued, text: "Some of the messages no longer exist"}, nil
	}
	return outcome{}, nil
}
