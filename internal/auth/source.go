package auth

import (
	"context"
	"errors"
	"net/netip"

	"tidemark/sasl"
)

// ErrNoUser is returned by a source for a user that it does not know.
var ErrNoUser = errors.New("no such user")

// ErrWrongPassword is returned by a PasswordChecker.
var ErrWrongPassword = errors.New("wrong password")

// Source is a place where users come from. Sources are asked in order; the first
// that knows a user decides. Methods may be called concurrently.
type Source interface {
	// Name is the source's name in logs.
	Name() string
	// Lookup returns the user's record, which is shared and must not be changed, or
	// ErrNoUser. Any other error means that the source could not be asked: the login
	// fails as unavailable, not as wrong. user is as sasl.PrepareName gives it.
	Lookup(ctx context.Context, user string) (*Record, error)
	// Scram says whether all users of the source can log in by the SCRAM mechanisms
	// of h. They are offered only if that holds for every source, because a client
	// chooses the mechanism before it names the user.
	Scram(h sasl.ScramHash) bool
	// Decoy returns a hash of the kind that the source's users have, to be checked
	// in vain for users that do not exist; empty where the source has no hashes.
	Decoy() string
}

// PasswordChecker is a Source that keeps passwords to itself and checks them, such
// as a directory server. Its records have no Hash.
type PasswordChecker interface {
	Source
	// CheckPassword returns nil if the password is right, ErrWrongPassword if it is
	// not, and any other error if that is not known.
	CheckPassword(ctx context.Context, r *Record, password string) error
}

// Recorder is a Source that can write down what a login has shown.
type Recorder interface {
	Source
	// Upgrade replaces an older hash of the password, which was right, unless the record
	// has changed since.
	Upgrade(ctx context.Context, r *Record, password string) error
	// AppPasswordUsed notes that an app password was used now.
	AppPasswordUsed(ctx context.Context, r *Record, name string) error
	// LoggedInFrom notes a network from which the user has not logged in before.
	LoggedInFrom(ctx context.Context, r *Record, network netip.Prefix) error
}

// lookup asks the sources for a user. Without one it returns ErrNoUser.
func (a *Authenticator) lookup(ctx context.Context, user string) (*Record, Source, error) {
	if user == "" {
		return nil, nil, ErrNoUser
	}
	for _, s := range a.opts.Sources {
		r, err := s.Lookup(ctx, user)
		if errors.Is(err, ErrNoUser) {
			continue
		}
		return r, s, err
	}
	return nil, nil, ErrNoUser
}

// decoy returns a hash to check in vain.
func (a *Authenticator) decoy() string {
	for _, s := range a.opts.Sources {
		if d := s.Decoy(); d != "" {
			return d
		}
	}
	return a.opts.Hasher.Decoy()
}
