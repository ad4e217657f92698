package mail

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"tidemark/internal/store"
)

// Errors about users; test with errors.Is.
var (
	ErrNoUser     = errors.New("no such user")
	ErrUserExists = errors.New("the user exists")
)

const (
	userVersion   = 1
	systemVersion = 1
)

// User is a person with an account. Names are kept as given: whoever takes them
// from outside brings them into their normal form.
type User struct {
	Name    string
	ID      store.AccountID
	Created time.Time
	// Auth belongs to package auth: how the user proves who he is.
	Auth []byte
}

func (u *User) encode() []byte {
	b := binary.AppendUvarint([]byte{userVersion}, uint64(u.ID))
	b = binary.AppendVarint(b, u.Created.Unix())
	return appendField(b, u.Auth)
}

func decodeUser(b []byte) (*User, error) {
	r := newReader(b, userVersion, "user")
	u := &User{ID: store.AccountID(r.uint()), Created: time.Unix(r.int(), 0).UTC()}
	u.Auth = append(u.Auth, r.bytes()...)
	return u, r.done()
}

// systemRecord has what is counted for all accounts.
type systemRecord struct {
	LastAccount store.AccountID
}

func (s *systemRecord) encode() []byte {
	return binary.AppendUvarint([]byte{systemVersion}, uint64(s.LastAccount))
}

func decodeSystemRecord(b []byte) (*systemRecord, error) {
	r := newReader(b, systemVersion, "system")
	s := &systemRecord{LastAccount: store.AccountID(r.uint())}
	return s, r.done()
}

// knownUsers bounds the users who are remembered.
const knownUsers = 10_000

// knownUser is a user who is remembered.
type knownUser struct {
	User              // not to be changed
	inbox atomic.Bool // the account has an INBOX: one that has, has it for life
}

// user returns a user, or ErrNoUser.
func (s *Service) user(ctx context.Context, name string) (*knownUser, error) {
	known, state, ok := s.users.get(name)
	if ok {
		return known, nil
	}
	err := s.engine.View(ctx, systemAccount, func(r store.Reader) error {
		u, err := readUser(r, name)
		if err == nil {
			known = &knownUser{User: *u}
		}
		return err
	})
	if err != nil {
		return nil, s.fault(err)
	}
	s.users.add(name, known, state)
	return known, nil
}

func readUser(r store.Reader, name string) (*User, error) {
	if len(name) == 0 || len(name) > maxUserName {
		return nil, ErrNoUser
	}
	u, err := get(r, userKey(name), decodeUser)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNoUser
	}
	if err != nil {
		return nil, err
	}
	u.Name = name
	return u, nil
}

// maxUserName is the longest name of a user, in octets.
const maxUserName = 512

// User returns a user, or ErrNoUser. Auth must not be changed.
func (s *Service) User(ctx context.Context, name string) (User, error) {
	u, err := s.user(ctx, name)
	if err != nil {
		return User{}, err
	}
	return u.User, nil
}

// Users calls fn with every user, ordered by name.
func (s *Service) Users(ctx context.Context, fn func(User) error) error {
	return s.fault(s.engine.View(ctx, systemAccount, func(r store.Reader) error {
		start, end := kindRange(kindUser)
		it := r.Scan(start, end, false)
		defer it.Close()
		for it.Next() {
			name := string(it.Key()[1:])
			b, err := it.Value()
			if err != nil {
				return fmt.Errorf("user %q: %w", name, err)
			}
			u, err := decodeUser(b)
			if err != nil {
				return fmt.Errorf("user %q: %w", name, err)
			}
			u.Name = name
			if err := fn(*u); err != nil {
				return err
			}
		}
		return it.Close()
	}))
}

