// Package sasl has the authentication mechanisms of RFC 4422 as state machines,
// without any idea of where passwords are kept.
package sasl

import "errors"

// Identity is who a client has proved to be.
type Identity struct {
	User string // the account to open
	Auth string // who authenticated; differs from User for a master user
}

// Server is the server's side of one exchange.
type Server interface {
	// Next takes the client's response and returns the next challenge. The first
	// call has the initial response, or nil where there was none: a mechanism in which
	// the client begins then returns an empty challenge. done says that the exchange
	// has succeeded; a challenge that comes with done must still reach the client.
	Next(response []byte) (challenge []byte, done bool, err error)
	// Identity is valid after done.
	Identity() Identity
}

// ErrSyntax is wrapped by errors about responses that are not of the mechanism's
// form, as against credentials that are wrong.
var ErrSyntax = errors.New("malformed authentication response")
