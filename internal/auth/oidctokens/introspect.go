package oidctokens

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"tidemark/sasl"
)

// introspect asks the provider about a token (RFC 7662 §2).
func (v *Verifier) introspect(ctx context.Context, p *provider, token string) (*claims, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.introspection, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, unavailable("introspection", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	// RFC 6749 §2.3.1: both are form-encoded before they go into the header.
	request.SetBasicAuth(url.QueryEscape(v.opts.ClientID), url.QueryEscape(v.opts.ClientSecret))
	resp, err := v.client.Do(request)
	if err != nil {
		return nil, unavailable("introspection", err)
	}
	defer resp.Body.Close()
	// A token that is no good is no error (§2.2); any other status is about us.
	if resp.StatusCode != http.StatusOK {
		return nil, unavailable("introspection", fmt.Errorf("answered %s", resp.Status))
	}
	c := &claims{asked: true}
	if err := json.NewDecoder(resp.Body).Decode(c); err != nil {
		return nil, unavailable("introspection", err)
	}
	var active bool
	if err := json.Unmarshal(c.all["active"], &active); err != nil {
		return nil, unavailable("introspection", fmt.Errorf("does not say whether the token is active: %w", err))
	}
	if !active {
		return nil, fmt.Errorf("%w: not active", sasl.ErrToken)
	}
	return c, nil
}
