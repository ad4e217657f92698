// Package auth decides who may log in: it asks the sources of users, slows down
// those who guess, and writes down who came and who was turned away.
package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/sasl"
)

// Options are the settings of New.
type Options struct {
	// Sources are asked for a user in order; at least one is needed.
	Sources []Source
	// Hasher is the one that all share, so that its limit holds.
	Hasher *Hasher
	// Guard counts failures; nil makes one without trusted networks.
	Guard *Guard

	// Mechanisms are those to offer, as far as the sources and the connection allow;
	// nil for DefaultMechanisms.
	Mechanisms []string
	// AllowInsecureFrom are networks from which passwords are taken without TLS.
	AllowInsecureFrom []netip.Prefix
	// MasterFrom are networks from which master users may act as others; none means
	// that they cannot.
	MasterFrom []netip.Prefix

	// Secret makes up the SCRAM salts of users that do not exist. It must stay the same
	// for the life of an installation (see LoadSecret), else they give themselves
	// away by a salt that changes.
	Secret []byte

	// Tokens checks OAuth bearer tokens; nil for no OAuth.
	Tokens TokenVerifier
	// TokenHint tells clients where to get a token.
	TokenHint sasl.OAuthHint
	// TokenUsers lets in also those whom a token names and no source knows.
	TokenUsers bool

	// CertificateUser says whom a verified client certificate stands for; nil, or an
	// empty name, for no login by certificate.
	CertificateUser func(*x509.Certificate) string
	// ServerCertificate returns the certificate that a connection's client was
	// shown. Without it the channel binding tls-server-end-point is not to be had.
	ServerCertificate func(*tls.ConnectionState) *x509.Certificate

	// FailureTime is how long a failed login takes at the least. It hides which source a
	// user is in, if they differ in the time that they take; otherwise leave it zero.
	FailureTime time.Duration

	Log        *slog.Logger          // nil for slog.Default
	Registerer prometheus.Registerer // nil for no metrics
	Now        func() time.Time      // nil for time.Now
}

// DefaultMechanisms returns the mechanisms in the order in which they are
// announced: clients that take the first they know take the safest.
func DefaultMechanisms() []string {
	return []string{
		sasl.External, sasl.ScramSHA256Plus, sasl.ScramSHA256,
		sasl.OAuthBearer, sasl.XOAuth2, sasl.Plain, sasl.Login,
	}
}

// TokenVerifier checks OAuth bearer tokens.
type TokenVerifier interface {
	// VerifyToken returns the user that a token was made out to. An error that wraps
	// sasl.ErrToken means that the token is no good, any other that this is not known.
	VerifyToken(ctx context.Context, token string) (user string, err error)
}

// Authenticator implements imapserver.Authenticator.
type Authenticator struct {
	opts       Options
	mechanisms map[string]mechanism
	cache      *cache
	lanes      *lanes
	metrics    *metrics
	sleep      func(context.Context, time.Duration) error
}

var _ imapserver.Authenticator = (*Authenticator)(nil)

