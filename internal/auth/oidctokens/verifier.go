// Package oidctokens checks OAuth access tokens of an OpenID Connect provider: by the
// provider's published keys, or by asking the provider (RFC 7662).
package oidctokens

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"tidemark/imapserver"
	"tidemark/sasl"
)

// Options are the settings of New.
type Options struct {
	// Issuer is the provider's URL, as its tokens have it in iss. What else is needed
	// to know is found below it (OpenID Connect Discovery §4).
	Issuer string
	// Audience are the names of which one must be in a token's aud, so that tokens
	// meant for other services are not good here. At least one is needed.
	Audience []string
	// UserClaim is the claim that names the user; empty for "email".
	UserClaim string
	// Scopes must all be granted by a token.
	Scopes []string
	// ClockSkew is how far the provider's clock may be off.
	ClockSkew time.Duration

	// Introspect asks the provider about each token, with ClientID and ClientSecret.
	// That works for tokens of any form, and a revoked one is no good at once.
	Introspect             bool
	ClientID, ClientSecret string

	// TLS is for connections to the provider; nil for the system's authorities.
	TLS *tls.Config
	// Timeout is for one request; 0 for 5 s.
	Timeout time.Duration

	Log *slog.Logger     // nil for slog.Default
	Now func() time.Time // nil for time.Now
}

const (
	// maxToken is the longest token in bytes. Real ones have up to some thousands.
	maxToken = 16 << 10
	// maxAnswer is how much of a provider's answer is read, in bytes.
	maxAnswer = 1 << 20
	// metadataAge is how long what was discovered is used.
	metadataAge = 24 * time.Hour
	// retryPause is the least time between requests for metadata, and between those
	// for keys: everybody can send tokens that name unknown keys.
	retryPause = 10 * time.Second
)

// Verifier checks tokens. It implements auth.TokenVerifier; its methods may be called
// concurrently.
type Verifier struct {
	opts   Options
	client *http.Client

	mu       sync.Mutex
	provider *provider // nil until it was reached
	tried    time.Time // when discovery was begun last
	tryErr   error     // how it ended
}

// provider is what discovery has found.
type provider struct {
	since         time.Time
	keys          *keySet
	introspection string // URL; may be empty
}

// New returns a verifier. It does not ask the provider yet, so that one that is down
// keeps nobody from starting.
func New(opts Options) (*Verifier, error) {
	if err := checkURL(opts.Issuer); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	if len(opts.Audience) == 0 {
		return nil, errors.New("no audience: tokens for any other service of the provider would be good here")
	}
	if opts.Introspect && (opts.ClientID == "" || opts.ClientSecret == "") {
		return nil, errors.New("introspection needs a client's name and secret")
	}
	if opts.UserClaim == "" {
		opts.UserClaim = "email"
	}
	if opts.Timeout == 0 {
		opts.Timeout = 5 * time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Verifier{opts: opts, client: newClient(opts)}, nil
}

// checkURL refuses addresses at which anybody on the way could answer.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return err
	}
	switch host := u.Hostname(); {
	case host == "":
		return fmt.Errorf("%q is not a URL; write https://host/path", text)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (host == "localhost" || host == "127.0.0.1" || host == "::1"):
		return nil
	}
	return fmt.Errorf("%q is not safe; write https://", text)
}

// newClient returns the client for requests to the provider.
func newClient(opts Options) *http.Client {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		TLSClientConfig:       opts.TLS.Clone(),
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   8,
		MaxConnsPerHost:       32,
		IdleConnTimeout:       time.Minute,
		ResponseHeaderTimeout: opts.Timeout,
	}
	return &http.Client{
		Transport: &boundedTransport{transport},
		Timeout:   opts.Timeout,
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			return checkURL(r.URL.String())
		},
	}
}

// Hint says where a client gets a token that is good here.
func (v *Verifier) Hint() sasl.OAuthHint {
	return sasl.OAuthHint{
		Scope:         strings.Join(v.opts.Scopes, " "),
		Configuration: strings.TrimSuffix(v.opts.Issuer, "/") + "/.well-known/openid-configuration",
	}
}

