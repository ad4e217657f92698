package mail

import (
	"bytes"
	"context"
	"errors"
	"time"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/imapwire"
	"tidemark/internal/store"
	"tidemark/message"
)

// The refusals about new messages.
var (
	errTryCreate = imap.Refuse(imap.CodeTryCreate, "No such mailbox; it can be created")
	errTooBig    = imap.Refuse(imap.CodeTooBig, "The message is too large")
	errNUL       = imap.Refuse(imap.CodeUnknownCTE, "A message must not have NUL octets") // RFC 3516 §4.4
	errUIDsUsed  = imap.Refuse(imap.CodeLimit, "The mailbox has no UIDs left")
)

// Upload is a message on its way in: its octets go to a blob and past the scanner
// at the same time (imapserver.Upload).
type Upload struct {
	svc     *Service
	blob    store.BlobWriter
	scanner *message.Scanner
	size    int64
	limit   int64

	ref    store.BlobRef // after finish
	record []byte        // emailRecord
	text   []byte        // textRecord
	sent   packedTime
}

// NewUpload begins a message of about size octets for the named mailbox.
func (a *Account) NewUpload(ctx context.Context, name string, size int64) (imapserver.Upload, error) {
	if size > a.svc.limits.MessageSize {
		return nil, errTooBig
	}
	if _, err := a.find(ctx, canonical(name)); err != nil {
		return nil, tryCreate(err)
	}
	return a.newUpload(ctx, size)
}

func (a *account) newUpload(ctx context.Context, size int64) (*Upload, error) {
	blob, err := a.svc.engine.NewBlob(ctx, a.id, size)
	if err != nil {
		return nil, a.svc.fault(err)
	}
	return &Upload{svc: a.svc, blob: blob, scanner: message.NewScanner(), limit: a.svc.limits.MessageSize}, nil
}

// canonical returns a name in the form in which it is kept. One that cannot be a
// mailbox's is returned as it is, and will not be found.
func canonical(name string) string {
	if n, err := checkName(name); err == nil {
		return n
	}
	return name
}

// tryCreate gives the answer about a missing mailbox to those who want to put
// something there (RFC 9051 §6.3.12).
func tryCreate(err error) error {
	if errors.Is(err, errNoMailbox) {
		return errTryCreate
	}
	return err
}

// Write takes the next octets of the message.
func (u *Upload) Write(p []byte) (int, error) {
	u.size += int64(len(p))
	if u.size > u.limit {
		return 0, errTooBig
	}
	if bytes.IndexByte(p, 0) >= 0 {
		return 0, errNUL
	}
	if _, err := u.scanner.Write(p); err != nil {
		return 0, err
	}
	n, err := u.blob.Write(p)
	return n, u.svc.fault(err)
}

// Abort gives the message up.
func (u *Upload) Abort() {
	u.blob.Abort()
	if u.ref != nil {
		u.ref.Discard()
	}
}

// finish completes the blob and works out what is stored beside it. It may be
// called again.
func (u *Upload) finish() error {
	if u.ref != nil {
		return nil
	}
	ref, err := u.blob.Finish()
	if err != nil {
		return u.svc.fault(err)
	}
	u.ref = ref
	scanned := u.scanner.Finish()
	u.sent = packTime(scanned.Sent)
	u.record = summarise(scanned, ref.Info()).encode()
	u.text = textOf(scanned).encode()
	return nil
}

// summarise returns the record of what FETCH asks for.
func summarise(s *message.Scanned, blob store.BlobInfo) *emailRecord {
	return &emailRecord{
		Blob:          blob.ID,
		Size:          uint32(blob.Size),
		Parts:         s.Root.AppendBinary(nil),
		Envelope:      imapwire.AppendEnvelope(nil, s.Envelope),
		Body:          imapwire.AppendBody(nil, s.Structure, false),
		BodyStructure: imapwire.AppendBody(nil, s.Structure, true),
		Preview:       []byte(s.Preview),
	}
}

// incoming is one message of an append: its content and what the mailbox is to know
// of it.
type incoming struct {
	upload *Upload
	flags  []imap.Flag
	date   time.Time
	key    []byte // of an import; nil otherwise
}

// Append stores messages in one transaction (RFC 9051 §6.3.12, RFC 3502).
func (a *Account) Append(
	ctx context.Context, name string, msgs []imapserver.AppendMessage,
) (imapserver.AppendResult, error) {
	in := make([]incoming, len(msgs))
	for i, m := range msgs {
		in[i] = incoming{upload: m.Upload.(*Upload), flags: m.Flags, date: m.InternalDate}
	}
	m, err := a.open(ctx, name)
	if err != nil {
		return imapserver.AppendResult{}, tryCreate(err)
	}
	defer a.release(m)
	uids, err := m.appendAll(ctx, in)
	if err != nil {
		return imapserver.AppendResult{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return imapserver.AppendResult{UIDValidity: m.uidValidity, UIDs: uids}, nil
}

func (m *mailbox) appendAll(ctx context.Context, in []incoming) (uids imap.NumSet, err error) {
	for i := range in {
		if err := in[i].upload.finish(); err != nil {
			return nil, err
		}
	}
	_, _, err = m.update(ctx, func(c *change) error {
		uids, err = c.append(in)
		return err
	})
	return uids, err
}

// append adds new messages to the mailbox as one record. Those that an import has
// brought before are left out.
func (c *change) append(in []incoming) (uids imap.NumSet, err error) {
	acct, err := readAccountMeta(c.tx)
	if err != nil {
		return nil, err
	}
	if uint64(c.meta.UIDNext)+uint64(len(in)) > 1<<32-1 {
		return nil, errUIDsUsed
	}
	rec := &logRecord{Added: make([]added, 0, len(in))}
	for _, msg := range in {
		if known, err := isImported(c.tx, msg.key); err != nil || known {
			if err != nil {
				return nil, err
			}
			continue
		}
		bits, err := bitsOf(msg.flags, c.meta.Keywords, c.learn)
		if err != nil {
			return nil, err
		}
		acct.LastEmail++
		rec.Added = append(rec.Added, added{
			UID: c.meta.UIDNext + uint32(len(rec.Added)), Email: acct.LastEmail, Size: uint32(msg.upload.size),
			Internal: c.internalDate(msg.date), Sent: msg.upload.sent, Saved: c.time, Flags: bits,
		})
		c.store(acct.LastEmail, &msg)
	}
	if len(rec.Added) == 0 {
		return nil, nil
	}
	for _, a := range rec.Added {
		uids.Add(a.UID)
	}
	c.tx.Set(accountKey, acct.encode())
	return uids, c.record(rec)
}

// internalDate is the date given, or now (RFC 9051 §6.3.12).
func (c *change) internalDate(given time.Time) packedTime {
	if given.IsZero() {
		given = time.Unix(c.time, 0).UTC()
	}
	return packTime(given)
}

// store writes the records of a new message.
func (c *change) store(e emailID, msg *incoming) {
	c.tx.Adopt(msg.upload.ref)
	c.tx.Set(emailKey(e), msg.upload.record)
	c.tx.Set(textKey(e), msg.upload.text)
	if msg.key != nil {
		c.tx.Set(importKey(msg.key), []byte{importVersion})
	}
}
