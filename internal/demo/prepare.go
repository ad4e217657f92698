package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"tidemark/imap"
	"tidemark/internal/admin"
	"tidemark/internal/transfer"
)

// Prepare makes the demonstration account and fills it, unless it is there already.
// Its generated password is kept in passwordFile. When it is broken off, it can be run
// again.
func Prepare(ctx context.Context, s admin.Service, passwordFile string, now time.Time) error {
	password, isNew, err := loadPassword(passwordFile)
	if err != nil {
		return err
	}
	err = s.AddUser(ctx, User, password)
	if refusal, ok := errors.AsType[*admin.Error](err); ok && refusal.Code == admin.Exists {
		err = nil
		if isNew {
			err = s.SetPassword(ctx, User, password)
		}
	}
	if err != nil {
		return fmt.Errorf("make the demo account: %w", err)
	}
	return fill(ctx, s, now)
}

// loadPassword reads the password, or makes one up and keeps it.
func loadPassword(file string) (password string, isNew bool, err error) {
	text, err := os.ReadFile(file)
	if err == nil {
		return strings.TrimSpace(string(text)), false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	password = strings.ToLower(rand.Text()[:16])
	return password, true, os.WriteFile(file, []byte(password+"\n"), 0o600)
}

// fill stores the messages unless the account has had them. INBOX comes last, so
// that a message in it says that all has been done.
func fill(ctx context.Context, s admin.Service, now time.Time) error {
	have, err := s.Mailboxes(ctx, User)
	if err != nil {
		return err
	}
	for _, m := range have {
		if m.Name == imap.Inbox && m.UIDNext > 1 {
			return nil
		}
	}
	messages := Messages(now)
	for _, mailbox := range append(Mailboxes(), imap.Inbox) {
		if err := fillMailbox(ctx, admin.NewTarget(s, User), mailbox, messages); err != nil {
			return fmt.Errorf("fill the demo mailbox %q: %w", mailbox, err)
		}
	}
	return nil
}

// fillMailbox makes a mailbox and puts those of the messages into it that belong there.
func fillMailbox(ctx context.Context, target transfer.Target, mailbox string, messages []Message) error {
	if err := target.Create(ctx, transfer.Mailbox{Name: mailbox, Subscribed: true}); err != nil {
		return err
	}
	var batch []transfer.Message
	for i, m := range messages {
		if m.Mailbox == mailbox {
			batch = append(batch, transferred(i, m))
		}
	}
	outcomes, err := target.Import(ctx, mailbox, batch)
	if err != nil {
		return err
	}
	for _, o := range outcomes {
		if o.Status == transfer.Refused {
			return errors.New(o.Reason)
		}
	}
	return nil
}

func transferred(number int, m Message) transfer.Message {
	return transfer.Message{
		Key:   fmt.Sprintf("demo-%d", number),
		Flags: m.Flags,
		Date:  m.Date,
		Size:  int64(len(m.Text)),
		Open:  func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m.Text)), nil },
	}
}
