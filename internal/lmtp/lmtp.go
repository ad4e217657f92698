// Package lmtp takes mail from an MTA over LMTP (RFC 2033) and stores it in the
// accounts of its recipients.
//
// The command dialogue is go-smtp's. What separates a message from the commands
// around it is read here, byte by byte, because a mistake in it lets a sender
// smuggle a second message in: see wire.
package lmtp

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tidemark/imapserver"
)

// The errors of Backend that say something about the recipient. Every other
// error is taken for temporary trouble: the MTA keeps the message and tries again.
var (
	// ErrNoUser: there is no such user.
	ErrNoUser = errors.New("no such user")
	// ErrDisabled: the user exists but takes no mail.
	ErrDisabled = errors.New("user is disabled")
)

// Backend opens the accounts that mail is for. Its methods may be called
// concurrently.
type Backend interface {
	// OpenRecipient opens the account of the named user, or returns ErrNoUser or
	// ErrDisabled.
	OpenRecipient(ctx context.Context, user string) (Account, error)
}

// Account is what delivery needs of an account; an imapserver.Account has it.
// Its methods may be called concurrently, Close once when they have returned.
// A refusal that has a cause in the account or message is an *imap.Error.
type Account interface {
	NewUpload(ctx context.Context, mailbox string, size int64) (imapserver.Upload, error)
	// Append returns nil only when the message is durable.
	Append(ctx context.Context, mailbox string, msgs []imapserver.AppendMessage) (imapserver.AppendResult, error)
	Close() error
}

// Limits that nobody has needed to change.
const (
	// maxCommand is the longest command line in octets, with its CRLF. RFC 5321
	// §4.5.3.1.4 asks for 512; parameters and UTF-8 addresses may need more.
	maxCommand = 2048
	// maxPath is the longest address in octets; RFC 5321 §4.5.3.1.3 has 256,
	// rewritten return paths are known to be longer.
	maxPath = 512
	// spoolMemory is how many octets of a message are held in memory before it
	// goes to a file.
	spoolMemory = 256 << 10
	// deliverers is how many recipients of one message are served at a time. They
	// share the store's syncs, so that a message to many is not one wait each.
	deliverers = 16
)

// Config says how the server behaves. The zero value of a field means its default.
type Config struct {
	// Hostname is the name in the greeting and in Received; default "localhost".
	Hostname string
	// Domains are those that mail is taken for, in any case. If it is empty, mail
	// for every domain is taken and the user is found by the local part.
	Domains []string
	// MaxMessage is the largest message in octets as it comes in; default 50 MB.
	MaxMessage int64
	// MaxRecipients is the number of recipients of one message; default 1,000.
	MaxRecipients int
	// MaxConnections is the number of connections at a time; default 500. The one
	// beyond is told 421.
	MaxConnections int
	// Timeout ends a connection that has sent nothing for so long; default 5
	// minutes (RFC 5321 §4.5.3.2.7).
	Timeout time.Duration
	// SpoolDir is where large messages lie while they arrive; default is the
	// system's directory for temporary files. The files have no name and vanish
	// with the process.
	SpoolDir string
	// Logger; default is to log nothing.
	Logger *slog.Logger
	// Metrics is where the metrics are registered, if it is not nil.
	Metrics prometheus.Registerer
}

func (c Config) withDefaults() Config {
	if c.Hostname == "" {
		c.Hostname = "localhost"
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = 50_000_000
	}
	if c.MaxRecipients == 0 {
		c.MaxRecipients = 1000
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 500
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
