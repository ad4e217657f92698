package oidctokens

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"tidemark/imapserver"
	"tidemark/internal/auth"
	"tidemark/internal/testbed"
	"tidemark/sasl"
)

func TestMain(m *testing.M) { testbed.Main(m) }

var _ auth.TokenVerifier = (*Verifier)(nil)

// check verifies a token and says how it ended.
func (v *verifier) check(token string) string {
	user, err := v.VerifyToken(context.Background(), token)
	switch {
	case err == nil:
		return user
	case errors.Is(err, sasl.ErrToken) && errors.Is(err, imapserver.ErrUnavailable):
		return "both"
	case errors.Is(err, sasl.ErrToken):
		return "no"
	case errors.Is(err, imapserver.ErrUnavailable):
		return "unavailable"
	}
	return err.Error()
}

// await checks the token until it ends so. Who asks in the moment in which a request for
// keys ends may get the answer of that one, or be told by the keys from before it.
func (v *verifier) await(t *testing.T, token, want string) {
	t.Helper()
	got := v.check(token)
	for end := time.Now().Add(testbed.Patience); got != want && time.Now().Before(end); time.Sleep(time.Millisecond) {
		got = v.check(token)
	}
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// If it fails, a token is good that is not the provider's, not for us, or not any
// more.
func TestSignedTokens(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	now := i.now
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := i.token(nil)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	for name, tt := range map[string]struct{ token, want string }{
		"good":               {good, "alice@example.org"},
		"one audience":       {i.token(map[string]any{"aud": "imap"}), "alice@example.org"},
		"scp":                {i.token(map[string]any{"scope": nil, "scp": []string{"mail"}}), "alice@example.org"},
		"just expired":       {i.token(map[string]any{"exp": now.Add(-30 * time.Second).Unix()}), "alice@example.org"},
		"verified":           {i.token(map[string]any{"email_verified": "true"}), "alice@example.org"},
		"expired":            {i.token(map[string]any{"exp": now.Add(-2 * time.Minute).Unix()}), "no"},
		"without an end":     {i.token(map[string]any{"exp": nil}), "no"},
		"not yet":            {i.token(map[string]any{"nbf": now.Add(2 * time.Minute).Unix()}), "no"},
		"another audience":   {i.token(map[string]any{"aud": "other"}), "no"},
		"no audience":        {i.token(map[string]any{"aud": nil, "client_id": "imap"}), "no"},
		"another issuer":     {i.token(map[string]any{"iss": "https://other.example"}), "no"},
		"no issuer":          {i.token(map[string]any{"iss": nil}), "no"},
		"lacks the scope":    {i.token(map[string]any{"scope": "openid mailbox"}), "no"},
		"no user":            {i.token(map[string]any{"email": nil}), "no"},
		"user is no text":    {i.token(map[string]any{"email": []string{"alice"}}), "no"},
		"not verified":       {i.token(map[string]any{"email_verified": false}), "no"},
		"not verified, text": {i.token(map[string]any{"email_verified": "false"}), "no"},
		"stranger's key":     {sign(t, jose.ES256, jose.JSONWebKey{Key: stranger, KeyID: "first"}, i.claims(nil)), "no"},
		"no signature":       {none, "no"},
		"by a secret":        {sign(t, jose.HS256, []byte(strings.Repeat("k", 64)), i.claims(nil)), "no"},
		"changed":            {parts[0] + "." + strings.ToUpper(parts[1]) + "." + parts[2], "no"},
		"not a token":        {"abc", "no"},
		"empty":              {"", "no"},
		"long":               {strings.Repeat("a", maxToken+1), "no"},
	} {
		if got := v.check(tt.token); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	if log := v.log.String(); !strings.Contains(log, "lacks the scope mail") || strings.Contains(log, parts[2]) {
		t.Errorf("log: %s", log)
	}
	other := i.verifier(func(o *Options) { o.UserClaim = "sub" })
	if got := other.check(good); got != "4711" {
		t.Errorf("another claim: %s", got)
	}
}

// If it fails, a provider that changes its keys locks everybody out, or strangers can
// make us ask for keys without end.
func TestKeysChange(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	old := i.token(nil)
	if got := v.check(old); got != "alice@example.org" {
		t.Fatal(got)
	}
	i.newKey("second")
	fresh := i.token(nil)
	for range 5 {
		if got := v.check(fresh); got != "no" {
			t.Errorf("at once: %s", got)
		}
	}
	i.mu.Lock()
	fetched := i.fetched
	i.mu.Unlock()
	if fetched != 1 {
		t.Errorf("asked %d times", fetched)
	}
	v.ahead += retryPause
	v.await(t, fresh, "alice@example.org")
	v.ahead += retryPause
	v.await(t, old, "no")
}

// If it fails, a provider that is down looks like a bad token, which programs throw
// away, or is not found again.
func TestProviderDown(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	token := i.token(nil)
	for _, path := range []string{"/.well-known/openid-configuration", "/keys"} {
		for _, status := range []int{http.StatusInternalServerError, http.StatusNotFound} {
			i.fail(path, status)
			for range 2 {
				if got := v.check(token); got != "unavailable" {
					t.Errorf("%s answers %d: %s", path, status, got)
				}
			}
			v.ahead += retryPause
		}
		i.fail(path, 0)
	}
	v.await(t, token, "alice@example.org")
	v.ahead += metadataAge
	i.fail("/.well-known/openid-configuration", http.StatusBadGateway)
	long := i.token(map[string]any{"exp": i.now.Add(2 * metadataAge).Unix()})
	if got := v.check(long); got != "alice@example.org" {
		t.Errorf("with what was known: %s", got)
	}

	untrusted := i.verifier(func(o *Options) { o.TLS = nil })
	if got := untrusted.check(token); got != "unavailable" {
		t.Errorf("provider of an unknown authority: %s", got)
	}
	other := i.verifier(func(o *Options) { o.Issuer += "/" })
	if got := other.check(token); got != "unavailable" {
		t.Errorf("provider with another name: %s", got)
	}
}

// If it fails, a token is good of which the provider says otherwise, or which is for
// another service.
func TestIntrospection(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(func(o *Options) { o.Introspect, o.ClientID, o.ClientSecret = true, "tidemark", i.secret })
	answer := func(change map[string]any) map[string]any {
		c := i.claims(change)
		if _, ok := c["active"]; !ok {
			c["active"] = true
		}
		return c
	}
	i.opaque = map[string]any{
		"good":             answer(nil),
		"little":           map[string]any{"active": true, "client_id": "imap", "scope": "mail", "email": "bob@example.org"},
		"inactive":         answer(map[string]any{"active": false}),
		"expired":          answer(map[string]any{"exp": i.now.Add(-time.Hour).Unix()}),
		"another audience": answer(map[string]any{"aud": "other"}),
		"another client":   map[string]any{"active": true, "client_id": "other", "scope": "mail", "email": "bob@example.org"},
		"another issuer":   answer(map[string]any{"iss": "https://other.example"}),
		"no scope":         answer(map[string]any{"scope": nil}),
		"not a bool":       answer(map[string]any{"active": "true"}),
		"not an object":    "active",
	}
	for token, want := range map[string]string{
		"good": "alice@example.org", "little": "bob@example.org", "inactive": "no", "unknown": "no", "expired": "no",
		"another audience": "no", "another client": "no", "another issuer": "no", "no scope": "no",
		"not a bool": "unavailable", "not an object": "unavailable",
	} {
		if got := v.check(token); got != want {
			t.Errorf("%s: %s, want %s", token, got, want)
		}
	}
	i.mu.Lock()
	delete(i.opaque, "good")
	i.mu.Unlock()
	if got := v.check("good"); got != "no" {
		t.Errorf("revoked: %s", got)
	}
	i.fail("/introspect", http.StatusServiceUnavailable)
	if got := v.check("little"); got != "unavailable" {
		t.Errorf("provider down: %s", got)
	}
	i.fail("/introspect", 0)
	wrong := i.verifier(func(o *Options) { o.Introspect, o.ClientID, o.ClientSecret = true, "tidemark", "wrong" })
	if got := wrong.check("little"); got != "unavailable" {
		t.Errorf("wrong secret of ours: %s", got)
	}
}

// If it fails, clients are not told where to get a token (RFC 7628 §3.2.2).
func TestChallenge(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	refuse := func(_, token string) (sasl.Identity, error) {
		_, err := v.VerifyToken(t.Context(), token)
		return sasl.Identity{}, err
	}
	s := sasl.NewOAuthBearerServer(refuse, v.Hint())
	challenge, done, err := s.Next([]byte("n,a=alice,\x01auth=Bearer abc\x01\x01"))
	want := `{"status":"invalid_token","scope":"mail","openid-configuration":"` + i.URL + `/.well-known/openid-configuration"}`
	if err != nil || done || string(challenge) != want {
		t.Errorf("have %s, %v, want %s", challenge, err, want)
	}
	if _, _, err := s.Next([]byte{1}); !errors.Is(err, sasl.ErrToken) {
		t.Errorf("after the challenge: %v", err)
	}
}

// If it fails, a configuration is accepted that takes tokens meant for others, or from
// anybody on the way.
func TestBadOptions(t *testing.T) {
	good := Options{Issuer: "https://id.example.org/realm", Audience: []string{"imap"}}
	for want, change := range map[string]func(*Options){
		"is not safe":      func(o *Options) { o.Issuer = "http://id.example.org" },
		"is not a URL":     func(o *Options) { o.Issuer = "id.example.org" },
		"no audience":      func(o *Options) { o.Audience = nil },
		"name and secret":  func(o *Options) { o.Introspect, o.ClientID = true, "x" },
		"invalid URL esca": func(o *Options) { o.Issuer = "https://%zz" },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, have %v", want, err)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

// FuzzClaims: no claims, signed or told, end the server or make a user without a
// name.
func FuzzClaims(f *testing.F) {
	for _, text := range []string{
		`{"iss":"https://a","aud":"imap","exp":1e99,"email":"a"}`, `{"aud":[1]}`, `null`, `[]`, `{"exp":-1,"nbf":1e308,"scp":[]}`, `{"email":null}`,
	} {
		f.Add(text)
	}
	v, err := New(Options{Issuer: "https://a", Audience: []string{"imap"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := &claims{}
		if c.UnmarshalJSON([]byte(text)) != nil || v.checkClaims(c) != nil {
			return
		}
		if user, err := c.user("email"); err == nil && user == "" {
			t.Errorf("%s names nobody", text)
		}
	})
}
