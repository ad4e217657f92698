package admin

import (
	"context"
	"errors"

	"tidemark/imap"
	"tidemark/internal/auth"
	"tidemark/internal/mail"
	"tidemark/sasl"
)

// LocalOptions are what a Local works on.
type LocalOptions struct {
	Mail *mail.Service
	// Users is the built-in source of the same mail, and Policy the one that it applies
	// to passwords.
	Users  *auth.Builtin
	Policy auth.Policy

	// Guard has the failed logins of the server that runs in this process, and
	// EndSessions ends the sessions of a user there. Both are nil where none runs.
	Guard       *auth.Guard
	EndSessions func(user, reason string) int
}

// Local is a Service that works on the store of this process.
type Local struct {
	mail        *mail.Service
	users       *auth.Builtin
	policy      auth.Policy
	guard       *auth.Guard
	endSessions func(user, reason string) int
}

// NewLocal returns a Service.
func NewLocal(o LocalOptions) *Local {
	l := &Local{o.Mail, o.Users, o.Policy, o.Guard, o.EndSessions}
	if l.endSessions == nil {
		l.endSessions = func(string, string) int { return 0 }
	}
	return l
}

// Users implements Service.
func (l *Local) Users(ctx context.Context) ([]User, error) {
	users := []User{}
	err := l.mail.Users(ctx, func(u mail.User) error {
		users = append(users, User{Name: u.Name, Created: u.Created})
		return nil
	})
	if err != nil {
		return nil, translate(err)
	}
	for i := range users {
		record, err := l.users.Lookup(ctx, users[i].Name)
		switch {
		case err == nil:
			users[i].Disabled, users[i].Master = record.Disabled, record.Master
		case !errors.Is(err, auth.ErrNoUser):
			return nil, translate(err)
		}
	}
	return users, nil
}

// AddUser implements Service.
func (l *Local) AddUser(ctx context.Context, name, password string) error {
	return l.addUser(ctx, name, l.policy.Check(password), func(name string) error {
		return l.users.SetPassword(ctx, name, password)
	})
}

// AddUserHash implements Service.
func (l *Local) AddUserHash(ctx context.Context, name, hash string) error {
	return l.addUser(ctx, name, l.users.CheckHash(hash), func(name string) error {
		return l.users.SetHash(ctx, name, hash)
	})
}

// addUser adds a user unless refused says that what give would give is not acceptable.
// A user who could not be given it is taken away again.
func (l *Local) addUser(ctx context.Context, name string, refused error, give func(name string) error) error {
	name, err := prepareName(name)
	if err != nil {
		return err
	}
	if refused != nil {
		return explain(name, refused)
	}
	empty, err := new(auth.Record).MarshalBinary()
	if err != nil {
		return err
	}
	if err := l.mail.CreateUser(ctx, name, empty); err != nil {
		return explain(name, err)
	}
	if err := give(name); err != nil {
		return explain(name, errors.Join(err, l.mail.DeleteUser(context.WithoutCancel(ctx), name)))
	}
	return nil
}

// changed changes a user and ends the sessions that were begun by what was good before.
// An empty reason leaves them.
func (l *Local) changed(name, reason string, change func(name string) error) error {
	name, err := prepareName(name)
	if err != nil {
		return err
	}
	if err := change(name); err != nil {
		return explain(name, err)
	}
	if reason != "" {
		l.endSessions(name, reason)
	}
	return nil
}

// SetPassword implements Service.
func (l *Local) SetPassword(ctx context.Context, name, password string) error {
	return l.changed(name, "password changed", func(name string) error {
		return l.users.SetPassword(ctx, name, password)
	})
}

// SetHash implements Service.
func (l *Local) SetHash(ctx context.Context, name, hash string) error {
	return l.changed(name, "password changed", func(name string) error {
		return l.users.SetHash(ctx, name, hash)
	})
}

// SetDisabled implements Service.
func (l *Local) SetDisabled(ctx context.Context, name string, disabled bool) error {
	reason := ""
	if disabled {
		reason = "user disabled"
	}
	return l.changed(name, reason, func(name string) error {
		return l.users.SetDisabled(ctx, name, disabled)
	})
}

