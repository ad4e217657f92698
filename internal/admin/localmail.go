package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/mail"
	"tidemark/internal/transfer"
)

// EnsureMailbox implements Service.
func (l *Local) EnsureMailbox(ctx context.Context, user string, m transfer.Mailbox) error {
	return l.inAccount(ctx, user, func(a *mail.Account) error {
		_, err := a.Create(ctx, m.Name, nil)
		if refusal, ok := errors.AsType[*imap.Error](err); ok && refusal.Code == imap.CodeAlreadyExists {
			err = nil
		}
		if err == nil && m.Subscribed {
			err = a.Subscribe(ctx, m.Name, true)
		}
		return err
	})
}

// Imported implements Service.
func (l *Local) Imported(ctx context.Context, user, mailbox string, keys []string) (known []bool, err error) {
	err = l.inAccount(ctx, user, func(a *mail.Account) error {
		hashes := make([][]byte, len(keys))
		for i, key := range keys {
			hashes[i] = importKey(mailbox, key)
		}
		known, err = a.Imported(ctx, hashes)
		return err
	})
	return known, err
}

// importKey joins a mailbox and the key of a message in it to one of fixed length.
func importKey(mailbox, key string) []byte {
	sum := sha256.Sum256([]byte(mailbox + "\x00" + key))
	return sum[:]
}

// Import implements Service.
func (l *Local) Import(
	ctx context.Context, user, mailbox string, batch iter.Seq[transfer.Message],
) (outcomes []transfer.Outcome, err error) {
	err = l.inAccount(ctx, user, func(a *mail.Account) error {
		var uploads []mail.ImportMessage
		defer func() {
			for _, u := range uploads {
				u.Upload.Abort()
			}
		}()
		for m := range batch {
			upload, err := receive(ctx, a, m)
			if reason, ok := refusalOf(err); ok {
				outcomes = append(outcomes, transfer.Outcome{Status: transfer.Refused, Reason: reason})
				continue
			}
			if err != nil {
				return err
			}
			outcomes = append(outcomes, transfer.Outcome{Status: transfer.Stored})
			uploads = append(uploads, mail.ImportMessage{
				Key: importKey(mailbox, m.Key), Upload: upload, Flags: m.Flags, Date: m.Date,
			})
		}
		if len(uploads) == 0 {
			return nil
		}
		_, err := a.Import(ctx, mailbox, uploads)
		return err
	})
	return outcomes, err
}

// unreadable is the error of a message whose content cannot be had from its source.
type unreadable struct{ err error }

func (u *unreadable) Error() string { return u.err.Error() }
func (u *unreadable) Unwrap() error { return u.err }

// refusalOf returns the reason where err is about one message alone: it is not
// acceptable, or its source cannot read it.
func refusalOf(err error) (reason string, ok bool) {
	if broken, ok := errors.AsType[*unreadable](err); ok {
		return broken.Error(), true
	}
	refusal, ok := errors.AsType[*imap.Error](err)
	if !ok || refusal.Code == imap.CodeOverQuota {
		return "", false
	}
	return refusal.Text, true
}

// receive reads the content of one message into the account.
func receive(ctx context.Context, a *mail.Account, m transfer.Message) (imapserver.Upload, error) {
	content, err := m.Open()
	if err != nil {
		return nil, &unreadable{err}
	}
	defer content.Close()
	upload, err := a.NewImport(ctx, m.Size)
	if err != nil {
		return nil, err
	}
	if err := copyMarked(upload, content); err != nil {
		upload.Abort()
		return nil, err
	}
	return upload, nil
}

// copyMarked copies, and marks the errors of reading as such.
func copyMarked(w io.Writer, r io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &unreadable{err}
		}
	}
}

// Messages implements Service.
func (l *Local) Messages(ctx context.Context, user, mailbox string) (list []Message, err error) {
	err = l.inMailbox(ctx, user, mailbox, func(m imapserver.Mailbox) error {
		v := m.View()
		list = make([]Message, 0, v.Len())
		if v.Len() == 0 {
			return nil
		}
		all := imap.NumSet{{Start: 1, Stop: v.Len()}}
		details, err := m.Details(ctx, v, all)
		if err != nil {
			return err
		}
		for seq, row := range v.Rows(all) {
			d := details[seq-1]
			list = append(list, Message{
				Key: fmt.Sprintf("%s-%d", m.ID(), row.UID), UID: row.UID,
				Flags: row.Flags.Flags(), Date: d.InternalDate.Time(), Size: int64(d.Size),
			})
		}
		return nil
	})
	return list, err
}

// OpenMessage implements Service.
func (l *Local) OpenMessage(ctx context.Context, user, mailbox string, uid imap.UID) (io.ReadCloser, error) {
	name, err := prepareName(user)
	if err != nil {
		return nil, err
	}
	a, err := l.mail.Account(ctx, name)
	if err != nil {
		return nil, explain(name, err)
	}
	r := &contentReader{closers: []io.Closer{a}}
	if err := r.open(ctx, a, mailbox, uid); err != nil {
		return nil, errors.Join(explain(name, err), r.Close())
	}
	return r, nil
}

func (l *Local) inMailbox(ctx context.Context, user, mailbox string, fn func(imapserver.Mailbox) error) error {
	return l.inAccount(ctx, user, func(a *mail.Account) error {
		m, err := a.OpenMailbox(ctx, mailbox, true)
		if err != nil {
			return err
		}
		defer m.Close()
		return fn(m)
	})
}

// contentReader reads a message as a stream.
type contentReader struct {
	content imapserver.Content
	offset  int64
	closers []io.Closer // what is open, the outermost first
}

func (r *contentReader) open(ctx context.Context, a *mail.Account, mailbox string, uid imap.UID) error {
	m, err := a.OpenMailbox(ctx, mailbox, true)
	if err != nil {
		return err
	}
	r.closers = append(r.closers, m)
	v := m.View()
	seq := v.Seq(uid)
	if seq == 0 {
		return errorf(NotFound, "there is no message %d in %q", uid, mailbox)
	}
	details, err := m.Details(ctx, v, imap.NumSetOf(uint32(seq)))
	if err != nil {
		return err
	}
	next, stop := iter.Pull2(m.Messages(ctx, details))
	defer stop()
	msg, err, _ := next()
	if err != nil {
		return err
	}
	r.closers = append(r.closers, msg)
	r.content, err = msg.Section(imap.Section{})
	return err
}

// Read implements io.Reader.
func (r *contentReader) Read(p []byte) (int, error) {
	n := min(int64(len(p)), r.content.Size()-r.offset)
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	w := sliceWriter{p[:0:n]}
	if err := r.content.WriteRange(&w, r.offset, n); err != nil {
		return 0, err
	}
	r.offset += n
	return int(n), nil
}

// Close implements io.Closer.
func (r *contentReader) Close() error {
	var err error
	for i := len(r.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, r.closers[i].Close())
	}
	r.closers = nil
	return err
}

// sliceWriter writes into the capacity of a slice.
type sliceWriter struct{ b []byte }

func (w *sliceWriter) Write(p []byte) (int, error) {
	n := copy(w.b[len(w.b):cap(w.b)], p)
	w.b = w.b[:len(w.b)+n]
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}
