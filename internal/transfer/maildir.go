package transfer

import (
	"context"
	"errors"
	"iter"
	"slices"

	"tidemark/imap"
	"tidemark/internal/maildir"
)

// MaildirSource reads a Maildir.
type MaildirSource struct {
	store  *maildir.Store
	folder *maildir.Folder // of the mailbox begun last
}

// OpenMaildir opens a Maildir to be copied from.
func OpenMaildir(path string, layout maildir.Layout) (*MaildirSource, error) {
	store, err := maildir.Open(path, layout)
	if err != nil {
		return nil, err
	}
	return &MaildirSource{store: store}, nil
}

// Close releases the Maildir.
func (s *MaildirSource) Close() error {
	s.closeFolder()
	return s.store.Close()
}

func (s *MaildirSource) closeFolder() {
	if s.folder != nil {
		s.folder.Close()
		s.folder = nil
	}
}

// Mailboxes lists the mailboxes. All count as subscribed where the Maildir has no
// list of subscriptions.
func (s *MaildirSource) Mailboxes(ctx context.Context) ([]Mailbox, error) {
	subscribed, err := s.store.Subscribed()
	if err != nil {
		return nil, err
	}
	var all []Mailbox
	for _, name := range s.store.Mailboxes() {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		m := Mailbox{Name: name, Subscribed: subscribed == nil || slices.Contains(subscribed, name), Messages: -1}
		// What is wrong with a mailbox is said when it is copied.
		if f, err := s.store.Folder(name); err == nil {
			m.UIDValidity = f.UIDValidity()
			if n, err := f.Count(); err == nil {
				m.Messages = n
			}
			f.Close()
		}
		all = append(all, m)
	}
	return all, nil
}

// Messages yields the messages of a mailbox.
func (s *MaildirSource) Messages(ctx context.Context, mailbox string) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		s.closeFolder()
		folder, err := s.store.Folder(mailbox)
		if err != nil {
			yield(Message{}, err)
			return
		}
		s.folder = folder
		for m, err := range folder.Messages() {
			if ctx.Err() != nil {
				return
			}
			out := Message{
				Key: makeKey("maildir", mailbox, m.Unique), Name: m.Unique, UID: m.UID,
				Flags: m.Flags, Date: m.Date, Size: m.Size, Open: m.Open,
			}
			if !yield(out, err) {
				return
			}
		}
	}
}

// MaildirTarget writes a Maildir, in which it follows the source: flags are set
// again in each run. What was put into the Maildir by others stays, and so do
// messages that the source has no longer.
type MaildirTarget struct {
	store *maildir.Store

	// The mailbox that is being written.
	mailbox      string
	writer       *maildir.Writer
	keywordsLost bool
}

// CreateMaildir opens a Maildir to be copied to, and makes it where it is missing.
func CreateMaildir(path string, layout maildir.Layout) (*MaildirTarget, error) {
	store, err := maildir.Create(path, layout)
	if err != nil {
		return nil, err
	}
	return &MaildirTarget{store: store}, nil
}

// Close releases the Maildir.
func (t *MaildirTarget) Close() error { return t.store.Close() }

// Create makes a mailbox.
func (t *MaildirTarget) Create(_ context.Context, m Mailbox) error {
	if err := t.open(m.Name); err != nil {
		return err
	}
	if m.Subscribed {
		return t.store.Subscribe(m.Name)
	}
	return nil
}

func (t *MaildirTarget) open(mailbox string) error {
	if t.writer != nil && t.mailbox == mailbox {
		return nil
	}
	if t.writer != nil {
		if err := t.writer.Close(); err != nil {
			return err
		}
	}
	w, err := t.store.Writer(mailbox)
	if errors.Is(err, maildir.ErrName) {
		return imap.Refuse(imap.CodeCannot, "name cannot be a directory")
	}
	if err != nil {
		return err
	}
	t.mailbox, t.writer, t.keywordsLost = mailbox, w, false
	return nil
}

// Known says which keys are there.
func (t *MaildirTarget) Known(_ context.Context, mailbox string, keys []string) ([]bool, error) {
	if err := t.open(mailbox); err != nil {
		return nil, err
	}
	known := make([]bool, len(keys))
	for i, k := range keys {
		known[i] = t.writer.Known(k)
	}
	return known, nil
}

// Import writes messages.
func (t *MaildirTarget) Import(ctx context.Context, mailbox string, batch []Message) ([]Outcome, error) {
	if err := t.open(mailbox); err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(batch))
	for i, m := range batch {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if t.writer.Known(m.Key) {
			outcomes[i].Status = Known
			continue
		}
		from := opened{open: m.Open}
		err := t.writer.Add(maildir.New{Key: m.Key, Flags: m.Flags, Date: m.Date, Open: from.Open})
		switch {
		case from.failed != nil:
			outcomes[i] = Outcome{Refused, from.failed.Error()}
		case errors.Is(err, maildir.ErrKeywords):
			t.keywordsLost = true
		case err != nil:
			return nil, err
		}
	}
	return outcomes, nil
}

// Refresh sets the flags of messages that were written earlier.
func (t *MaildirTarget) Refresh(ctx context.Context, mailbox string, known []Message) error {
	if err := t.open(mailbox); err != nil {
		return err
	}
	for _, m := range known {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := t.writer.SetFlags(m.Key, m.Flags)
		if errors.Is(err, maildir.ErrKeywords) {
			t.keywordsLost = true
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Finish brings the mailbox to the disk.
func (t *MaildirTarget) Finish(_ context.Context, mailbox string, _ bool) error {
	if t.writer == nil || t.mailbox != mailbox {
		return nil
	}
	err := t.writer.Close()
	t.writer = nil
	if err == nil && t.keywordsLost {
		return imap.Refuse(imap.CodeLimit, maildir.ErrKeywords.Error())
	}
	return err
}