// SetMaster implements Service.
func (l *Local) SetMaster(ctx context.Context, name string, master bool) error {
	reason := ""
	if !master {
		reason = "user is no master any more"
	}
	return l.changed(name, reason, func(name string) error {
		return l.users.SetMaster(ctx, name, master)
	})
}

// DeleteUser implements Service.
func (l *Local) DeleteUser(ctx context.Context, name string) error {
	return l.changed(name, "user deleted", func(name string) error {
		return l.mail.DeleteUser(ctx, name)
	})
}

// Mailboxes implements Service.
func (l *Local) Mailboxes(ctx context.Context, user string) (list []Mailbox, err error) {
	err = l.inAccount(ctx, user, func(a *mail.Account) error {
		infos, err := a.Mailboxes(ctx)
		if err != nil {
			return err
		}
		list = make([]Mailbox, 0, len(infos))
		for _, info := range infos {
			if info.NonExistent {
				continue
			}
			st, err := a.Status(ctx, info.Name)
			if refusal, ok := errors.AsType[*imap.Error](err); ok && refusal.Code == imap.CodeNonExistent {
				continue // deleted meanwhile
			}
			if err != nil {
				return err
			}
			list = append(list, Mailbox{
				Name: info.Name, Messages: st.Messages, Unseen: st.Unseen, Size: st.Size,
				UIDValidity: st.UIDValidity, UIDNext: st.UIDNext,
				Subscribed: info.Subscribed, SpecialUse: info.SpecialUse,
			})
		}
		return nil
	})
	return list, err
}

// CreateMailbox implements Service.
func (l *Local) CreateMailbox(ctx context.Context, user, name string) error {
	return l.inAccount(ctx, user, func(a *mail.Account) error {
		if _, err := a.Create(ctx, name, nil); err != nil {
			return err
		}
		return a.Subscribe(ctx, name, true)
	})
}

// DeleteMailbox implements Service.
func (l *Local) DeleteMailbox(ctx context.Context, user, name string) error {
	return l.inAccount(ctx, user, func(a *mail.Account) error { return a.Delete(ctx, name) })
}

// RenameMailbox implements Service.
func (l *Local) RenameMailbox(ctx context.Context, user, from, to string) error {
	return l.inAccount(ctx, user, func(a *mail.Account) error { return a.Rename(ctx, from, to) })
}

// Check implements Service.
func (l *Local) Check(ctx context.Context, user string, report func(Problem)) (CheckResult, error) {
	if user != "" {
		var err error
		if user, err = prepareName(user); err != nil {
			return CheckResult{}, err
		}
	}
	sum, err := l.mail.Check(ctx, user, func(p mail.Problem) { report(Problem(p)) })
	return CheckResult(sum), explain(user, err)
}

// inAccount calls fn with a user's account.
func (l *Local) inAccount(ctx context.Context, user string, fn func(*mail.Account) error) error {
	name, err := prepareName(user)
	if err != nil {
		return err
	}
	a, err := l.mail.Account(ctx, name)
	if err != nil {
		return explain(name, err)
	}
	defer a.Close()
	return explain(name, fn(a))
}

// prepareName brings a user's name into the one form in which it is kept.
func prepareName(name string) (string, error) {
	prepared, err := sasl.PrepareName(name)
	if err != nil {
		return "", errorf(Invalid, `%q cannot be the name of a user: a name is a word without spaces, control characters `+
			`and the signs / \ * %% ", of at most %d octets`, name, sasl.MaxName)
	}
	return prepared, nil
}

// explain turns refusals of the packages below into *Error, and leaves what is not
// the caller's doing.
func explain(user string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mail.ErrNoUser), errors.Is(err, auth.ErrNoUser):
		return errorf(NotFound, "there is no user %q", user)
	case errors.Is(err, mail.ErrUserExists):
		return errorf(Exists, "there is a user %q already", user)
	case errors.Is(err, auth.ErrNoAppPassword):
		return errorf(NotFound, "%v", err)
	case errors.Is(err, auth.ErrAppPasswordExists):
		return errorf(Exists, "%v", err)
	case errors.Is(err, auth.ErrPolicy), errors.Is(err, auth.ErrHash),
		errors.Is(err, auth.ErrAppPasswordName), errors.Is(err, auth.ErrTooManyAppPassword):
		return errorf(Invalid, "%v", err)
	}
	return translate(err)
}
