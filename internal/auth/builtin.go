package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"tidemark/sasl"
)

// Directory keeps the records of the built-in users as bytes that it need not
// understand, under the user's name as sasl.PrepareName gives it. Which users
// there are is the directory's matter. Methods may be called concurrently.
type Directory interface {
	// Credentials returns what UpdateCredentials stored last, nil if that was never
	// called for the user; nobody may change it. found says whether there is such a user.
	Credentials(ctx context.Context, user string) (record []byte, found bool, err error)
	// UpdateCredentials replaces the user's record by what change makes of it, in
	// one transaction that is durable on return. change may run more than once; its
	// error is returned unchanged and leaves the record as it is.
	UpdateCredentials(ctx context.Context, user string, change func(old []byte) ([]byte, error)) (found bool, err error)
}

// Builtin is the source of the users who live in Tidemark's own store, and the
// means to change their passwords.
type Builtin struct {
	dir    Directory
	hasher *Hasher
	policy Policy
	now    func() time.Time

	mu      sync.Mutex
	decoded *simplelru.LRU[string, decoded] // by the user's name
}

// decoded is a record and what it was decoded from.
type decoded struct {
	data   []byte
	record *Record
}

// maxDecoded bounds the records that are kept decoded: to decode one takes longer than all
// else that a login by a remembered password needs of it.
const maxDecoded = 4096

// NewBuiltin returns the built-in source. now may be nil for time.Now.
func NewBuiltin(dir Directory, hasher *Hasher, policy Policy, now func() time.Time) *Builtin {
	if now == nil {
		now = time.Now
	}
	return &Builtin{dir: dir, hasher: hasher, policy: policy, now: now, decoded: newLRU[string, decoded](maxDecoded)}
}

// Name implements Source.
func (b *Builtin) Name() string { return "builtin" }

// Scram implements Source. Keys are made whenever a password is set.
func (b *Builtin) Scram(h sasl.ScramHash) bool { return h == sasl.SHA256 }

// Decoy implements Source.
func (b *Builtin) Decoy() string { return b.hasher.Decoy() }

// Lookup implements Source.
func (b *Builtin) Lookup(ctx context.Context, user string) (*Record, error) {
	data, found, err := b.dir.Credentials(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("look up user: %w", err)
	}
	if !found {
		return nil, ErrNoUser
	}
	return b.decode(user, data)
}

// decode is decodeRecord for data that was perhaps decoded before.
func (b *Builtin) decode(user string, data []byte) (*Record, error) {
	b.mu.Lock()
	d, _ := b.decoded.Get(user)
	b.mu.Unlock()
	if d.record != nil && bytes.Equal(d.data, data) {
		return d.record, nil
	}
	r, err := decodeRecord(user, data)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.decoded.Add(user, decoded{data, r})
	return r, nil
}

func decodeRecord(user string, data []byte) (*Record, error) {
	r := &Record{Name: user}
	if len(data) == 0 {
		return r, nil
	}
	return r, r.UnmarshalBinary(data)
}

// update changes a user's record in one transaction.
func (b *Builtin) update(ctx context.Context, user string, change func(*Record) error) error {
	found, err := b.dir.UpdateCredentials(ctx, user, func(old []byte) ([]byte, error) {
		r, err := decodeRecord(user, old)
		if err != nil {
			return nil, err
		}
		if err := change(r); err != nil {
			return nil, err
		}
		return r.MarshalBinary()
	})
	if err == nil && !found {
		err = ErrNoUser
	}
	return err
}

// SetPassword gives a user a new password, for logins of every kind. App passwords go
// on to be good. To end the sessions that are open is the caller's part.
func (b *Builtin) SetPassword(ctx context.Context, user, password string) error {
	if err := b.policy.Check(password); err != nil {
		return err
	}
	r, err := b.Lookup(ctx, user)
	if err != nil {
		return err
	}
	return b.storePassword(ctx, r, password, nil)
}

