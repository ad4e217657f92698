// Package admin is the administration of a server: one interface, an
// implementation that works on the store, and an HTTP server and client that carry
// it over a unix socket. A command uses the interface and does not see which it has.
package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"tidemark/imap"
	"tidemark/internal/auth"
	"tidemark/internal/transfer"
)

// Service is everything that can be administered. Its errors are *Error where the
// caller can do something about them.
type Service interface {
	Users(ctx context.Context) ([]User, error)
	AddUser(ctx context.Context, name, password string) error
	SetPassword(ctx context.Context, name, password string) error
	// AddUserHash and SetHash take the hash of a password in its place, with its scheme
	// in braces or in the form of crypt(3).
	AddUserHash(ctx context.Context, name, hash string) error
	SetHash(ctx context.Context, name, hash string) error
	// SetDisabled forbids or allows a user to log in. Mail is taken for neither a
	// disabled user nor an unknown one.
	SetDisabled(ctx context.Context, name string, disabled bool) error
	// SetMaster allows or forbids a user to act as others, from the networks that the
	// configuration has for it.
	SetMaster(ctx context.Context, name string, master bool) error
	// DeleteUser deletes a user and all of the user's mail.
	DeleteUser(ctx context.Context, name string) error

	AppPasswords(ctx context.Context, user string) ([]AppPassword, error)
	// AddAppPassword makes up a further password of a user and returns it; it cannot
	// be seen again. expires may be zero for never.
	AddAppPassword(ctx context.Context, user, name string, expires time.Time) (password string, err error)
	RevokeAppPassword(ctx context.Context, user, name string) error

	// Penalties returns who is slowed down because of failed logins. This and the next
	// two need a server that runs, and otherwise return NotRunning.
	Penalties(ctx context.Context) ([]auth.Penalty, error)
	// WhySlow returns what is held against an address or a user.
	WhySlow(ctx context.Context, addressOrUser string) (Standing, error)
	// Unban forgets what is held against an address, a network or a user, and returns
	// how many penalties that were.
	Unban(ctx context.Context, networkOrUser string) (int, error)

	Mailboxes(ctx context.Context, user string) ([]Mailbox, error)
	CreateMailbox(ctx context.Context, user, name string) error
	DeleteMailbox(ctx context.Context, user, name string) error
	RenameMailbox(ctx context.Context, user, from, to string) error

	// EnsureMailbox makes a mailbox where it is missing, and subscribes to it if m says
	// so.
	EnsureMailbox(ctx context.Context, user string, m transfer.Mailbox) error
	// Imported says which messages an import has brought into the mailbox before.
	Imported(ctx context.Context, user, mailbox string, keys []string) ([]bool, error)
	// Import stores messages that Imported does not know, all in one transaction with
	// their keys. Each is opened once and read to its end before the next is asked for.
	Import(ctx context.Context, user, mailbox string, batch iter.Seq[transfer.Message]) ([]transfer.Outcome, error)

	// Messages lists a mailbox for an export, by UID.
	Messages(ctx context.Context, user, mailbox string) ([]Message, error)
	// OpenMessage opens the content of a message. The caller closes it.
	OpenMessage(ctx context.Context, user, mailbox string, uid imap.UID) (io.ReadCloser, error)

	// Check verifies the whole store, or one user's part if user is not empty, and
	// calls report for each problem. It fails only when it could not go on.
	Check(ctx context.Context, user string, report func(Problem)) (CheckResult, error)
}

// User is a person with an account.
type User struct {
	Name     string    `json:"name"`
	Disabled bool      `json:"disabled"`
	Master   bool      `json:"master"`
	Created  time.Time `json:"created,omitzero"`
}

// AppPassword is a further password of a user, for one device or program.
type AppPassword struct {
	Name     string    `json:"name"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"`
	LastUsed time.Time `json:"last_used,omitzero"` // exact to the hour
}

// Standing is what keeps logins from an address or of a user back.
type Standing struct {
	// User is the name as it is kept, and empty where the question was about an address.
	User string `json:"user,omitempty"`
	// Obstacle says in words what keeps the user out whatever the password, if anything.
	Obstacle  string         `json:"obstacle,omitempty"`
	Penalties []auth.Penalty `json:"penalties"`
}

// Mailbox is one mailbox with its counts.
type Mailbox struct {
	Name        string             `json:"name"`
	Messages    uint32             `json:"messages"`
	Unseen      uint32             `json:"unseen"`
	Size        int64              `json:"size"` // octets
	UIDValidity uint32             `json:"uidvalidity"`
	UIDNext     imap.UID           `json:"uidnext"`
	Subscribed  bool               `json:"subscribed"`
	SpecialUse  []imap.MailboxAttr `json:"special_use,omitempty"`
}

// Message is one message as an export sees it.
type Message struct {
	// Key names the message for ever: nothing else will have it.
	Key   string      `json:"key"`
	UID   imap.UID    `json:"uid"`
	Flags []imap.Flag `json:"flags"`
	Date  time.Time   `json:"date"`
	Size  int64       `json:"size"` // octets
}

// Problem is something wrong in the store.
type Problem struct {
	User    string `json:"user,omitempty"`
	Mailbox string `json:"mailbox,omitempty"`
	UIDs    string `json:"uids,omitempty"` // a set as in IMAP, such as "3,7:9"
	Text    string `json:"text"`
}

// CheckResult is what a check has looked at.
type CheckResult struct {
	Accounts  int `json:"accounts"`
	Mailboxes int `json:"mailboxes"`
	Messages  int `json:"messages"`
	Problems  int `json:"problems"`
}

// Code is the kind of an Error.
type Code string

// The kinds of errors.
const (
	NotFound    Code = "not_found"
	Exists      Code = "exists"
	Invalid     Code = "invalid"     // a value that is not allowed
	Unavailable Code = "unavailable" // storage takes no changes
	Damaged     Code = "damaged"     // what is stored cannot be read
	NotRunning  Code = "not_running" // only a server that runs could tell
)

// Error is a refusal that names its reason.
type Error struct {
	Code Code   `json:"code"`
	Text string `json:"text"`
}

func (e *Error) Error() string { return e.Text }

func errorf(code Code, format string, args ...any) *Error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

// translate turns refusals of the mail packages into *Error.
func translate(err error) error {
	refusal, ok := errors.AsType[*imap.Error](err)
	if !ok {
		return err
	}
	switch refusal.Code {
	case imap.CodeNonExistent, imap.CodeTryCreate:
		return &Error{NotFound, refusal.Text}
	case imap.CodeAlreadyExists:
		return &Error{Exists, refusal.Text}
	case imap.CodeUnavailable, imap.CodeOverQuota, imap.CodeServerBug:
		return &Error{Unavailable, refusal.Text}
	case imap.CodeCorruption:
		detail := strings.TrimPrefix(err.Error(), refusal.Error())
		return &Error{Damaged, refusal.Text + detail + "; \"tidemark check\" says what is lost"}
	}
	return &Error{Invalid, refusal.Text}
}
