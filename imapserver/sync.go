package imapserver

import (
	"tidemark/imap"
	"tidemark/imapwire"
)

// errGone ends a session whose mailbox was deleted by somebody else. RFC 2180 §3
// leaves the choice; clients cope best with a lost connection, since they look at
// the mailbox list again when they come back.
var errGone = &bye{imap.CodeNonExistent, "The selected mailbox was deleted", "selected mailbox deleted"}

// sync brings the client to the mailbox's newest version, as far as it may be told.
// What it is not told yet comes with a later sync.
func (s *selected) sync(mayExpunge bool) error {
	if s.mailbox.Gone() {
		return errGone
	}
	s.advance(s.mailbox.View(), mayExpunge)
	return s.t.writeFailed
}

// advance tells the client how to come to v. The order is that of the numbers:
// expunges first, which renumber, then new messages, then flags by the new numbers.
//
// Expunges that are due and not allowed hold back new messages as well, because
// EXISTS could not be told without them; flags of the messages that the client
// knows are always told.
func (s *selected) advance(v View, mayExpunge bool) {
	if v.ModSeq() < s.tip.ModSeq() || v.ModSeq() == s.tip.ModSeq() && s.base == s.tip {
		return
	}
	flags := v.Delta(s.tip)
	whole := flags
	if s.base != s.tip {
		whole = v.Delta(s.base)
	}
	s.tip = v
	if flags.Keywords {
		s.tellKeywords()
	}
	if len(whole.Expunged) > 0 && !mayExpunge {
		s.tellRows(v, flags.Changed, true)
		return
	}
	s.tellExpunges(whole.Expunged)
	s.base = v
	if whole.Added > 0 {
		s.tellArrivals()
	}
	s.tellRows(v, flags.Changed, true)
}

// tellExpunges tells that the messages at these positions of base are gone.
func (s *selected) tellExpunges(positions imap.NumSet) {
	if len(positions) == 0 {
		return
	}
	uids := s.base.UIDs(positions)
	s.saved = s.saved.Minus(uids) // RFC 5182 §2.1
	s.recent = s.recent.Minus(uids)
	s.told.expunges = true
	if s.enabled.qresync {
		s.put(imapwire.AppendVanished(s.buf(), uids, false))
		return
	}
	// From the end, so that no number has to be corrected for those before it.
	for i := len(positions) - 1; i >= 0; i-- {
		for n := positions[i].Stop; n >= positions[i].Start; n-- {
			s.put(imapwire.AppendExpunge(s.buf(), imap.SeqNum(n)))
		}
	}
}

// tellArrivals tells how many messages there are now.
func (s *selected) tellArrivals() {
	s.put(imapwire.AppendExists(s.buf(), s.base.Len()))
	if s.enabled.rev2 {
		return // RFC 9051 has no RECENT
	}
	s.claimRecent()
	s.put(imapwire.AppendRecent(s.buf(), s.recentCount()))
}

// claimRecent makes the messages that no session was told of before \Recent in this
// one (RFC 3501 §2.3.2).
func (s *selected) claimRecent() {
	first := s.mailbox.ClaimRecent(s.base)
	if next := s.base.UIDNext(); first != 0 && first < next {
		s.recent.AddRange(uint32(first), uint32(next)-1)
	}
}

func (s *selected) recentCount() uint32 {
	if len(s.recent) == 0 {
		return 0
	}
	return uint32(s.base.Seqs(s.recent).Count())
}

// tellRows tells the flags, or without flags the MODSEQs alone, of the messages at
// these positions of v, as far as the client has heard of them.
func (s *selected) tellRows(v View, positions imap.NumSet, flags bool) {
	if len(positions) == 0 {
		return
	}
	for seq, row := range v.Rows(positions) {
		if v != s.base {
			if seq = s.base.Seq(row.UID); seq == 0 {
				continue
			}
		}
		s.tellRow(seq, row, flags)
		if s.t.writeFailed != nil {
			return
		}
	}
}

// tellRow sends an unsolicited FETCH, of the flags unless told otherwise. It always
// has the UID, which RFC 7162 §3.2.4 asks for and which helps every client, and
// MODSEQ for those that use it (RFC 7162 §3.1).
func (s *selected) tellRow(seq imap.SeqNum, row Row, flags bool) {
	b := imapwire.AppendFetchStart(s.buf(), seq)
	b = imapwire.AppendFetchUID(b, row.UID)
	if flags {
		b = append(b, ' ')
		b = s.appendFlags(b, row)
	}
	if s.enabled.condStore {
		b = append(b, ' ')
		b = imapwire.AppendFetchModSeq(b, row.ModSeq)
		s.told.modSeqs = true
	}
	s.put(imapwire.AppendFetchEnd(b))
}

