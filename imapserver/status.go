package imapserver

import (
	"context"

	"tidemark/imap"
	"tidemark/imapwire"
)

// status is STATUS (RFC 9051 §6.3.11).
func (a *authenticated) status(ctx context.Context, cmd *imap.Status) (outcome, error) {
	return outcome{}, a.putStatus(ctx, cmd.Mailbox, cmd.Items)
}

// putStatus sends the STATUS response of one mailbox.
func (a *authenticated) putStatus(ctx context.Context, name string, items imap.StatusItems) error {
	if items&imap.StatusHighestModSeq != 0 {
		a.enableCondStore() // RFC 7162 §3.1
	}
	st, err := a.account.Status(ctx, name)
	if err != nil {
		return err
	}
	a.put(imapwire.AppendStatus(a.buf(), &imapwire.StatusData{
		Mailbox:       name,
		Items:         items,
		Messages:      st.Messages,
		Recent:        st.Recent,
		UIDNext:       st.UIDNext,
		UIDValidity:   st.UIDValidity,
		Unseen:        st.Unseen,
		Deleted:       st.Deleted,
		Size:          st.Size,
		HighestModSeq: st.HighestModSeq,
		MailboxID:     st.ID,
		AppendLimit:   a.account.AppendLimit(),
	}, a.enabled.utf8Names()))
	return nil
}
