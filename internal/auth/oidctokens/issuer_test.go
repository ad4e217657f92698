package oidctokens

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"tidemark/internal/testbed"
)

// issuer is a small OpenID provider on loopback.
type issuer struct {
	*httptest.Server
	t      *testing.T
	secret string    // of the client "tidemark"
	now    time.Time // stands still, so that tokens do not age while a slow machine checks them

	mu      sync.Mutex
	signing jose.JSONWebKey
	fetched int            // how often the keys were asked for
	broken  map[string]int // path → status to answer with
	opaque  map[string]any // token → answer of introspection
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t, secret: rand.Text() + "%:ü", now: time.Now(), broken: map[string]int{}, opaque: map[string]any{}}
	i.newKey("first")
	mux := http.NewServeMux()
	i.handle(mux, "/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) any {
		return map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "introspection_endpoint": i.URL + "/introspect"}
	})
	i.handle(mux, "/keys", func(http.ResponseWriter, *http.Request) any {
		i.fetched++
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.signing.Public()}}
	})
	i.handle(mux, "/introspect", i.introspect)
	i.Server = httptest.NewTLSServer(mux)
	t.Cleanup(i.Close)
	return i
}

// handle answers with what answer returns, unless the path is broken.
func (i *issuer) handle(mux *http.ServeMux, path string, answer func(http.ResponseWriter, *http.Request) any) {
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if status := i.broken[path]; status != 0 {
			w.WriteHeader(status)
			return
		}
		if body := answer(w, r); body != nil {
			_ = json.NewEncoder(w).Encode(body)
		}
	})
}

func (i *issuer) introspect(w http.ResponseWriter, r *http.Request) any {
	id, secret, _ := r.BasicAuth()
	secret, err := url.QueryUnescape(secret)
	if err != nil || id != "tidemark" || secret != i.secret || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	if answer, ok := i.opaque[r.PostFormValue("token")]; ok {
		return answer
	}
	return map[string]any{"active": false}
}

// fail makes a path answer with a status; 0 makes it whole.
func (i *issuer) fail(path string, status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.broken[path] = status
}

// newKey makes another key the only one.
func (i *issuer) newKey(id string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.signing = jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(jose.ES256), Use: "sig"}
}

// token signs the claims of a good token, changed by others; nil takes one out.
func (i *issuer) token(change map[string]any) string {
	i.t.Helper()
	i.mu.Lock()
	key := i.signing
	i.mu.Unlock()
	return sign(i.t, jose.ES256, key, i.claims(change))
}

func (i *issuer) claims(change map[string]any) map[string]any {
	c := map[string]any{
		"iss": i.URL, "aud": []string{"imap", "other"}, "sub": "4711", "email": "alice@example.org",
		"exp": i.now.Add(time.Hour).Unix(), "nbf": i.now.Add(-time.Minute).Unix(), "scope": "openid mail",
	}
	for name, value := range change {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// verifier is one for tokens of the issuer, with a clock that goes as told.
type verifier struct {
	*Verifier
	log   bytes.Buffer
	ahead time.Duration // of the issuer's time
}

func (i *issuer) verifier(change func(*Options)) *verifier {
	i.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(i.Certificate())
	v := &verifier{}
	opts := Options{
		Issuer: i.URL, Audience: []string{"imap"}, Scopes: []string{"mail"}, ClockSkew: time.Minute,
		TLS: &tls.Config{RootCAs: roots}, Timeout: testbed.Patience, Log: slog.New(slog.NewTextHandler(&v.log, nil)),
		Now: func() time.Time { return i.now.Add(v.ahead) },
	}
	if change != nil {
		change(&opts)
	}
	var err error
	if v.Verifier, err = New(opts); err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = v.Close() })
	return v
}
