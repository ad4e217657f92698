package oidctokens

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// keySet is the provider's keys. They are fetched anew for a token that none of them
// has signed, but not for each such token.
type keySet struct {
	remote *oidc.RemoteKeySet
}

func newKeySet(address string, client *http.Client, now func() time.Time) *keySet {
	paced := *client
	paced.Transport = &pacedTransport{base: client.Transport, now: now}
	return &keySet{oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), &paced), address)}
}

// watchedKeys tells trouble with the keys, during one check, from a bad signature.
type watchedKeys struct {
	*keySet
	trouble error
}

// VerifySignature implements oidc.KeySet.
func (k *watchedKeys) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.remote.VerifySignature(ctx, jwt)
	if _, failed := errors.AsType[*fetchError](err); failed || ctx.Err() != nil {
		k.trouble = err
	}
	return payload, err
}

// fetchError is about a request that failed, in whatever way.
type fetchError struct{ err error }

func (e *fetchError) Error() string { return e.err.Error() }
func (e *fetchError) Unwrap() error { return e.err }

// errTooSoon is returned instead of keys that were fetched just now.
var errTooSoon = errors.New("signed by no known key")

// pacedTransport makes at most one request in retryPause.
type pacedTransport struct {
	base http.RoundTripper
	now  func() time.Time

	mu   sync.Mutex
	last time.Time
	err  error // how the last request ended
}

// RoundTrip implements http.RoundTripper.
func (t *pacedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.now(); t.last.IsZero() || now.Sub(t.last) >= retryPause {
		t.last = now
		resp, err := t.fetch(r)
		if t.err = nil; err != nil {
			t.err = &fetchError{err}
		}
		return resp, t.err
	}
	if t.err != nil {
		return nil, t.err
	}
	return nil, errTooSoon
}

// fetch returns an answer only if it is complete and a JSON text.
func (t *pacedTransport) fetch(r *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("answered %s", resp.Status)
	case !json.Valid(body):
		return nil, errors.New("answered with what is not JSON")
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// boundedTransport cuts answers that are too long.
type boundedTransport struct{ base *http.Transport }

// RoundTrip implements http.RoundTripper.
func (t *boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = boundedBody{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}

// CloseIdleConnections is what http.Client looks for.
func (t *boundedTransport) CloseIdleConnections() { t.base.CloseIdleConnections() }

type boundedBody struct {
	io.Reader
	io.Closer
}
