package oidctokens

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// claims is what a token says, or what the provider says of it.
type claims struct {
	Issuer    string     `json:"iss"`
	Audience  stringList `json:"aud"`
	Expires   numeric    `json:"exp"`
	NotBefore numeric    `json:"nbf"`
	Scope     stringList `json:"scope"` // RFC 8693 §4.2: separated by spaces
	Scopes    stringList `json:"scp"`   // the form of Microsoft and Okta
	ClientID  string     `json:"client_id"`

	// asked says that the provider was asked, whose answer need not have all of it
	// (RFC 7662 §2.2).
	asked bool
	all   map[string]json.RawMessage
}

// UnmarshalJSON keeps the claims whose names are the operator's choice too.
func (c *claims) UnmarshalJSON(data []byte) error {
	type plain claims
	if err := json.Unmarshal(data, (*plain)(c)); err != nil {
		return err
	}
	return json.Unmarshal(data, &c.all)
}

// stringList is one string or several.
type stringList []string

// UnmarshalJSON reads a string or a list of strings.
func (l *stringList) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*l = stringList{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// words returns the parts that spaces separate.
func (l stringList) words() []string { return strings.Fields(strings.Join(l, " ")) }

// numeric is a NumericDate (RFC 7519 §2): seconds, maybe with a fraction. Zero
// stands for none.
type numeric float64

func (n numeric) time() time.Time { return time.Unix(int64(n), 0) }

// checkClaims says why a token is no good here.
func (v *Verifier) checkClaims(c *claims) error {
	now, skew := v.opts.Now(), v.opts.ClockSkew
	audience := c.Audience
	if c.asked && len(audience) == 0 {
		audience = stringList{c.ClientID}
	}
	switch {
	case c.Issuer != v.opts.Issuer && !(c.asked && c.Issuer == ""):
		return errors.New("of another issuer")
	case !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(v.opts.Audience, a) }):
		return fmt.Errorf("for another audience: %.100q", audience)
	case c.Expires <= 0 && !c.asked:
		return errors.New("without an end")
	case c.Expires != 0 && !now.Before(c.Expires.time().Add(skew)):
		return errors.New("expired")
	case c.NotBefore != 0 && now.Before(c.NotBefore.time().Add(-skew)):
		return errors.New("not valid yet")
	}
	granted := append(c.Scope.words(), c.Scopes.words()...)
	for _, scope := range v.opts.Scopes {
		if !slices.Contains(granted, scope) {
			return fmt.Errorf("lacks the scope %s", scope)
		}
	}
	return nil
}

// user returns the value of the claim that names the user.
func (c *claims) user(claim string) (string, error) {
	var name string
	if err := json.Unmarshal(c.all[claim], &name); err != nil || name == "" {
		return "", fmt.Errorf("has no text in the claim %s", claim)
	}
	// OpenID Connect Core §5.1: an address that is not verified is what somebody
	// has typed in.
	verified := strings.Trim(string(c.all["email_verified"]), `"`) // some write it as a string
	if claim == "email" && verified != "" && verified != "true" {
		return "", errors.New("of a user whose address is not verified")
	}
	return name, nil
}