// appendFlags appends the FLAGS item of row.
func (s *selected) appendFlags(b []byte, row Row) []byte {
	recent := len(s.recent) > 0 && s.recent.Contains(uint32(row.UID))
	return imapwire.AppendFetchFlags(b, row.Flags, recent)
}

// tellKeywords announces the flags in use, after a new keyword came up.
func (s *selected) tellKeywords() {
	s.put(imapwire.AppendFlags(s.buf(), s.knownFlags()))
	s.tellPermanentFlags()
}

// tellPermanentFlags announces the flags that this session may change
// (RFC 9051 §7.1).
func (s *selected) tellPermanentFlags() {
	var permanent []imap.Flag
	if !s.mailbox.ReadOnly() {
		permanent = append(s.knownFlags(), imap.FlagWildcard)
	}
	code := imapwire.CodePermanentFlags(permanent)
	s.put(imapwire.AppendUntagged(s.buf(), imap.OK, code, "Flags that can be changed"))
}

// knownFlags are the flags of the mailbox: the system's and the keywords in use.
func (s *selected) knownFlags() []imap.Flag {
	keywords := s.tip.Keywords()
	flags := make([]imap.Flag, 0, len(imap.SystemFlags)+len(keywords)+1)
	flags = append(flags, imap.SystemFlags[:]...)
	return append(flags, keywords...)
}

// reportModSeq tells the client the MODSEQ up to which it knows everything, where it
// could not know it from what it was told: after expunges, which carry no MODSEQ,
// and while expunges with a lower MODSEQ are held back (RFC 7162 §3.2.7 and §6).
// It becomes the code of the tagged answer out, where that has none and is not nil.
func (s *selected) reportModSeq(out *outcome) {
	held := s.base != s.tip
	switch {
	case !s.enabled.condStore:
		return
	case s.told.expunges && s.enabled.qresync:
	case held && s.told.modSeqs:
	case s.behind && !held:
	default:
		return
	}
	s.behind = held
	if out != nil && out.code == "" {
		out.code = imapwire.CodeHighestModSeq(s.base.ModSeq())
		return
	}
	s.tellHighestModSeq()
}

func (s *selected) tellHighestModSeq() {
	code := imapwire.CodeHighestModSeq(s.base.ModSeq())
	s.put(imapwire.AppendUntagged(s.buf(), imap.OK, code, "Highest"))
}

// enableCondStore makes the client one that is told MODSEQs (RFC 7162 §3.1). In the
// selected state the first time is answered with HIGHESTMODSEQ.
func (a *authenticated) enableCondStore() {
	if a.enabled.condStore {
		return
	}
	a.enabled.condStore = true
	if s, ok := a.state.(*selected); ok {
		s.tellHighestModSeq()
	}
}

// resolveSeqs returns the positions, among those the client knows, that a set of a
// command with sequence numbers names. A number beyond the last message is an
// error (RFC 9051 §9, seq-number). By the letter "1:*" is one, too, where there are no
// messages; but clients ask for it in every mailbox, and mean those that there are.
func (s *selected) resolveSeqs(ref imap.SetRef) (imap.NumSet, error) {
	if ref.Saved {
		return s.base.Seqs(s.saved), nil
	}
	seqs := ref.Nums.Resolve(s.base.Len())
	if seqs.Max() > s.base.Len() {
		return nil, imap.Bad("No message has that sequence number")
	}
	return seqs, nil
}

// resolveUIDs returns the UIDs of messages that the client knows and that a set of a
// UID command names. UIDs that do not exist are silently left out
// (RFC 9051 §6.4.9).
func (s *selected) resolveUIDs(ref imap.SetRef) imap.NumSet {
	if ref.Saved {
		return s.saved
	}
	return s.base.UIDs(s.base.Seqs(ref.Nums.Resolve(uint32(s.lastUID()))))
}

// resolve returns the positions in base that ref names in a command or its UID
// form.
func (s *selected) resolve(ref imap.SetRef, uid bool) (imap.NumSet, error) {
	if uid {
		return s.base.Seqs(s.resolveUIDs(ref)), nil
	}
	return s.resolveSeqs(ref)
}

// lastUID is the UID of the last message that the client knows, 0 without one.
func (s *selected) lastUID() imap.UID {
	if s.base.Len() == 0 {
		return 0
	}
	return s.base.UID(imap.SeqNum(s.base.Len()))
}

// row returns the newest row of the message at a position of base. present is
// false where the message is gone, and the row is then the last one known.
func (s *selected) row(seq imap.SeqNum) (row Row, present bool) {
	if s.base == s.tip {
		return s.base.Row(seq), true
	}
	row = s.base.Row(seq)
	if now := s.tip.Seq(row.UID); now != 0 {
		return s.tip.Row(now), true
	}
	return row, false
}
