// Package mail has the rules: what a mailbox is and how it changes. It keeps each
// mailbox as a log of changes (logRecord), from which versions of the mailbox (view) are
// made; it implements the ports of package imapserver and serves delivery, import and
// administration alike, so that no rule is written twice.
//
// What is in memory is a cache of the log at a known MODSEQ. A change is made by
// mailbox.update: within a transaction of the store the newest view is brought up to
// date, a record is computed and written, and once it is durable the next view is
// published to the sessions that watch the mailbox.
package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
	"tidemark/sasl"
)

// Limits of an account. The zero value of a field means the default.
type Limits struct {
	MessageSize int64 // octets of one message; 50 MB
	Mailboxes   int   // mailboxes of an account; 10,000
	Keywords    int   // keywords of a mailbox; 1,000
}

func (l *Limits) setDefaults() {
	if l.MessageSize == 0 {
		l.MessageSize = 50 << 20
	}
	if l.Mailboxes == 0 {
		l.Mailboxes = 10_000
	}
	if l.Keywords == 0 {
		l.Keywords = 1_000
	}
}

// Options configure a Service.
type Options struct {
	Engine store.Engine
	Logger *slog.Logger // nil discards
	Limits Limits
	Now    func() time.Time // nil: time.Now
	// CacheSize is about how many octets of mailboxes that nobody has open are kept in
	// memory; 0 means 64 MiB.
	CacheSize int
}

// Service is the mail of all accounts on one engine. Its methods may be called
// concurrently. It does not own the engine.
type Service struct {
	engine store.Engine
	log    *slog.Logger
	limits Limits
	now    func() time.Time

	users answers[*knownUser]

	mu       sync.Mutex
	accounts map[store.AccountID]*account
	idle     idleList

	collector     *collector
	keeper        *keeper
	searchHelpers searchHelpers
}

// New returns a Service and starts its housekeeping, which Close ends.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CacheSize == 0 {
		o.CacheSize = 64 << 20
	}
	o.Limits.setDefaults()
	s := &Service{
		engine:        o.Engine,
		log:           o.Logger,
		limits:        o.Limits,
		now:           o.Now,
		accounts:      make(map[store.AccountID]*account),
		searchHelpers: newSearchHelpers(),
	}
	s.users.limit = knownUsers
	s.idle.limit = o.CacheSize
	s.collector = startCollector(s)
	s.keeper = startKeeper(s)
	return s
}

// Close ends the housekeeping and waits for it. No session may be left.
func (s *Service) Close() {
	s.collector.close()
	s.keeper.close()
}

// Limits returns the limits in force.
func (s *Service) Limits() Limits { return s.limits }

// OpenAccount opens the account of an authenticated user (imapserver.Backend).
func (s *Service) OpenAccount(ctx context.Context, id sasl.Identity) (imapserver.Account, error) {
	return s.Account(ctx, id.User)
}

// Account opens the account of the named user for one session or one task.
func (s *Service) Account(ctx context.Context, user string) (*Account, error) {
	u, err := s.user(ctx, user)
	if err != nil {
		return nil, err
	}
	a := s.acquireAccount(u.ID)
	if err := a.ensureInbox(ctx, u); err != nil {
		s.releaseAccount(a)
		return nil, err
	}
	return &Account{account: a, user: user}, nil
}

// account is what this process knows of an account. It lives as long as somebody
// refers to it or one of its mailboxes is cached.
type account struct {
	svc *Service
	id  store.AccountID

	refs int                    // under svc.mu
	byID map[mailboxID]*mailbox // mailboxes, under svc.mu

	list  listCache
	names answers[mailboxID]
}

func (s *Service) acquireAccount(id store.AccountID) *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[id]
	if a == nil {
		a = &account{svc: s, id: id, byID: make(map[mailboxID]*mailbox)}
		a.names.limit = knownNames
		s.accounts[id] = a
	}
	a.refs++
	return a
}

func (s *Service) releaseAccount(a *account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.refs--
	s.forgetAccount(a)
}

// forgetAccount drops an account that nothing refers to. svc.mu is held.
func (s *Service) forgetAccount(a *account) {
	if a.refs == 0 && len(a.byID) == 0 && s.accounts[a.id] == a {
		delete(s.accounts, a.id)
	}
}

// acquire returns the shared state of a mailbox, which the caller must release.
// Nothing is read: whether the mailbox exists shows when it is loaded.
func (a *account) acquire(id mailboxID) *mailbox {
	s := a.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	m := a.byID[id]
	if m == nil {
		m = &mailbox{account: a, id: id, table: newFlagTable(), watchers: make(map[*watcher]struct{})}
		a.byID[id] = m
	}
	if m.refs == 0 {
		s.idle.remove(m)
	}
	m.refs++
	return m
}

// mailboxes returns those that are in memory. The caller holds none of them.
func (s *Service) mailboxes() (all []*mailbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.accounts {
		for _, m := range a.byID {
			all = append(all, m)
		}
	}
	return all
}

// hold makes one more user of a mailbox that has one already.
func (a *account) hold(m *mailbox) {
	a.svc.mu.Lock()
	defer a.svc.mu.Unlock()
	m.refs++
}

func (a *account) release(m *mailbox) {
	s := a.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	m.refs--
	if m.refs > 0 {
		return
	}
	if m.gone.Load() {
		s.forgetMailbox(m)
		return
	}
	for _, old := range s.idle.add(m) {
		s.forgetMailbox(old)
	}
}

// forgetMailbox drops a mailbox from memory. svc.mu is held.
func (s *Service) forgetMailbox(m *mailbox) {
	delete(m.account.byID, m.id)
	s.forgetAccount(m.account)
}

// newUIDValidity returns a UIDVALIDITY that is larger than any that the account
// has used, whatever the clock says (RFC 9051 §2.3.1.1).
func (s *Service) newUIDValidity(a *accountMeta) uint32 {
	a.LastUIDValidity = max(a.LastUIDValidity+1, uint32(min(max(s.now().Unix(), 0), 1<<32-1)))
	return a.LastUIDValidity
}

// unavailable marks errors that are about the storage's condition, so that clients
// are told to try again later and not that the server is broken.
type unavailable struct{ err error }

func (u unavailable) Error() string        { return u.err.Error() }
func (u unavailable) Unwrap() error        { return u.err }
func (u unavailable) Is(target error) bool { return target == imapserver.ErrUnavailable }

// fault gives an error of the store the form in which clients may be told of it:
// a full disk is OVERQUOTA, failed storage is UNAVAILABLE, damage is CORRUPTION of the
// one thing that was read.
func (s *Service) fault(err error) error {
	_, refused := errors.AsType[*imap.Error](err)
	switch {
	case err == nil, refused:
		return err
	case errors.Is(err, store.ErrFull):
		s.collector.hurry()
		return fmt.Errorf("%w (%w)", imap.Refuse(imap.CodeOverQuota, "No space left on the server"), err)
	case errors.Is(err, store.ErrFailed), errors.Is(err, store.ErrClosed):
		return unavailable{err}
	case errors.Is(err, store.ErrCorrupt):
		s.log.Error("damaged data", "error", err)
		return fmt.Errorf("%w (%w)", imap.Refuse(imap.CodeCorruption, "Stored data is damaged"), err)
	}
	return err
}