// Close ends the connections that are not in use.
func (v *Verifier) Close() error {
	v.client.CloseIdleConnections()
	return nil
}

// VerifyToken returns the user that a token was made out to. Its error wraps
// sasl.ErrToken if the token is no good, and imapserver.ErrUnavailable if the
// provider could not be asked.
func (v *Verifier) VerifyToken(ctx context.Context, token string) (user string, err error) {
	if len(token) > maxToken {
		return "", fmt.Errorf("%w: too long", sasl.ErrToken)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*v.opts.Timeout)
	defer cancel()
	user, err = v.verify(ctx, token)
	if errors.Is(err, sasl.ErrToken) {
		text := err.Error()
		v.opts.Log.InfoContext(ctx, "token refused", "reason", text[:min(len(text), 300)])
	}
	return user, err
}

func (v *Verifier) verify(ctx context.Context, token string) (user string, err error) {
	p, err := v.discover(ctx)
	if err != nil {
		return "", unavailable("discovery", err)
	}
	var c *claims
	if v.opts.Introspect {
		c, err = v.introspect(ctx, p, token)
	} else {
		c, err = v.checkSignature(ctx, p, token)
	}
	if err != nil {
		return "", err
	}
	if err := v.checkClaims(c); err != nil {
		return "", fmt.Errorf("%w: %w", sasl.ErrToken, err)
	}
	user, err = c.user(v.opts.UserClaim)
	if err != nil {
		return "", fmt.Errorf("%w: %w", sasl.ErrToken, err)
	}
	return user, nil
}

// checkSignature returns what a token says that is signed by the provider.
func (v *Verifier) checkSignature(ctx context.Context, p *provider, token string) (*claims, error) {
	keys := &watchedKeys{keySet: p.keys}
	verifier := oidc.NewVerifier(v.opts.Issuer, keys, &oidc.Config{
		SkipClientIDCheck: true, // checkClaims does both, for tokens of either kind
		SkipExpiryCheck:   true,
		// Only those with a public key: with the others, whoever can check could sign.
		SupportedSigningAlgs: []string{
			oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512,
			oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
		},
	})
	signed, err := verifier.Verify(ctx, token)
	switch {
	case keys.trouble != nil:
		return nil, unavailable("keys", keys.trouble)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", sasl.ErrToken, err)
	}
	c := &claims{}
	if err := signed.Claims(c); err != nil {
		return nil, fmt.Errorf("%w: %w", sasl.ErrToken, err)
	}
	return c, nil
}

// discover returns what is known of the provider, after asking it if need be.
func (v *Verifier) discover(ctx context.Context) (*provider, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.opts.Now()
	if v.provider != nil && now.Sub(v.provider.since) < metadataAge || !v.tried.IsZero() && now.Sub(v.tried) < retryPause {
		return v.known()
	}
	v.tried = now
	var found *oidc.Provider
	if found, v.tryErr = oidc.NewProvider(oidc.ClientContext(ctx, v.client), v.opts.Issuer); v.tryErr != nil {
		return v.known()
	}
	var metadata struct {
		Keys          string `json:"jwks_uri"`
		Introspection string `json:"introspection_endpoint"` // RFC 8414 §2
	}
	if v.tryErr = found.Claims(&metadata); v.tryErr == nil {
		v.tryErr = errors.Join(checkURL(metadata.Keys), checkIf(v.opts.Introspect, metadata.Introspection))
	}
	if v.tryErr == nil {
		v.provider = &provider{since: now, introspection: metadata.Introspection, keys: newKeySet(metadata.Keys, v.client, v.opts.Now)}
	}
	return v.known()
}

// known returns the provider as it was found last, or why it never was.
func (v *Verifier) known() (*provider, error) {
	if v.provider == nil {
		return nil, v.tryErr
	}
	return v.provider, nil
}

func checkIf(needed bool, endpoint string) error {
	if !needed {
		return nil
	}
	return checkURL(endpoint)
}

func unavailable(what string, err error) error {
	return fmt.Errorf("openid provider: %s: %w: %w", what, imapserver.ErrUnavailable, err)
}
