package mail

import (
	"context"
	"errors"
	"strings"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
)

// Account is one user's mail, for one session or task (imapserver.Account).
type Account struct {
	*account
	user string
}

var _ imapserver.Account = (*Account)(nil)

// Close ends the use of the account.
func (a *Account) Close() error {
	a.svc.releaseAccount(a.account)
	return nil
}

// User returns the name of the account's user.
func (a *Account) User() string { return a.user }

// AppendLimit returns the largest message taken, in octets.
func (a *Account) AppendLimit() int64 { return a.svc.limits.MessageSize }

// Mailboxes returns every mailbox, and every subscribed name without one.
func (a *Account) Mailboxes(ctx context.Context) ([]imapserver.MailboxInfo, error) {
	return a.mailboxes(ctx)
}

// ensureInbox makes INBOX if the account, which is u's, does not have it yet.
func (a *account) ensureInbox(ctx context.Context, u *knownUser) error {
	if u.inbox.Load() {
		return nil
	}
	_, err := a.find(ctx, imap.Inbox)
	if errors.Is(err, errNoMailbox) {
		err = a.makeInbox(ctx)
	}
	u.inbox.Store(err == nil)
	return err
}

func (a *account) makeInbox(ctx context.Context) error {
	return a.updateNames(ctx, func(n *names) error {
		rec, err := lookup(n.tx, imap.Inbox)
		if err != nil || rec.Mailbox != 0 {
			return err
		}
		rec.Mailbox = n.newMailbox()
		rec.Subscribed = true
		return n.set(imap.Inbox, rec)
	})
}

// Create makes a mailbox, and those above it that are missing, and returns its MAILBOXID.
func (a *Account) Create(ctx context.Context, name string, uses []imap.MailboxAttr) (imap.ObjectID, error) {
	name, err := checkName(name)
	if err != nil {
		return "", err
	}
	if name == imap.Inbox {
		return "", errExists
	}
	var id mailboxID
	err = a.updateNames(ctx, func(n *names) error {
		id, err = n.create(name, uses)
		return err
	})
	return id.objectID(), err
}

// Delete removes a mailbox and its messages. Mailboxes below it stay.
func (a *Account) Delete(ctx context.Context, name string) error {
	name, err := checkName(name)
	if err != nil {
		return err
	}
	if name == imap.Inbox {
		return errInboxStays
	}
	var id mailboxID
	err = a.updateNames(ctx, func(n *names) error {
		rec, err := lookup(n.tx, name)
		if err != nil {
			return err
		}
		if id = rec.Mailbox; id == 0 {
			return n.explainMissing(name)
		}
		if err := n.remove(name, rec); err != nil {
			return err
		}
		return a.dropMailbox(n, id)
	})
	if err != nil {
		return err
	}
	a.forget(id)
	return nil
}

// explainMissing tells a name that only has others below it from one that is not
// there at all (RFC 9051 §6.3.5).
func (n *names) explainMissing(name string) error {
	answer := error(errNoMailbox)
	err := eachName(n.tx, name+delimiterString, func(_ string, rec *nameRecord) error {
		if rec.Mailbox != 0 {
			answer = errHasChildren
		}
		return nil
	})
	if err != nil {
		return err
	}
	return answer
}

// dropMailbox removes what is stored of a mailbox. Its emails become garbage, unless
// other mailboxes have them.
func (a *account) dropMailbox(n *names, id mailboxID) error {
	m := a.acquire(id)
	defer a.release(m)
	_, v, err := m.at(n.tx)
	if err != nil {
		return err
	}
	// Sessions that have the mailbox open keep the details: see lazyDetails.
	if err := v.loadDetails(n.tx, v.all()); err != nil {
		return err
	}
	var emails []emailID
	for _, c := range v.chunks {
		for _, e := range c.details().email {
			emails = append(emails, emailID(e))
		}
	}
	discard(n.tx, n.meta, a.svc.now().Unix(), emails)
	n.tx.Delete(mailboxKey(id))
	n.tx.DeleteRange(ofMailbox(kindLog, id))
	n.tx.DeleteRange(ofMailbox(kindChunk, id))
	n.tx.DeleteRange(ofMailbox(kindDetails, id))
	n.tx.Delete(textBlocksKey(id))
	n.tx.DeleteRange(ofMailbox(kindColumn, id))
	return nil
}

// forget tells the sessions that have a deleted mailbox open.
func (a *account) forget(id mailboxID) {
	m := a.acquire(id)
	m.remove()
	a.release(m)
}

// Rename renames a mailbox and all below it (RFC 9051 §6.3.6).
func (a *Account) Rename(ctx context.Context, from, to string) error {
	from, err := checkName(from)
	if err != nil {
		return err
	}
	if to, err = checkName(to); err != nil {
		return err
	}
	switch {
	case to == imap.Inbox, from == to:
		return errExists
	case from == imap.Inbox:
		return a.renameInbox(ctx, to)
	case strings.HasPrefix(to, from+delimiterString):
		return errIntoItself
	}
	return a.updateNames(ctx, func(n *names) error { return n.renameTree(from, to) })
}

