package imapserver

import (
	"context"

	"tidemark/imap"
	"tidemark/imapwire"
)

// selectMailbox is SELECT and EXAMINE (RFC 9051 §6.3.2, RFC 7162 §3.2.5).
func (a *authenticated) selectMailbox(ctx context.Context, cmd *imap.Select) (outcome, error) {
	if cmd.QResync != nil && !a.enabled.qresync {
		return outcome{}, imap.Bad("QRESYNC has not been enabled")
	}
	// From here on the old mailbox is closed, whether or not the new one can be
	// opened (RFC 9051 §6.3.2).
	a.deselect()
	if cmd.CondStore {
		a.enabled.condStore = true
	}
	mailbox, err := a.account.OpenMailbox(ctx, cmd.Mailbox, cmd.ReadOnly)
	if err != nil {
		return outcome{}, err
	}
	view := mailbox.View()
	s := &selected{authenticated: a, mailbox: mailbox, base: view, tip: view}
	if err := s.announce(ctx, cmd); err != nil {
		s.closeMailbox()
		return outcome{}, err
	}
	code := imap.CodeReadWrite
	if mailbox.ReadOnly() {
		code = imap.CodeReadOnly
	}
	return outcome{code: code, next: s}, nil
}

// deselect closes the selected mailbox, if there is one, and says so
// (RFC 7162 §3.2.11).
func (a *authenticated) deselect() {
	s, ok := a.state.(*selected)
	if !ok {
		return
	}
	s.closeMailbox()
	a.state = a
	a.put(imapwire.AppendUntagged(a.buf(), imap.OK, imap.CodeClosed, "Previous mailbox is closed"))
}

// announce sends what a client must know of a mailbox that it has opened.
func (s *selected) announce(ctx context.Context, cmd *imap.Select) error {
	s.tellKeywords()
	s.put(imapwire.AppendExists(s.buf(), s.base.Len()))
	if s.enabled.rev2 {
		if err := s.announceName(ctx, cmd.Supplied); err != nil {
			return err
		}
	} else {
		s.claimRecent()
		s.put(imapwire.AppendRecent(s.buf(), s.recentCount()))
		if n := s.base.FirstUnseen(); n != 0 {
			s.tellCode(imapwire.CodeUnseen(n), "First unseen")
		}
	}
	s.tellCode(imapwire.CodeUIDValidity(s.mailbox.UIDValidity()), "UIDs valid")
	s.tellCode(imapwire.CodeUIDNext(s.base.UIDNext()), "Predicted next UID")
	s.tellHighestModSeq()
	s.tellCode(imapwire.CodeMailboxID(s.mailbox.ID()), "Mailbox id") // RFC 8474 §4.2
	if q := cmd.QResync; q != nil && q.UIDValidity == s.mailbox.UIDValidity() {
		return s.resync(ctx, q)
	}
	return nil
}

func (s *selected) tellCode(code imap.Code, text string) {
	s.put(imapwire.AppendUntagged(s.buf(), imap.OK, code, text))
}

// announceName sends the LIST response that IMAP4rev2 wants, with OLDNAME where the
// client spelled the name in another way (RFC 9051 §6.3.2).
func (s *selected) announceName(ctx context.Context, supplied string) error {
	infos, err := s.account.Mailboxes(ctx)
	if err != nil {
		return err
	}
	node := mailboxNode{name: s.mailbox.Name(), exists: true}
	for i := range infos {
		switch info := &infos[i]; {
		case info.Name == node.name:
			node.uses = info.SpecialUse
		case !info.NonExistent && isBelow(info.Name, node.name):
			node.hasChildren = true
		}
	}
	data := imapwire.ListData{Name: node.name, Attrs: node.attributes(listExtended), OldName: supplied}
	s.put(imapwire.AppendList(s.buf(), &data, s.enabled.utf8Names()))
	return nil
}

// resync tells what has happened since the client last knew the mailbox
// (RFC 7162 §3.2.5.1).
func (s *selected) resync(ctx context.Context, q *imap.QResync) error {
	var known imap.NumSet
	if q.KnownUIDs != nil {
		known = q.KnownUIDs.Resolve(0)
	}
	expunged, changed, err := s.mailbox.Since(ctx, s.base, q.ModSeq, known)
	if err != nil {
		return err
	}
	if known != nil {
		changed = changed.Intersect(known)
	}
	if sure := s.lastMatch(q); sure != 0 {
		expunged = expunged.Minus(imap.NumSet{{Start: 1, Stop: uint32(sure)}})
	}
	if len(expunged) > 0 {
		s.put(imapwire.AppendVanished(s.buf(), expunged, true))
	}
	s.tellRows(s.base, s.base.Seqs(changed), true)
	return nil
}

// lastMatch returns the last UID of the sequence match data that stands at its
// position: the client knows of every expunge up to it (RFC 7162 §3.2.5.2).
func (s *selected) lastMatch(q *imap.QResync) (sure imap.UID) {
	uids := q.MatchUIDs.Resolve(0)
	next, i := uint32(0), 0
	for seq := range q.MatchSeqs.Resolve(0).All() {
		if seq > s.base.Len() || i == len(uids) {
			break
		}
		next = max(next, uids[i].Start)
		if s.base.UID(imap.SeqNum(seq)) == imap.UID(next) {
			sure = imap.UID(next)
		}
		if next == uids[i].Stop {
			i++
		}
		next++
	}
	return sure
}

// check is CHECK (RFC 3501 §6.4.1): everything is durable already, so it does what
// NOOP does.
func (s *selected) check(context.Context, imap.Simple) (outcome, error) {
	return outcome{}, nil
}

// closeAndExpunge is CLOSE (RFC 9051 §6.4.1).
func (s *selected) closeAndExpunge(ctx context.Context, _ imap.Simple) (outcome, error) {
	if !s.mailbox.ReadOnly() && !s.mailbox.Gone() {
		if err := s.mailbox.Expunge(ctx, nil); err != nil {
			return outcome{}, err
		}
	}
	s.closeMailbox()
	return outcome{next: s.authenticated}, nil
}

// unselect is UNSELECT (RFC 9051 §6.4.2).
func (s *selected) unselect(context.Context, imap.Simple) (outcome, error) {
	s.closeMailbox()
	return outcome{next: s.authenticated}, nil
}
