package sasl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// TokenFunc checks a bearer token. user is whom the client claims to be; it may
// be empty. An error that wraps ErrToken is told to the client in the mechanism's
// own way before the exchange fails with it; any other ends the exchange at once.
type TokenFunc func(user, token string) (Identity, error)

// ErrToken is wrapped by the errors of a TokenFunc that refuses a token.
var ErrToken = errors.New("token not accepted")

// OAuthHint is what a client is told that came with an unusable token
// (RFC 7628 §3.2.2). Both parts may be empty.
type OAuthHint struct {
	Scope         string // the scope that a token needs
	Configuration string // URL of the provider's OpenID configuration
}

// NewOAuthBearerServer returns the server's side of OAUTHBEARER (RFC 7628).
func NewOAuthBearerServer(check TokenFunc, hint OAuthHint) Server {
	challenge, err := json.Marshal(struct {
		Status        string `json:"status"`
		Scope         string `json:"scope,omitempty"`
		Configuration string `json:"openid-configuration,omitempty"`
	}{"invalid_token", hint.Scope, hint.Configuration})
	if err != nil {
		panic(err) // strings always marshal
	}
	return &oauthServer{check: check, parse: parseOAuthBearer, challenge: challenge}
}

// NewXOAuth2Server returns the server's side of XOAUTH2, the older form that
// Google and Microsoft defined and most programs speak.
func NewXOAuth2Server(check TokenFunc, hint OAuthHint) Server {
	challenge, err := json.Marshal(struct {
		Status  string `json:"status"`
		Schemes string `json:"schemes"`
		Scope   string `json:"scope,omitempty"`
	}{"401", "bearer", hint.Scope})
	if err != nil {
		panic(err) // strings always marshal
	}
	return &oauthServer{check: check, parse: parseXOAuth2, challenge: challenge}
}

type oauthServer struct {
	check     TokenFunc
	parse     func([]byte) (user, token string, err error)
	challenge []byte
	id        Identity
	refused   error // the token was bad; the client owes an empty answer
	started   bool
	ended     bool
}

func (s *oauthServer) Next(response []byte) ([]byte, bool, error) {
	if s.refused != nil {
		// RFC 7628 §3.2.3: whatever the client says to the error, the exchange has
		// failed. XOAUTH2 clients send nothing, OAUTHBEARER ones %x01.
		s.ended = true
		err := s.refused
		s.refused = nil
		return nil, false, err
	}
	if s.ended {
		return nil, false, fmt.Errorf("%w: response after the end", ErrSyntax)
	}
	if response == nil && !s.started {
		s.started = true
		return nil, false, nil
	}
	s.started = true
	user, token, err := s.parse(response)
	if err == nil {
		s.id, err = s.check(user, token)
	}
	switch {
	case err == nil:
		s.ended = true
		return nil, true, nil
	case errors.Is(err, ErrToken):
		s.refused = err
		return s.challenge, false, nil
	default:
		s.ended = true
		return nil, false, err
	}
}

func (s *oauthServer) Identity() Identity { return s.id }

// parseOAuthBearer reads client-resp of RFC 7628 §3.1.
func parseOAuthBearer(response []byte) (user, token string, err error) {
	header, pairs, ok := bytes.Cut(response, []byte{1})
	if !ok || !utf8.Valid(response) {
		return "", "", fmt.Errorf("%w: OAUTHBEARER", ErrSyntax)
	}
	// RFC 5801 §4: gs2-cb-flag "," [authzid] ",". Binding is not of use with a
	// bearer token, so that "p" is refused.
	flag, rest, ok := strings.Cut(string(header), ",")
	authzid, rest, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 || rest != "" || (flag != "n" && flag != "y") {
		return "", "", fmt.Errorf("%w: OAUTHBEARER header", ErrSyntax)
	}
	if authzid != "" {
		name, found := strings.CutPrefix(authzid, "a=")
		if user, ok = decodeScramName(name); !found || !ok {
			return "", "", fmt.Errorf("%w: OAUTHBEARER header", ErrSyntax)
		}
	}
	token, err = bearerToken(pairs)
	return user, token, err
}

// parseXOAuth2 reads "user=" name ^A "auth=Bearer " token ^A ^A.
func parseXOAuth2(response []byte) (user, token string, err error) {
	first, pairs, ok := bytes.Cut(response, []byte{1})
	name, found := bytes.CutPrefix(first, []byte("user="))
	if !ok || !found || !utf8.Valid(response) {
		return "", "", fmt.Errorf("%w: XOAUTH2", ErrSyntax)
	}
	token, err = bearerToken(pairs)
	return string(name), token, err
}

// bearerToken finds auth=Bearer among key=value pairs, each ended by ^A, with one
// more ^A after the last.
func bearerToken(pairs []byte) (string, error) {
	token := ""
	for len(pairs) > 1 {
		pair, rest, ok := bytes.Cut(pairs, []byte{1})
		key, value, ok2 := strings.Cut(string(pair), "=")
		if !ok || !ok2 || key == "" {
			return "", fmt.Errorf("%w: key=value pair", ErrSyntax)
		}
		if key == "auth" {
			scheme, credentials, _ := strings.Cut(value, " ")
			if !strings.EqualFold(scheme, "Bearer") || token != "" {
				return "", fmt.Errorf("%w: auth is not one bearer token", ErrSyntax)
			}
			token = strings.Trim(credentials, " ")
		}
		pairs = rest
	}
	if len(pairs) != 1 || pairs[0] != 1 || !isB64Token(token) {
		return "", fmt.Errorf("%w: no bearer token", ErrSyntax)
	}
	return token, nil
}

// isB64Token says whether s is a b64token (RFC 6750 §2.1).
func isB64Token(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		c := body[i]
		alnum := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !alnum && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return body != ""
}