// New returns an authenticator.
func New(opts Options) (*Authenticator, error) {
	if len(opts.Sources) == 0 {
		return nil, errors.New("no source of users")
	}
	if opts.Hasher == nil {
		return nil, errors.New("no hasher")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Guard == nil {
		opts.Guard = NewGuard(nil, opts.Now)
	}
	if opts.Mechanisms == nil {
		opts.Mechanisms = DefaultMechanisms()
	}
	if len(opts.Secret) == 0 {
		opts.Secret = randomBytes(32)
	}
	a := &Authenticator{
		opts:       opts,
		mechanisms: newMechanisms(),
		cache:      newCache(opts.Now),
		lanes:      newLanes(),
		metrics:    newMetrics(opts.Registerer),
		sleep:      sleep,
	}
	for _, m := range opts.Mechanisms {
		if _, ok := a.mechanisms[m]; !ok {
			return nil, fmt.Errorf("mechanism %q is not known", m)
		}
	}
	return a, nil
}

// sleep waits, or returns the error of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// LoadSecret returns the installation's secret from its file, of at least 32 bytes. Where
// the file is missing or shorter, as after a crash while it was written, it is made anew.
func LoadSecret(path string) ([]byte, error) {
	secret, err := os.ReadFile(path)
	if err == nil && len(secret) >= 32 {
		return secret, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	secret = randomBytes(32)
	return secret, os.WriteFile(path, secret, 0o600)
}

// Guard returns the guard, for those who ask why somebody is slowed down.
func (a *Authenticator) Guard() *Guard { return a.opts.Guard }

// What the client is told. The text of a refusal is the same whatever its reason.
var (
	errFailed  = imap.Refuse(imap.CodeAuthenticationFailed, "wrong user name or password")
	errPrivacy = imap.Refuse(imap.CodePrivacyRequired, "log in over TLS")
	errTooMany = imap.Refuse(imap.CodeLimit, "too many failed logins from your network, try again later")
	errNoSuch  = imap.Refuse(imap.CodeCannot, "mechanism not offered here")
	errMaster  = imap.Refuse(imap.CodeAuthorizationFailed, "not allowed to act as that user")
)

// secure says whether a password may be sent over the connection.
func (a *Authenticator) secure(peer imapserver.Peer) bool {
	return peer.TLS != nil || containsAddr(a.opts.AllowInsecureFrom, peer.Addr.Addr())
}

// mechanism is a row of the table of mechanisms.
type mechanism struct {
	offered func(*Authenticator, imapserver.Peer) bool
	begin   func(*Authenticator, context.Context, imapserver.Peer) sasl.Server
}

// newMechanisms returns the table of mechanisms.
func newMechanisms() map[string]mechanism {
	return map[string]mechanism{
		sasl.Plain:           {always, (*Authenticator).beginPlain},
		sasl.Login:           {always, (*Authenticator).beginLogin},
		sasl.External:        {(*Authenticator).hasCertificate, (*Authenticator).beginExternal},
		sasl.OAuthBearer:     {(*Authenticator).hasTokens, (*Authenticator).beginOAuthBearer},
		sasl.XOAuth2:         {(*Authenticator).hasTokens, (*Authenticator).beginXOAuth2},
		sasl.ScramSHA256:     scramMechanism(sasl.SHA256, false),
		sasl.ScramSHA256Plus: scramMechanism(sasl.SHA256, true),
		sasl.ScramSHA1:       scramMechanism(sasl.SHA1, false),
		sasl.ScramSHA1Plus:   scramMechanism(sasl.SHA1, true),
	}
}

func always(*Authenticator, imapserver.Peer) bool { return true }

// Mechanisms implements imapserver.Authenticator.
func (a *Authenticator) Mechanisms(peer imapserver.Peer) []string {
	if !a.secure(peer) {
		return nil
	}
	var list []string
	for _, name := range a.opts.Mechanisms {
		if a.mechanisms[name].offered(a, peer) {
			list = append(list, name)
		}
	}
	return list
}

// Begin implements imapserver.Authenticator.
func (a *Authenticator) Begin(ctx context.Context, peer imapserver.Peer, name string) (sasl.Server, error) {
	if !a.secure(peer) {
		return nil, errPrivacy
	}
	if !slices.Contains(a.opts.Mechanisms, name) || !a.mechanisms[name].offered(a, peer) {
		return nil, errNoSuch
	}
	return a.mechanisms[name].begin(a, ctx, peer), nil
}

// Login implements imapserver.Authenticator.
func (a *Authenticator) Login(ctx context.Context, peer imapserver.Peer, user, password string) (sasl.Identity, error) {
	if !a.secure(peer) {
		return sasl.Identity{}, errPrivacy
	}
	return a.password(ctx, a.newAttempt(peer, "login command", user), "", password)
}

func (a *Authenticator) beginPlain(ctx context.Context, peer imapserver.Peer) sasl.Server {
	return sasl.NewPlainServer(func(authzid, user, password string) (sasl.Identity, error) {
		return a.password(ctx, a.newAttempt(peer, sasl.Plain, user), authzid, password)
	})
}

func (a *Authenticator) beginLogin(ctx context.Context, peer imapserver.Peer) sasl.Server {
	return sasl.NewLoginServer(func(authzid, user, password string) (sasl.Identity, error) {
		return a.password(ctx, a.newAttempt(peer, sasl.Login, user), authzid, password)
	})
}