// errChanged says that a record is no longer the one that new hashes were made for.
var errChanged = errors.New("user record has changed meanwhile")

// storePassword replaces the hash and SCRAM keys of r's user. unless, if not nil,
// refuses the record as it is by then.
func (b *Builtin) storePassword(ctx context.Context, r *Record, password string, unless func(*Record) error) error {
	// Hashing is too slow for a transaction. So it is done for the salt that the
	// record has, and done again should the record have another by then.
	for range 3 {
		hash, err := b.hasher.Hash(ctx, password)
		if err != nil {
			return err
		}
		scram, err := b.newScram(ctx, r, password)
		if err != nil {
			return err
		}
		err = b.update(ctx, r.Name, func(now *Record) error {
			if unless != nil {
				if err := unless(now); err != nil {
					return err
				}
			}
			if len(now.AppPasswords) > 0 && (now.Scram == nil || !bytes.Equal(now.Scram.Salt, scram.Salt)) {
				return errChanged
			}
			now.Hash, now.Scram = hash, scram
			return nil
		})
		if !errors.Is(err, errChanged) || unless != nil {
			return err
		}
		if r, err = b.Lookup(ctx, r.Name); err != nil {
			return err
		}
	}
	return errChanged
}

// newScram makes the keys of a new password. The salt stays where there are app
// passwords: a SCRAM server tells the client one salt before it knows which of the
// user's passwords the client has, so that all must share it.
func (b *Builtin) newScram(ctx context.Context, r *Record, password string) (*ScramRecord, error) {
	s := &ScramRecord{Salt: randomBytes(16), Iterations: b.hasher.scram}
	if r.Scram != nil && len(r.AppPasswords) > 0 {
		s.Salt = r.Scram.Salt
	}
	keys, err := b.hasher.Scram(ctx, password, s.Salt)
	if err != nil {
		return nil, err
	}
	s.SHA256 = &keys
	return s, nil
}

// Upgrade implements Recorder: it replaces an older hash of a right password.
func (b *Builtin) Upgrade(ctx context.Context, r *Record, password string) error {
	old := r.Hash
	return b.storePassword(ctx, r, password, func(now *Record) error {
		if now.Hash != old {
			return errChanged
		}
		return nil
	})
}

// ErrHash says that a hash cannot be taken.
var ErrHash = errors.New("hash not acceptable")

// CheckHash returns nil or an error that wraps ErrHash and does not repeat the hash.
func (b *Builtin) CheckHash(hash string) error {
	_, err := b.readHash(hash)
	return err
}

func (b *Builtin) readHash(hash string) (*Record, error) {
	r := &Record{}
	err := r.setHash(hash, b.policy.AllowWeakHashes)
	if err == nil {
		// Some show only to a password what is wrong with them.
		_, err = verifyHash(hash, "x")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHash, err)
	}
	return r, nil
}

// SetHash gives a user the hash of a password, such as one from another server, with its
// scheme in braces or in the form of crypt(3). It is replaced by one of ours when the user
// logs in by the password itself.
func (b *Builtin) SetHash(ctx context.Context, user, hash string) error {
	given, err := b.readHash(hash)
	if err != nil {
		return err
	}
	return b.update(ctx, user, func(r *Record) error {
		r.Hash = given.Hash
		switch {
		case len(r.AppPasswords) == 0:
			r.Scram = given.Scram
		case r.Scram != nil:
			r.Scram.SHA256 = nil // the salt stays: it is that of the app passwords
		}
		return nil
	})
}

// SetDisabled forbids or allows a user to log in.
func (b *Builtin) SetDisabled(ctx context.Context, user string, disabled bool) error {
	return b.update(ctx, user, func(r *Record) error {
		r.Disabled = disabled
		return nil
	})
}

