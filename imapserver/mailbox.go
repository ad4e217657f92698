package imapserver

import (
	"cmp"
	"context"

	"tidemark/imap"
	"tidemark/imapwire"
)

// create is CREATE (RFC 9051 §6.3.4, RFC 6154 §3).
func (a *authenticated) create(ctx context.Context, cmd *imap.Create) (outcome, error) {
	for _, use := range cmd.SpecialUse {
		if _, known := imap.CanonicalSpecialUse(string(use)); !known {
			return outcome{}, imap.Refuse(imap.CodeUseAttr, "Unknown special use") // RFC 6154 §3
		}
	}
	id, err := a.account.Create(ctx, cmd.Mailbox, cmd.SpecialUse)
	if err != nil {
		return outcome{}, err
	}
	a.correctName(cmd.Mailbox, cmd.Supplied)
	return outcome{code: imapwire.CodeMailboxID(id)}, nil // RFC 8474 §4.1
}

// correctName tells a client of IMAP4rev2 that the mailbox it has called supplied has
// another name, unless supplied is empty (RFC 9051 §6.3.9.7).
func (a *authenticated) correctName(name, supplied string, attrs ...imap.MailboxAttr) {
	if supplied == "" || !a.enabled.rev2 {
		return
	}
	data := imapwire.ListData{Name: name, Attrs: attrs, OldName: supplied}
	a.put(imapwire.AppendList(a.buf(), &data, a.enabled.utf8Names()))
}

// delete is DELETE (RFC 9051 §6.3.5). The selected mailbox may be deleted; the
// session then goes on without one.
func (a *authenticated) delete(ctx context.Context, cmd *imap.Delete) (outcome, error) {
	if err := a.account.Delete(ctx, cmd.Mailbox); err != nil {
		return outcome{}, err
	}
	a.correctName(cmd.Mailbox, cmd.Supplied, imap.AttrNonExistent)
	if s, ok := a.state.(*selected); ok && s.mailbox.Gone() {
		a.deselect()
	}
	return outcome{}, nil
}

// rename is RENAME (RFC 9051 §6.3.6). A selected mailbox stays selected under its
// new name.
func (a *authenticated) rename(ctx context.Context, cmd *imap.Rename) (outcome, error) {
	if err := a.account.Rename(ctx, cmd.From, cmd.To); err != nil {
		return outcome{}, err
	}
	// RFC 9051 §6.3.6: nothing needs to be said of INBOX, which stays. Otherwise the old
	// name is the client's own, also where it is the new one that was spelled in another way.
	if cmd.From != imap.Inbox && (cmd.SuppliedFrom != "" || cmd.SuppliedTo != "") {
		a.correctName(cmd.To, cmp.Or(cmd.SuppliedFrom, cmd.From))
	}
	return outcome{}, nil
}

// subscribe is SUBSCRIBE and UNSUBSCRIBE (RFC 9051 §6.3.7 and §6.3.8).
func (a *authenticated) subscribe(ctx context.Context, cmd *imap.Subscribe) (outcome, error) {
	return outcome{}, a.account.Subscribe(ctx, cmd.Mailbox, !cmd.Undo)
}
