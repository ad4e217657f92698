package daemon

import (
	"context"
	"errors"

	"tidemark/imapserver"
	"tidemark/internal/auth"
	"tidemark/internal/lmtp"
	"tidemark/internal/mail"
	"tidemark/sasl"
)

// directory keeps the records of package auth with the users of package mail. A user
// whose record is empty has a mailbox here and a password elsewhere.
type directory struct{ mail *mail.Service }

var _ auth.Directory = directory{}

// Credentials implements auth.Directory.
func (d directory) Credentials(ctx context.Context, user string) ([]byte, bool, error) {
	u, err := d.mail.User(ctx, user)
	if errors.Is(err, mail.ErrNoUser) {
		return nil, false, nil
	}
	return u.Auth, len(u.Auth) > 0, err
}

// UpdateCredentials implements auth.Directory.
func (d directory) UpdateCredentials(ctx context.Context, user string, change func([]byte) ([]byte, error)) (bool, error) {
	err := d.mail.UpdateAuth(ctx, user, change)
	if errors.Is(err, mail.ErrNoUser) {
		return false, nil
	}
	return true, err
}

// accounts opens the accounts of users from all sources, and makes the account of
// one whom another source than our own store knows when it is first needed.
type accounts struct {
	mail    *mail.Service
	sources []auth.Source
}

var (
	_ imapserver.Backend = (*accounts)(nil)
	_ lmtp.Backend       = (*accounts)(nil)
)

// OpenAccount implements imapserver.Backend.
func (a *accounts) OpenAccount(ctx context.Context, id sasl.Identity) (imapserver.Account, error) {
	return a.open(ctx, id.User)
}

// OpenRecipient implements lmtp.Backend.
func (a *accounts) OpenRecipient(ctx context.Context, user string) (lmtp.Account, error) {
	name, err := sasl.PrepareName(user)
	if err != nil {
		return nil, lmtp.ErrNoUser
	}
	for _, source := range a.sources {
		record, err := source.Lookup(ctx, name)
		switch {
		case errors.Is(err, auth.ErrNoUser):
			continue
		case err != nil:
			return nil, err
		case record.Presumed:
			continue // the next source knows those who have logged in
		case record.Disabled:
			return nil, lmtp.ErrDisabled
		}
		return a.open(ctx, record.Name)
	}
	return nil, lmtp.ErrNoUser
}

func (a *accounts) open(ctx context.Context, user string) (*mail.Account, error) {
	account, err := a.mail.Account(ctx, user)
	if !errors.Is(err, mail.ErrNoUser) {
		return account, err
	}
	if err := a.mail.CreateUser(ctx, user, nil); err != nil && !errors.Is(err, mail.ErrUserExists) {
		return nil, err
	}
	return a.mail.Account(ctx, user)
}