// SetMaster allows or forbids a user to act as others.
func (b *Builtin) SetMaster(ctx context.Context, user string, master bool) error {
	return b.update(ctx, user, func(r *Record) error {
		r.Master = master
		return nil
	})
}

const (
	// maxAppPasswords bounds the work of a login by SCRAM, which tries each.
	maxAppPasswords = 50
	// maxAppPasswordName is the longest name of an app password, in octets.
	maxAppPasswordName = 100
)

// Errors of the methods for app passwords.
var (
	ErrAppPasswordName    = fmt.Errorf("the name of an app password is one line of 1 to %d octets", maxAppPasswordName)
	ErrAppPasswordExists  = errors.New("there is an app password of that name")
	ErrNoAppPassword      = errors.New("no app password of that name")
	ErrTooManyAppPassword = fmt.Errorf("a user can have %d app passwords", maxAppPasswords)
)

// AddAppPassword makes up a further password and returns it; it can never be seen
// again. expires may be zero for never.
func (b *Builtin) AddAppPassword(ctx context.Context, user, name string, expires time.Time) (string, error) {
	if !isAppPasswordName(name) {
		return "", ErrAppPasswordName
	}
	r, err := b.Lookup(ctx, user)
	if err != nil {
		return "", err
	}
	scram := r.Scram
	if scram == nil {
		scram = &ScramRecord{Salt: randomBytes(16), Iterations: b.hasher.scram}
	}
	p, password := newAppPassword(name, b.now())
	p.Expires = expires
	keys, err := b.hasher.Scram(ctx, password, scram.Salt)
	if err != nil {
		return "", err
	}
	p.Scram = &keys
	return password, b.update(ctx, user, func(now *Record) error {
		switch {
		case now.appPassword(name) != nil:
			return ErrAppPasswordExists
		case len(now.AppPasswords) >= maxAppPasswords:
			return ErrTooManyAppPassword
		case now.Scram == nil:
			now.Scram = scram
		case !bytes.Equal(now.Scram.Salt, scram.Salt):
			return errChanged
		}
		now.AppPasswords = append(now.AppPasswords, p)
		return nil
	})
}

func isAppPasswordName(name string) bool {
	return name != "" && len(name) <= maxAppPasswordName && utf8.ValidString(name) &&
		strings.IndexFunc(name, unicode.IsControl) < 0
}

// RevokeAppPassword removes an app password.
func (b *Builtin) RevokeAppPassword(ctx context.Context, user, name string) error {
	return b.update(ctx, user, func(r *Record) error {
		if r.appPassword(name) == nil {
			return ErrNoAppPassword
		}
		r.AppPasswords = slices.DeleteFunc(r.AppPasswords, func(p AppPassword) bool { return p.Name == name })
		return nil
	})
}

// AppPasswordUsed implements Recorder. It writes at most once an hour.
func (b *Builtin) AppPasswordUsed(ctx context.Context, r *Record, name string) error {
	now := b.now().Truncate(time.Hour).UTC()
	if p := r.appPassword(name); p == nil || !p.LastUsed.Before(now) {
		return nil
	}
	return b.update(ctx, r.Name, func(r *Record) error {
		if p := r.appPassword(name); p != nil {
			p.LastUsed = now
		}
		return nil
	})
}

// LoggedInFrom implements Recorder. It keeps the latest networks.
func (b *Builtin) LoggedInFrom(ctx context.Context, r *Record, network netip.Prefix) error {
	return b.update(ctx, r.Name, func(r *Record) error {
		r.Homes = slices.DeleteFunc(r.Homes, func(p netip.Prefix) bool { return p == network })
		r.Homes = append(r.Homes, network)
		r.Homes = r.Homes[max(0, len(r.Homes)-maxHomesPerUser):]
		return nil
	})
}

func (r *Record) appPassword(name string) *AppPassword {
	for i := range r.AppPasswords {
		if r.AppPasswords[i].Name == name {
			return &r.AppPasswords[i]
		}
	}
	return nil
}
