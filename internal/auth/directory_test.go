package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"tidemark/imapserver"
)

// memory is a Directory for tests.
type memory struct {
	mu      sync.Mutex
	users   map[string][]byte
	updates int
	err     error
}

func (m *memory) Credentials(_ context.Context, user string) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, found := m.users[user]
	return data, found, m.err
}

// UpdateCredentials runs change twice, as an engine may.
func (m *memory) UpdateCredentials(_ context.Context, user string, change func([]byte) ([]byte, error)) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, found := m.users[user]
	if !found {
		return false, m.err
	}
	if _, err := change(bytes.Clone(old)); err != nil {
		return true, err
	}
	data, err := change(bytes.Clone(old))
	if err != nil {
		return true, err
	}
	m.users[user] = data
	m.updates++
	return true, m.err
}

// house is an authenticator with a built-in source, a clock that stands still, and
// nobody who really sleeps.
type house struct {
	*Authenticator
	builtin *Builtin
	dir     *memory
	hasher  *Hasher
	log     *bytes.Buffer

	mu    sync.Mutex
	clock time.Time
	slept time.Duration
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock
}

func (h *house) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock = h.clock.Add(d)
}

// newHouse has the users alice, bob and eve, and a user without a password. change
// may set further options.
func newHouse(t *testing.T, change func(*Options)) (h *house, passwords map[string]string) {
	t.Helper()
	h = &house{
		dir:    &memory{users: map[string][]byte{"alice": nil, "bob": nil, "eve": nil, "empty": nil}},
		hasher: newHasher(64, 1, 4096),
		log:    &bytes.Buffer{},
		clock:  time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	h.builtin = NewBuiltin(h.dir, h.hasher, Policy{MinLength: 8, AllowWeakHashes: true}, h.now)
	opts := Options{
		Sources: []Source{h.builtin}, Hasher: h.hasher, Guard: NewGuard(nil, h.now), Now: h.now,
		Log: slog.New(slog.NewTextHandler(h.log, nil)),
	}
	if change != nil {
		change(&opts)
	}
	var err error
	if h.Authenticator, err = New(opts); err != nil {
		t.Fatal(err)
	}
	h.sleep = func(ctx context.Context, d time.Duration) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.slept = d
		return ctx.Err()
	}
	passwords = map[string]string{}
	for _, user := range []string{"alice", "bob", "eve"} {
		passwords[user] = rand.Text()
		if err := h.builtin.SetPassword(t.Context(), user, passwords[user]); err != nil {
			t.Fatal(err)
		}
	}
	return h, passwords
}

// peer is a connection from addr whose TLS is ended elsewhere.
func peer(addr string) imapserver.Peer {
	return imapserver.Peer{Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), 4242), TLS: tlsState(), ID: "c1"}
}

// try logs in and says how it ended in a word.
func (h *house) try(t *testing.T, addr, user, password string) string {
	t.Helper()
	_, err := h.Login(t.Context(), peer(addr), user, password)
	return outcome(err)
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, errFailed):
		return "failed"
	case errors.Is(err, errTooMany):
		return "too many"
	case errors.Is(err, errPrivacy):
		return "privacy"
	case errors.Is(err, errMaster):
		return "not master"
	case errors.Is(err, errNoSuch):
		return "no mechanism"
	}
	return err.Error()
}