// CreateUser makes a user with an empty account, or fails with ErrUserExists.
func (s *Service) CreateUser(ctx context.Context, name string, auth []byte) error {
	if len(name) == 0 || len(name) > maxUserName {
		return fmt.Errorf("a user's name has 1 to %d octets", maxUserName)
	}
	err := s.engine.Update(ctx, systemAccount, func(tx store.Tx) error {
		if _, err := tx.Get(userKey(name)); err == nil {
			return ErrUserExists
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		sys, err := get(tx, systemKey, decodeSystemRecord)
		if errors.Is(err, store.ErrNotFound) {
			sys, err = new(systemRecord), nil
		}
		if err != nil {
			return err
		}
		sys.LastAccount++
		tx.Set(systemKey, sys.encode())
		u := User{ID: sys.LastAccount, Created: s.now(), Auth: auth}
		tx.Set(userKey(name), u.encode())
		return nil
	})
	if err != nil {
		return s.fault(err)
	}
	u, err := s.user(ctx, name)
	if err != nil {
		return err
	}
	a := s.acquireAccount(u.ID)
	defer s.releaseAccount(a)
	return a.ensureInbox(ctx, u)
}

// UpdateAuth changes what package auth keeps of a user. fn may be called more than
// once.
func (s *Service) UpdateAuth(ctx context.Context, name string, fn func(old []byte) ([]byte, error)) error {
	return s.fault(s.engine.Update(ctx, systemAccount, func(tx store.Tx) error {
		u, err := readUser(tx, name)
		if err != nil {
			return err
		}
		if u.Auth, err = fn(u.Auth); err != nil {
			return err
		}
		tx.Set(userKey(name), u.encode())
		tx.OnApply(s.users.forget)
		return nil
	}))
}

// DeleteUser removes a user and all of the user's mail. First the name goes, so that
// nobody can come in; what a crash or a full disk leaves of the mail goes with the next
// Collect.
func (s *Service) DeleteUser(ctx context.Context, name string) error {
	id, err := s.removeName(ctx, name)
	if err != nil {
		return s.fault(err)
	}
	return s.fault(s.endRemoval(ctx, id))
}

// removeName removes a user's record and notes that the account is to be erased.
func (s *Service) removeName(ctx context.Context, name string) (id store.AccountID, err error) {
	err = s.engine.Update(ctx, systemAccount, func(tx store.Tx) error {
		u, err := readUser(tx, name)
		if err != nil {
			return err
		}
		id = u.ID
		tx.Delete(userKey(name))
		tx.Set(removedKey(id), nil)
		tx.OnApply(s.users.forget)
		return nil
	})
	return id, err
}

// endRemoval erases the account of a removed user. It does no harm to do it twice.
func (s *Service) endRemoval(ctx context.Context, id store.AccountID) error {
	if err := s.eraseAccount(ctx, id); err != nil {
		return err
	}
	return s.engine.Update(ctx, systemAccount, func(tx store.Tx) error {
		tx.Delete(removedKey(id))
		return nil
	})
}

// endRemovals erases the accounts of removed users that are still there.
func (s *Service) endRemovals(ctx context.Context) error {
	removed, err := s.removed(ctx)
	if err != nil {
		return err
	}
	for _, id := range removed {
		if err := s.endRemoval(ctx, id); err != nil {
			return fmt.Errorf("account %d of a removed user: %w", id, err)
		}
	}
	return nil
}

// removed returns the accounts of removed users that are to be erased.
func (s *Service) removed(ctx context.Context) (ids []store.AccountID, err error) {
	err = s.engine.View(ctx, systemAccount, func(r store.Reader) error {
		start, end := kindRange(kindRemoved)
		it := r.Scan(start, end, false)
		defer it.Close()
		for it.Next() {
			ids = append(ids, store.AccountID(lastNumber8(it.Key())))
		}
		return it.Close()
	})
	return ids, err
}

// eraseAccount removes everything that an account has.
func (s *Service) eraseAccount(ctx context.Context, id store.AccountID) error {
	var blobs []store.BlobID
	err := s.engine.Blobs(ctx, id, func(b store.BlobInfo) error {
		blobs = append(blobs, b.ID)
		return nil
	})
	if err != nil {
		return err
	}
	a := s.acquireAccount(id)
	defer s.releaseAccount(a)
	var boxes []mailboxID
	err = s.engine.Update(ctx, id, func(tx store.Tx) error {
		if boxes, err = mailboxIDs(tx); err != nil {
			return err
		}
		tx.DeleteRange(nil, nil)
		for _, b := range blobs {
			tx.DropBlob(b)
		}
		tx.OnApply(a.names.forget)
		return nil
	})
	if err != nil {
		return err
	}
	for _, box := range boxes {
		a.forget(box)
	}
	return nil
}
