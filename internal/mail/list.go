package mail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/imapwire"
	"tidemark/internal/store"
)

// The refusals about mailbox names.
var (
	errNoMailbox    = imap.Refuse(imap.CodeNonExistent, "No such mailbox")
	errExists       = imap.Refuse(imap.CodeAlreadyExists, "A mailbox of that name exists")
	errInboxStays   = imap.Refuse(imap.CodeCannot, "INBOX cannot be deleted")
	errHasChildren  = imap.Refuse(imap.CodeHasChildren, "The name only holds other mailboxes")
	errIntoItself   = imap.Refuse(imap.CodeCannot, "A mailbox cannot be moved below itself")
	errUseTaken     = imap.Refuse(imap.CodeUseAttr, "Another mailbox has that special use")
	errTooManyBoxes = imap.Refuse(imap.CodeLimit, "Too many mailboxes")
)

// delimiterString is the delimiter for the functions of package strings.
const delimiterString = string(imap.Delimiter)

// wellKnownUses are the names, in small letters, that mail programs give to mailboxes
// for one purpose.
var wellKnownUses = map[string]imap.MailboxAttr{
	"drafts": imap.AttrDrafts,
	"sent":   imap.AttrSent, "sent items": imap.AttrSent, "sent messages": imap.AttrSent,
	"junk": imap.AttrJunk, "spam": imap.AttrJunk,
	"trash": imap.AttrTrash, "deleted items": imap.AttrTrash, "deleted messages": imap.AttrTrash,
	"archive": imap.AttrArchive,
}

// listCache is the account's names as of a version of the list.
type listCache struct {
	mu      sync.Mutex
	version uint64
	infos   []imapserver.MailboxInfo
}

// mailboxes returns every mailbox and subscribed name, INBOX first.
func (a *account) mailboxes(ctx context.Context) (infos []imapserver.MailboxInfo, err error) {
	err = a.svc.engine.View(ctx, a.id, func(r store.Reader) error {
		meta, err := readAccountMeta(r)
		if err != nil {
			return err
		}
		a.list.mu.Lock()
		defer a.list.mu.Unlock()
		if a.list.infos == nil || a.list.version < meta.ListVersion {
			if a.list.infos, err = readList(r); err != nil {
				return err
			}
			a.list.version = meta.ListVersion
		}
		infos = a.list.infos
		return nil
	})
	return infos, a.svc.fault(err)
}

