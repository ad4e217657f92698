package sasl

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Names of mechanisms, as they follow AUTH= in a capability list.
const (
	Plain           = "PLAIN"
	Login           = "LOGIN"
	External        = "EXTERNAL"
	OAuthBearer     = "OAUTHBEARER"
	XOAuth2         = "XOAUTH2"
	ScramSHA1       = "SCRAM-SHA-1"
	ScramSHA1Plus   = "SCRAM-SHA-1-PLUS"
	ScramSHA256     = "SCRAM-SHA-256"
	ScramSHA256Plus = "SCRAM-SHA-256-PLUS"
)

// PasswordFunc checks a user's password. authzid is empty or whom the user wants
// to act as. Its error ends the exchange and is returned from Next unchanged.
type PasswordFunc func(authzid, user, password string) (Identity, error)

// oneShot is what mechanisms of a single response have in common.
type oneShot struct {
	finish  func(response []byte) (Identity, error)
	id      Identity
	started bool
	ended   bool
}

func (o *oneShot) Next(response []byte) ([]byte, bool, error) {
	if response == nil && !o.started {
		o.started = true
		return nil, false, nil
	}
	if o.ended {
		return nil, false, fmt.Errorf("%w: response after the end", ErrSyntax)
	}
	o.started, o.ended = true, true
	id, err := o.finish(response)
	if err != nil {
		return nil, false, err
	}
	o.id = id
	return nil, true, nil
}

func (o *oneShot) Identity() Identity { return o.id }

// NewPlainServer returns the server's side of PLAIN (RFC 4616).
func NewPlainServer(check PasswordFunc) Server {
	return &oneShot{finish: func(response []byte) (Identity, error) {
		authzid, rest, ok := bytes.Cut(response, []byte{0})
		user, password, ok2 := bytes.Cut(rest, []byte{0})
		// RFC 4616 §2: both are at least one character, and NUL is in none of them.
		if !ok || !ok2 || len(user) == 0 || len(password) == 0 ||
			bytes.IndexByte(password, 0) >= 0 || !utf8.Valid(response) {
			return Identity{}, fmt.Errorf("%w: PLAIN", ErrSyntax)
		}
		return check(string(authzid), string(user), string(password))
	}}
}

// NewExternalServer returns the server's side of EXTERNAL (RFC 4422 appendix A).
// authorize gets the authorisation identity, empty where the client leaves it
// to the server, and knows from elsewhere who the client is.
func NewExternalServer(authorize func(authzid string) (Identity, error)) Server {
	return &oneShot{finish: func(response []byte) (Identity, error) {
		if !utf8.Valid(response) || bytes.IndexByte(response, 0) >= 0 {
			return Identity{}, fmt.Errorf("%w: EXTERNAL", ErrSyntax)
		}
		return authorize(string(response))
	}}
}
