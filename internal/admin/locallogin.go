package admin

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"tidemark/internal/auth"
)

// AppPasswords implements Service.
func (l *Local) AppPasswords(ctx context.Context, user string) ([]AppPassword, error) {
	user, err := prepareName(user)
	if err != nil {
		return nil, err
	}
	record, err := l.users.Lookup(ctx, user)
	if err != nil {
		return nil, explain(user, err)
	}
	list := make([]AppPassword, 0, len(record.AppPasswords))
	for _, p := range record.AppPasswords {
		list = append(list, AppPassword{Name: p.Name, Created: p.Created, Expires: p.Expires, LastUsed: p.LastUsed})
	}
	return list, nil
}

// AddAppPassword implements Service.
func (l *Local) AddAppPassword(ctx context.Context, user, name string, expires time.Time) (password string, err error) {
	err = l.changed(user, "", func(user string) error {
		password, err = l.users.AddAppPassword(ctx, user, name, expires)
		return err
	})
	return password, err
}

// RevokeAppPassword implements Service. All of the user's sessions end, since which of
// them came by that password is not known; those of other devices come back at once.
func (l *Local) RevokeAppPassword(ctx context.Context, user, name string) error {
	return l.changed(user, "app password revoked", func(user string) error {
		return l.users.RevokeAppPassword(ctx, user, name)
	})
}

var errNotRunning = errorf(NotRunning,
	"no server is running on this data directory; failed logins are counted in its memory alone")

// Penalties implements Service.
func (l *Local) Penalties(context.Context) ([]auth.Penalty, error) {
	if l.guard == nil {
		return nil, errNotRunning
	}
	return notNil(l.guard.Penalties()), nil
}

// WhySlow implements Service.
func (l *Local) WhySlow(ctx context.Context, addressOrUser string) (Standing, error) {
	if l.guard == nil {
		return Standing{}, errNotRunning
	}
	if address, err := netip.ParseAddr(addressOrUser); err == nil {
		return Standing{Penalties: notNil(l.guard.Why(address))}, nil
	}
	user, err := prepareName(addressOrUser)
	if err != nil {
		return Standing{}, err
	}
	obstacle, err := l.obstacle(ctx, user)
	return Standing{User: user, Obstacle: obstacle, Penalties: notNil(l.guard.WhyUser(user))}, err
}

// obstacle says what keeps a user out whatever the password.
func (l *Local) obstacle(ctx context.Context, user string) (string, error) {
	record, err := l.users.Lookup(ctx, user)
	switch {
	case errors.Is(err, auth.ErrNoUser):
		return "the data directory has no such user", nil
	case err != nil:
		return "", err
	case record.Disabled:
		return "the user is disabled", nil
	case record.Hash == "" && len(record.AppPasswords) == 0:
		return "the user has no password", nil
	case len(record.Networks) > 0:
		var networks []string
		for _, n := range record.Networks {
			networks = append(networks, n.String())
		}
		return "the user may come from these networks only: " + strings.Join(networks, " "), nil
	}
	return "", nil
}

// Unban implements Service.
func (l *Local) Unban(_ context.Context, networkOrUser string) (int, error) {
	if l.guard == nil {
		return 0, errNotRunning
	}
	if networks, err := auth.ParseNetworks(networkOrUser); err == nil {
		n := 0
		for _, network := range networks {
			n += l.guard.Unban(network)
		}
		return n, nil
	}
	user, err := prepareName(networkOrUser)
	if err != nil {
		return 0, err
	}
	return l.guard.UnbanUser(user), nil
}

// notNil makes an empty list one in JSON too.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