func readList(r store.Reader) ([]imapserver.MailboxInfo, error) {
	infos := []imapserver.MailboxInfo{}
	err := eachName(r, "", func(name string, n *nameRecord) error {
		infos = append(infos, imapserver.MailboxInfo{
			Name:        name,
			ID:          n.Mailbox.objectID(),
			NonExistent: n.Mailbox == 0,
			Subscribed:  n.Subscribed,
			SpecialUse:  n.Uses,
		})
		return nil
	})
	slices.SortStableFunc(infos, func(a, b imapserver.MailboxInfo) int {
		switch {
		case a.Name == imap.Inbox && b.Name != imap.Inbox:
			return -1
		case b.Name == imap.Inbox && a.Name != imap.Inbox:
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return infos, err
}

// objectID returns the MAILBOXID (RFC 8474 §4).
func (id mailboxID) objectID() imap.ObjectID {
	if id == 0 {
		return ""
	}
	return imap.ObjectID(fmt.Sprintf("F%x", uint32(id)))
}

// eachName calls fn with the names that begin with prefix, in byte order.
func eachName(r store.Reader, prefix string, fn func(name string, n *nameRecord) error) error {
	start := nameKey(prefix)
	_, end := kindRange(kindName)
	it := r.Scan(start, end, false)
	defer it.Close()
	for it.Next() {
		name := string(it.Key()[1:])
		if !strings.HasPrefix(name, prefix) {
			break
		}
		b, err := it.Value()
		if err != nil {
			return err
		}
		n, err := decodeNameRecord(b)
		if err != nil {
			return fmt.Errorf("mailbox name %q: %w", name, err)
		}
		if err := fn(name, n); err != nil {
			return err
		}
	}
	return it.Close()
}

// names is the list of mailboxes as a transaction changes it.
type names struct {
	tx   store.Tx
	svc  *Service
	meta *accountMeta
}

// updateNames changes the list of mailboxes in a transaction.
func (a *account) updateNames(ctx context.Context, fn func(n *names) error) error {
	err := a.svc.engine.Update(ctx, a.id, func(tx store.Tx) error {
		meta, err := readAccountMeta(tx)
		if err != nil {
			return err
		}
		n := &names{tx, a.svc, meta}
		if err := fn(n); err != nil {
			return err
		}
		meta.ListVersion++
		tx.Set(accountKey, meta.encode())
		tx.OnApply(a.names.forget)
		return nil
	})
	return a.svc.fault(err)
}

func readAccountMeta(r store.Reader) (*accountMeta, error) {
	meta, err := get(r, accountKey, decodeAccountMeta)
	if errors.Is(err, store.ErrNotFound) {
		return new(accountMeta), nil
	}
	return meta, err
}

// lookup returns the record of a name, an empty one if there is none.
func lookup(r store.Reader, name string) (*nameRecord, error) {
	n, err := get(r, nameKey(name), decodeNameRecord)
	if errors.Is(err, store.ErrNotFound) {
		return new(nameRecord), nil
	}
	return n, err
}

// knownNames bounds the names of which an account remembers the mailbox.
const knownNames = 1_000

// find returns the mailbox that a name stands for, in its canonical form.
func (a *account) find(ctx context.Context, name string) (mailboxID, error) {
	id, state, ok := a.names.get(name)
	if ok {
		return id, nil
	}
	err := a.svc.engine.View(ctx, a.id, func(r store.Reader) error {
		n, err := lookup(r, name)
		if err != nil {
			return err
		}
		if id = n.Mailbox; id == 0 {
			return errNoMailbox
		}
		return nil
	})
	if err != nil {
		return 0, a.svc.fault(err)
	}
	a.names.add(name, id, state)
	return id, nil
}

// set stores what a name stands for; a name that stands for nothing is removed.
func (n *names) set(name string, rec *nameRecord) error {
	_, err := n.tx.Get(nameKey(name))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil {
		n.meta.Names--
	}
	if rec.Mailbox == 0 && !rec.Subscribed {
		n.tx.Delete(nameKey(name))
		return nil
	}
	n.meta.Names++
	n.tx.Set(nameKey(name), rec.encode())
	return nil
}

// create makes a mailbox, and those above it that do not exist (RFC 9051 §6.3.4).
func (n *names) create(name string, uses []imap.MailboxAttr) (mailboxID, error) {
	if err := n.checkRoom(); err != nil {
		return 0, err
	}
	if err := n.createAbove(name); err != nil {
		return 0, err
	}
	rec, err := lookup(n.tx, name)
	if err != nil {
		return 0, err
	}
	if rec.Mailbox != 0 {
		return 0, errExists
	}
	if rec.Uses, err = n.usesFor(name, uses); err != nil {
		return 0, err
	}
	rec.Mailbox = n.newMailbox()
	return rec.Mailbox, n.set(name, rec)
}

// newMailbox writes the head of a new, empty mailbox. Its log begins after MODSEQ 1,
// because HIGHESTMODSEQ is never 0 (RFC 7162 §3.1.2.1).
func (n *names) newMailbox() mailboxID {
	n.meta.LastMailbox++
	id := n.meta.LastMailbox
	meta := &mailboxMeta{
		UIDValidity: n.svc.newUIDValidity(n.meta), UIDNext: 1, ModSeq: 1, Recent: 1, Snapshot: 1, LogFloor: 1,
	}
	n.tx.Set(mailboxKey(id), meta.encode())
	return id
}

func (n *names) checkRoom() error {
	if int(n.meta.Names) >= n.svc.limits.Mailboxes {
		return errTooManyBoxes
	}
	return nil
}

func (n *names) createAbove(name string) error {
	for i := range name {
		if name[i] != imap.Delimiter {
			continue
		}
		above, err := lookup(n.tx, name[:i])
		if err != nil {
			return err
		}
		if above.Mailbox == 0 {
			above.Mailbox = n.newMailbox()
			if err := n.set(name[:i], above); err != nil {
				return err
			}
		}
	}
	return nil
}

// usesFor decides on the special uses of a new mailbox. Where the client names none, a
// mailbox with a name that everyone uses for one purpose gets it, so that devices
// agree on one Sent mailbox. No two mailboxes have the same use.
func (n *names) usesFor(name string, asked []imap.MailboxAttr) ([]imap.MailboxAttr, error) {
	wish := asked
	if use, ok := wellKnownUses[strings.ToLower(name)]; ok && len(asked) == 0 {
		wish = []imap.MailboxAttr{use}
	}
	if len(wish) == 0 {
		return nil, nil
	}
	taken := make(map[imap.MailboxAttr]bool)
	err := eachName(n.tx, "", func(_ string, rec *nameRecord) error {
		for _, u := range rec.Uses {
			taken[u] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var uses []imap.MailboxAttr
	for _, u := range wish {
		switch {
		case !taken[u]:
			uses = append(uses, u)
			taken[u] = true
		case len(asked) > 0:
			return nil, errUseTaken
		}
	}
	return uses, nil
}

// remove takes the mailbox away from a name, which stays if it is subscribed: a
// server must not end a subscription by itself (RFC 9051 §6.3.7).
func (n *names) remove(name string, rec *nameRecord) error {
	return n.set(name, &nameRecord{Subscribed: rec.Subscribed})
}

// rename gives the mailbox of from the name to.
func (n *names) rename(from string, rec *nameRecord, to string) error {
	target, err := lookup(n.tx, to)
	if err != nil {
		return err
	}
	if target.Mailbox != 0 {
		return errExists
	}
	if err := n.remove(from, rec); err != nil {
		return err
	}
	return n.set(to, &nameRecord{Mailbox: rec.Mailbox, Subscribed: target.Subscribed, Uses: rec.Uses})
}

// checkName returns the name in the form in which it is kept, or says what is wrong.
// A delimiter at the end says only that mailboxes will be made below
// (RFC 9051 §6.3.4).
func checkName(name string) (string, error) {
	name = norm.NFC.String(strings.TrimSuffix(name, delimiterString)) // RFC 9051 §5.1, RFC 5198 §2
	if name = imap.FoldInbox(name); name == imap.Inbox {
		return name, nil
	}
	return name, imapwire.CheckMailboxName(name)
}
