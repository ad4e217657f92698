package imapserver

import (
	"context"

	"tidemark/imap"
)

// errReadOnly refuses a change in a mailbox opened by EXAMINE.
var errReadOnly = imap.Refuse(imap.CodeReadOnly, "Mailbox is read-only")

// expunge is EXPUNGE (RFC 9051 §6.4.3). What it removes is told by the sync after
// it, together with what others have removed.
func (s *selected) expunge(ctx context.Context, _ imap.Simple) (outcome, error) {
	if s.mailbox.ReadOnly() {
		return outcome{}, errReadOnly
	}
	return outcome{}, s.mailbox.Expunge(ctx, nil)
}

// uidExpunge is UID EXPUNGE (RFC 9051 §6.4.9).
func (s *selected) uidExpunge(ctx context.Context, cmd *imap.UIDExpunge) (outcome, error) {
	if s.mailbox.ReadOnly() {
		return outcome{}, errReadOnly
	}
	uids := s.resolveUIDs(cmd.UIDs)
	if len(uids) == 0 {
		return outcome{}, nil // nil would mean all
	}
	return outcome{}, s.mailbox.Expunge(ctx, uids)
}
