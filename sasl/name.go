package sasl

import (
	"errors"
	"strings"

	"golang.org/x/text/secure/precis"
)

// MaxName is the longest user name in bytes, as given and as prepared.
const MaxName = 255

// ErrName is returned for a string that cannot be a user name.
var ErrName = errors.New("not a user name")

// PrepareName returns the one spelling under which a user is known, for every
// spelling a mail program may send: the UsernameCaseMapped profile of RFC 8265
// §3.3, which lowers case and composes accents. Spaces at the ends are
// dropped, because keyboards of phones add them; a space inside is an error.
//
// The signs that separate or match mailbox names cannot be in a name, so that a
// name can stand in a mailbox path as it is.
func PrepareName(s string) (string, error) {
	s = strings.Trim(s, " ")
	if s == "" || len(s) > MaxName || strings.ContainsAny(s, `/\*%"`) {
		return "", ErrName
	}
	name, err := precis.UsernameCaseMapped.String(s)
	if err != nil || len(name) > MaxName || strings.ContainsAny(name, `/\*%"`) {
		return "", ErrName
	}
	return name, nil
}
