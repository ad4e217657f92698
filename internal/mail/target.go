package mail

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
	"tidemark/internal/transfer"
)

// Target makes the account an end to which mail is copied (transfer.Target).
type Target struct{ *Account }

var _ transfer.Target = Target{}

// Create makes a mailbox where it is missing, and subscribes to it if m says so.
func (t Target) Create(ctx context.Context, m transfer.Mailbox) error {
	_, err := t.Account.Create(ctx, m.Name, nil)
	var refusal *imap.Error
	if errors.As(err, &refusal) && refusal.Code == imap.CodeAlreadyExists {
		err = nil
	}
	if err != nil || !m.Subscribed {
		return stopWhenFull(err)
	}
	return stopWhenFull(t.Subscribe(ctx, m.Name, true))
}

// Known says which messages have been stored under these keys.
func (t Target) Known(ctx context.Context, mailbox string, keys []string) ([]bool, error) {
	hashes := make([][]byte, len(keys))
	for i, k := range keys {
		hashes[i] = importHash(mailbox, k)
	}
	return t.Imported(ctx, hashes)
}

// importHash names a message of an import within the account.
func importHash(mailbox, key string) []byte {
	sum := sha256.Sum256([]byte(canonical(mailbox) + "\x00" + key))
	return sum[:16]
}

// Import stores the messages that are not known yet, in one transaction.
func (t Target) Import(
	ctx context.Context, mailbox string, batch []transfer.Message,
) ([]transfer.Outcome, error) {
	keys := make([]string, len(batch))
	for i, m := range batch {
		keys[i] = m.Key
	}
	known, err := t.Known(ctx, mailbox, keys)
	if err != nil {
		return nil, err
	}
	outcomes := make([]transfer.Outcome, len(batch))
	var msgs []ImportMessage
	defer func() {
		for _, m := range msgs {
			m.Upload.Abort()
		}
	}()
	for i, m := range batch {
		if known[i] {
			outcomes[i].Status = transfer.Known
			continue
		}
		up, err := t.upload(ctx, m)
		var refusal *imap.Error
		if errors.As(err, &refusal) && !errors.Is(err, store.ErrFull) {
			outcomes[i] = transfer.Outcome{Status: transfer.Refused, Reason: refusal.Text}
			continue
		}
		if err != nil {
			return nil, stopWhenFull(err)
		}
		known[i] = true // a second one of that key in the batch is left out
		msgs = append(msgs, ImportMessage{importHash(mailbox, m.Key), up, m.Flags, m.Date})
	}
	if len(msgs) == 0 {
		return outcomes, nil
	}
	_, err = t.Account.Import(ctx, mailbox, msgs)
	return outcomes, stopWhenFull(err)
}

// upload reads one message of the source.
func (t Target) upload(ctx context.Context, m transfer.Message) (up imapserver.Upload, err error) {
	if up, err = t.NewImport(ctx, m.Size); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			up.Abort()
		}
	}()
	r, err := m.Open()
	if err != nil {
		return nil, imap.Refuse(imap.CodeCannot, fmt.Sprintf("The message cannot be read: %v", err))
	}
	defer r.Close()
	src := &sourceReader{r: r}
	if _, err = io.Copy(up, src); src.err != nil {
		err = imap.Refuse(imap.CodeCannot, fmt.Sprintf("The message cannot be read: %v", src.err))
	}
	return up, err
}

// sourceReader remembers whether it was the reading that failed.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// stopWhenFull turns the refusal for want of room, after which the other messages need
// not be tried, into an error that ends the copy.
func stopWhenFull(err error) error {
	if errors.Is(err, store.ErrFull) {
		return store.ErrFull
	}
	return err
}

// Source makes the account an end from which mail is copied (transfer.Source).
type Source struct{ *Account }

var _ transfer.Source = Source{}

// Mailboxes lists the account's mailboxes.
func (s Source) Mailboxes(ctx context.Context) ([]transfer.Mailbox, error) {
	infos, err := s.Account.Mailboxes(ctx)
	if err != nil {
		return nil, err
	}
	var out []transfer.Mailbox
	for _, info := range infos {
		if info.NonExistent {
			continue
		}
		st, err := s.Status(ctx, info.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, transfer.Mailbox{
			Name: info.Name, Subscribed: info.Subscribed, UIDValidity: st.UIDValidity, Messages: int(st.Messages),
		})
	}
	return out, nil
}

// Messages yields the messages of a mailbox as they are now, by UID. The key is the
// UIDVALIDITY and UID.
func (s Source) Messages(ctx context.Context, mailbox string) iter.Seq2[transfer.Message, error] {
	return func(yield func(transfer.Message, error) bool) {
		m, err := s.OpenMailbox(ctx, mailbox, true)
		if err != nil {
			yield(transfer.Message{}, err)
			return
		}
		defer m.Close()
		v := m.View()
		for seq, row := range v.Rows(imap.NumSet{{Start: 1, Stop: v.Len()}}) {
			details, err := m.Details(ctx, v, imap.NumSetOf(uint32(seq)))
			if err != nil {
				yield(transfer.Message{}, err)
				return
			}
			msg := transfer.Message{
				Key:   fmt.Sprintf("%d-%d", m.UIDValidity(), row.UID),
				Name:  fmt.Sprintf("UID %d", row.UID),
				UID:   row.UID,
				Flags: row.Flags.Flags(),
				Date:  details[0].InternalDate.Time(),
				Size:  int64(details[0].Size),
				Open:  func() (io.ReadCloser, error) { return openMessage(ctx, m, details[0]) },
			}
			if !yield(msg, ctx.Err()) || ctx.Err() != nil {
				return
			}
		}
	}
}

// openMessage opens the octets of a message.
func openMessage(ctx context.Context, m imapserver.Mailbox, details imapserver.Details) (io.ReadCloser, error) {
	msg, err := m.Message(ctx, details)
	if err != nil {
		return nil, err
	}
	blob := msg.(*content).blob
	return readCloser{io.NewSectionReader(blob, 0, blob.Size()), msg}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}