func (n *names) renameTree(from, to string) error {
	if err := n.createAbove(to); err != nil {
		return err
	}
	rec, err := lookup(n.tx, from)
	if err != nil {
		return err
	}
	moved := rec.Mailbox != 0
	if moved {
		if err := n.rename(from, rec, to); err != nil {
			return err
		}
	}
	type child struct {
		name string
		rec  *nameRecord
	}
	var children []child
	err = eachName(n.tx, from+delimiterString, func(name string, rec *nameRecord) error {
		if rec.Mailbox != 0 {
			children = append(children, child{name, rec})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range children {
		target, err := checkName(to + c.name[len(from):])
		if err != nil {
			return err
		}
		if err := n.rename(c.name, c.rec, target); err != nil {
			return err
		}
	}
	if !moved && len(children) == 0 {
		return errNoMailbox
	}
	return nil
}

// renameInbox moves INBOX's messages to a new mailbox; INBOX and what is below it
// stay (RFC 9051 §6.3.6).
func (a *Account) renameInbox(ctx context.Context, to string) error {
	if _, err := a.Create(ctx, to, nil); err != nil {
		return err
	}
	inbox, err := a.open(ctx, imap.Inbox)
	if err != nil {
		return err
	}
	defer a.release(inbox)
	_, err = a.transfer(ctx, inbox, nil, to, true)
	return err
}

// Subscribe adds a name to the subscriptions or takes it away. The name need not
// stand for a mailbox.
func (a *Account) Subscribe(ctx context.Context, name string, on bool) error {
	name, err := checkName(name)
	if err != nil {
		return err
	}
	return a.updateNames(ctx, func(n *names) error {
		rec, err := lookup(n.tx, name)
		if err != nil {
			return err
		}
		if on && rec.Mailbox == 0 {
			if err := n.checkRoom(); err != nil {
				return err
			}
		}
		rec.Subscribed = on
		return n.set(name, rec)
	})
}

// Status answers STATUS from the newest view, or from the mailbox's head where none is
// loaded.
func (a *Account) Status(ctx context.Context, name string) (st imapserver.MailboxStatus, err error) {
	if name, err = checkName(name); err != nil {
		return st, errNoMailbox
	}
	m, err := a.open(ctx, name)
	if err != nil {
		return st, err
	}
	defer a.release(m)
	if v := m.durable.Load(); v != nil {
		return m.status(v), nil
	}
	err = a.svc.engine.View(ctx, a.id, func(r store.Reader) error {
		meta, err := get(r, mailboxKey(m.id), decodeMailboxMeta)
		if errors.Is(err, store.ErrNotFound) {
			return errNoMailbox
		}
		if err != nil {
			return err
		}
		st = imapserver.MailboxStatus{
			ID:            m.id.objectID(),
			UIDValidity:   meta.UIDValidity,
			UIDNext:       imap.UID(meta.UIDNext),
			HighestModSeq: imap.ModSeq(meta.ModSeq),
			Messages:      meta.Messages,
			Unseen:        meta.Unseen,
			Deleted:       meta.Deleted,
			Size:          int64(meta.Size),
		}
		return m.countRecent(r, meta, &st)
	})
	return st, a.svc.fault(err)
}

// status returns what STATUS says of the mailbox in its version v, which is durable.
func (m *mailbox) status(v *view) imapserver.MailboxStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, _ := v.position(m.recent.Load())
	return imapserver.MailboxStatus{
		ID:            m.id.objectID(),
		UIDValidity:   m.uidValidity,
		UIDNext:       imap.UID(v.uidNext),
		HighestModSeq: imap.ModSeq(v.modseq),
		Messages:      v.Len(),
		Unseen:        v.unseen,
		Deleted:       v.deleted,
		Size:          int64(v.octets),
		Recent:        v.Len() - before,
	}
}

// countRecent counts the messages that no session was told of. Only where there may
// be any are the messages looked at.
func (m *mailbox) countRecent(r store.Reader, meta *mailboxMeta, st *imapserver.MailboxStatus) error {
	from := max(meta.Recent, m.recent.Load())
	if from >= meta.UIDNext {
		return nil
	}
	_, v, err := m.at(r)
	if err != nil {
		return err
	}
	before, _ := v.position(from)
	st.Recent = v.Len() - before
	return nil
}

// open acquires the mailbox of a name. The caller releases it.
func (a *account) open(ctx context.Context, name string) (*mailbox, error) {
	id, err := a.find(ctx, canonical(name))
	if err != nil {
		return nil, err
	}
	m := a.acquire(id)
	if m.gone.Load() {
		a.release(m)
		return nil, errNoMailbox
	}
	return m, nil
}

// OpenMailbox opens a mailbox for a session.
func (a *Account) OpenMailbox(ctx context.Context, name string, readOnly bool) (imapserver.Mailbox, error) {
	m, err := a.open(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := m.load(ctx); err != nil {
		a.release(m)
		return nil, err
	}
	return &Selected{mailbox: m, acct: a, name: canonical(name), readOnly: readOnly}, nil
}
