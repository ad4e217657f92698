package admin

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"

	"tidemark/imap"
	"tidemark/internal/transfer"
)

// NewTarget returns the account of a user as a place for mail to be copied to.
func NewTarget(s Service, user string) transfer.Target { return &target{s, user} }

type target struct {
	service Service
	user    string
}

// Create implements transfer.Target.
func (t *target) Create(ctx context.Context, m transfer.Mailbox) error {
	return aboutMailbox(t.service.EnsureMailbox(ctx, t.user, m))
}

// Known implements transfer.Target.
func (t *target) Known(ctx context.Context, mailbox string, keys []string) ([]bool, error) {
	known, err := t.service.Imported(ctx, t.user, mailbox, keys)
	return known, aboutMailbox(err)
}

// Import implements transfer.Target.
func (t *target) Import(ctx context.Context, mailbox string, batch []transfer.Message) ([]transfer.Outcome, error) {
	outcomes, err := t.service.Import(ctx, t.user, mailbox, slices.Values(batch))
	return outcomes, aboutMailbox(err)
}

// aboutMailbox gives a refusal the form in which package transfer takes it for one of
// the mailbox at hand. That there is no such user is about everything.
func aboutMailbox(err error) error {
	if refusal, ok := errors.AsType[*Error](err); ok && refusal.Code == Invalid {
		return imap.Refuse(imap.CodeCannot, refusal.Text)
	}
	return err
}

// NewSource returns the account of a user as a place for mail to be copied from.
func NewSource(s Service, user string) transfer.Source { return &source{s, user} }

type source struct {
	service Service
	user    string
}

// Mailboxes implements transfer.Source.
func (s *source) Mailboxes(ctx context.Context) ([]transfer.Mailbox, error) {
	mailboxes, err := s.service.Mailboxes(ctx, s.user)
	if err != nil {
		return nil, err
	}
	list := make([]transfer.Mailbox, len(mailboxes))
	for i, m := range mailboxes {
		list[i] = transfer.Mailbox{
			Name: m.Name, Subscribed: m.Subscribed, UIDValidity: m.UIDValidity, Messages: int(m.Messages),
		}
	}
	return list, nil
}

// Messages implements transfer.Source.
func (s *source) Messages(ctx context.Context, mailbox string) iter.Seq2[transfer.Message, error] {
	return func(yield func(transfer.Message, error) bool) {
		messages, err := s.service.Messages(ctx, s.user, mailbox)
		if err != nil {
			yield(transfer.Message{}, err)
			return
		}
		for _, m := range messages {
			msg := transfer.Message{
				Key: m.Key, Name: m.Key, UID: m.UID, Flags: m.Flags, Date: m.Date, Size: m.Size,
				Open: func() (io.ReadCloser, error) { return s.service.OpenMessage(ctx, s.user, mailbox, m.UID) },
			}
			if !yield(msg, nil) {
				return
			}
		}
	}
}
