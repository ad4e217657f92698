// Package pamsource takes the users of the system, whose passwords are checked by PAM.
// PAM is a library in C: it is there only in programs built with cgo and the tag pam.
package pamsource

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"tidemark/imapserver"
	"tidemark/internal/auth"
	"tidemark/sasl"
)

const (
	// maxChecks is how many checks run at once. Modules may wait for other servers, and
	// each check holds a thread meanwhile.
	maxChecks = 8
	// timeout is how long a login waits for a check.
	timeout = 10 * time.Second
	// minUID is the first user who is a person, as in login.defs(5).
	minUID = 1000
)

// Options are the settings of New.
type Options struct {
	// Service is the name of a file in /etc/pam.d.
	Service string
	// ConfigDir is where that file is; empty for /etc/pam.d.
	ConfigDir string
	// LookupUser finds a user of the system; nil for user.Lookup.
	LookupUser func(name string) (*user.User, error)
}

// Source is the system as a source of users.
type Source struct {
	opts  Options
	slots *semaphore.Weighted
}

var _ auth.PasswordChecker = (*Source)(nil)

// ErrNotBuilt is returned by New of a program without PAM.
var ErrNotBuilt = errors.New("this program was built without PAM; build it with CGO_ENABLED=1 and -tags pam")

// New returns a source.
func New(opts Options) (*Source, error) {
	if !available {
		return nil, ErrNotBuilt
	}
	if opts.Service == "" || strings.ContainsAny(opts.Service, "/\x00") {
		return nil, fmt.Errorf("%q is not the name of a PAM service", opts.Service)
	}
	if opts.LookupUser == nil {
		opts.LookupUser = user.Lookup
	}
	return &Source{opts: opts, slots: semaphore.NewWeighted(maxChecks)}, nil
}

// Name implements auth.Source.
func (s *Source) Name() string { return "pam" }

// Scram implements auth.Source: PAM wants the password itself.
func (s *Source) Scram(sasl.ScramHash) bool { return false }

// Decoy implements auth.Source.
func (s *Source) Decoy() string { return "" }

// Lookup implements auth.Source. Users of the system that are not people are nobody:
// root above all, whose password is not one to be tried from the network.
func (s *Source) Lookup(_ context.Context, name string) (*auth.Record, error) {
	u, err := s.opts.LookupUser(name)
	_, unknown := errors.AsType[user.UnknownUserError](err)
	switch {
	case unknown:
		return nil, auth.ErrNoUser
	case err != nil:
		return nil, fmt.Errorf("pam: look up user: %w: %w", imapserver.ErrUnavailable, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil || uid < minUID || u.Username == "nobody" {
		return nil, auth.ErrNoUser
	}
	return &auth.Record{Name: name, Key: u.Username}, nil
}

// CheckPassword implements auth.PasswordChecker. A check that takes too long goes on
// for itself, since PAM cannot be interrupted.
func (s *Source) CheckPassword(ctx context.Context, r *auth.Record, password string) error {
	if password == "" || strings.ContainsRune(password, 0) {
		return auth.ErrWrongPassword
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := s.slots.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("pam: wait for others: %w: %w", imapserver.ErrUnavailable, err)
	}
	result := make(chan error, 1)
	go func() {
		defer s.slots.Release(1)
		result <- authenticate(s.opts.Service, s.opts.ConfigDir, r.Key, password)
	}()
	select {
	case err := <-result:
		if err != nil && !errors.Is(err, auth.ErrWrongPassword) {
			return fmt.Errorf("pam: %w: %w", imapserver.ErrUnavailable, err)
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("pam: %w: %w", imapserver.ErrUnavailable, context.Cause(ctx))
	}
}
