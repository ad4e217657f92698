package mail

import (
	"context"
	"errors"
	"time"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
)

// importVersion is the version, and all the content, of an import record: that it is
// there says that the message has come.
const importVersion = 1

// ImportMessage is a message that an import brings. Key identifies it and its
// mailbox, so that it is stored once, however often the import runs; at most 64 octets.
type ImportMessage struct {
	Key    []byte
	Upload imapserver.Upload // of this account
	Flags  []imap.Flag
	Date   time.Time
}

// NewImport begins a message of about size octets.
func (a *Account) NewImport(ctx context.Context, size int64) (imapserver.Upload, error) {
	if size > a.svc.limits.MessageSize {
		return nil, errTooBig
	}
	return a.newUpload(ctx, size)
}

// Import stores messages in one transaction, together with the knowledge that they
// have come. It leaves out what came before and returns how many were stored. The caller
// aborts the uploads, which does nothing to those that were stored.
func (a *Account) Import(ctx context.Context, mailbox string, msgs []ImportMessage) (stored int, err error) {
	in := make([]incoming, len(msgs))
	for i, m := range msgs {
		in[i] = incoming{upload: m.Upload.(*Upload), flags: m.Flags, date: m.Date, key: m.Key}
	}
	m, err := a.open(ctx, mailbox)
	if err != nil {
		return 0, err
	}
	defer a.release(m)
	uids, err := m.appendAll(ctx, in)
	return int(uids.Count()), err
}

// Imported says of each key whether its message has been stored.
func (a *Account) Imported(ctx context.Context, keys [][]byte) ([]bool, error) {
	known := make([]bool, len(keys))
	err := a.svc.engine.View(ctx, a.id, func(r store.Reader) (err error) {
		for i, k := range keys {
			if known[i], err = isImported(r, k); err != nil {
				return err
			}
		}
		return nil
	})
	return known, a.svc.fault(err)
}

func isImported(r store.Reader, key []byte) (bool, error) {
	if key == nil {
		return false, nil
	}
	_, err := r.Get(importKey(key))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
