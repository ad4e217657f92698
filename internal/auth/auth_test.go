package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/sasl"
)

func tlsState() *tls.ConnectionState { return &tls.ConnectionState{} }

// loginTest is a login, what comes of it, and the reason that the log gives.
type loginTest struct{ user, password, want, reason string }

func (h *house) checkLogins(t *testing.T, tests []loginTest) {
	t.Helper()
	for i, tt := range tests {
		h.log.Reset()
		before := h.hasher.count.Load()
		got := h.try(t, fmt.Sprintf("192.0.%d.1", i), tt.user, tt.password)
		if got != tt.want || !strings.Contains(h.log.String(), tt.reason) {
			t.Errorf("%q: %s, want %s; log: %s", tt.user, got, tt.want, h.log)
		}
		// The time must not tell why it failed. Counting hashes is exact, a clock is not.
		if n := h.hasher.count.Load() - before; tt.want == "failed" && n != 1 {
			t.Errorf("%q, %s: %d hashes", tt.user, tt.reason, n)
		}
	}
}

// If it fails, somebody gets in who should not, or does not who should.
func TestLogin(t *testing.T) {
	h, passwords := newHouse(t, nil)
	if err := h.builtin.SetDisabled(t.Context(), "eve", true); err != nil {
		t.Fatal(err)
	}
	h.checkLogins(t, []loginTest{
		{"alice", passwords["alice"], "ok", ""},
		{"ALICE ", passwords["alice"], "ok", ""},
		{"alice", passwords["bob"], "failed", "wrong password"},
		{"alice", "", "failed", "wrong password"},
		{"alice", passwords["alice"] + " ", "failed", "wrong password"},
		{"alice", strings.Repeat("x", 1<<20), "failed", "wrong password"},
		{"nobody", passwords["alice"], "failed", "unknown user"},
		{"ali/ce", passwords["alice"], "failed", "unknown user"},
		{"", passwords["alice"], "failed", "unknown user"},
		{"empty", "", "failed", "user has no password"},
		{"empty", passwords["alice"], "failed", "user has no password"},
		{"eve", passwords["eve"], "failed", "user is disabled"},
		{"eve", "wrong", "failed", "wrong password"},
	})
}

// If it fails, the text of a refusal tells whether the user exists.
func TestRefusalsAreAlike(t *testing.T) {
	h, passwords := newHouse(t, nil)
	if err := h.builtin.SetDisabled(t.Context(), "eve", true); err != nil {
		t.Fatal(err)
	}
	var want *imap.Error
	for i, c := range [][2]string{{"alice", "wrong password"}, {"nobody", "x"}, {"eve", passwords["eve"]}, {"empty", "x"}, {"a b", "x"}} {
		_, err := h.Login(t.Context(), peer(fmt.Sprintf("192.0.%d.1", i)), c[0], c[1])
		got, ok := errors.AsType[*imap.Error](err)
		if !ok || got.Code != imap.CodeAuthenticationFailed || want != nil && *got != *want {
			t.Errorf("%s: %v", c[0], err)
		}
		want = got
	}
}

// If it fails, passwords cross the network in the clear.
func TestPrivacy(t *testing.T) {
	h, passwords := newHouse(t, func(o *Options) {
		o.AllowInsecureFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	for addr, want := range map[string]string{"127.0.0.1": "ok", "::ffff:127.0.0.9": "ok", "192.0.2.1": "privacy", "::1": "privacy"} {
		p := peer(addr)
		p.TLS = nil
		_, err := h.Login(t.Context(), p, "alice", passwords["alice"])
		if got := outcome(err); got != want {
			t.Errorf("%s: %s", addr, got)
		}
		_, err = h.Begin(t.Context(), p, sasl.Plain)
		if got := outcome(err); got != want {
			t.Errorf("%s: AUTHENTICATE: %s", addr, got)
		}
		if n := len(h.Mechanisms(p)); n > 0 != (want == "ok") {
			t.Errorf("%s: %d mechanisms", addr, n)
		}
	}
}

// If it fails, phones that come every minute cost a hash each, or a changed password
// goes on to be good.
func TestVerifiedPasswordsAreRemembered(t *testing.T) {
	h, passwords := newHouse(t, nil)
	hashes := func(want string, password string) int64 {
		t.Helper()
		before := h.hasher.count.Load()
		if got := h.try(t, "192.0.2.1", "alice", password); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		return h.hasher.count.Load() - before
	}
	old := passwords["alice"]
	if n := hashes("ok", old); n != 1 {
		t.Errorf("first: %d hashes", n)
	}
	if n := hashes("ok", old); n != 0 {
		t.Errorf("second: %d hashes", n)
	}
	if n := hashes("failed", "other password"); n != 1 {
		t.Errorf("wrong: %d hashes", n)
	}
	h.advance(cacheTime)
	if n := hashes("ok", old); n != 1 {
		t.Errorf("after a while: %d hashes", n)
	}
	if err := h.builtin.SetDisabled(t.Context(), "alice", true); err != nil {
		t.Fatal(err)
	}
	hashes("failed", old)
	if err := h.builtin.SetDisabled(t.Context(), "alice", false); err != nil {
		t.Fatal(err)
	}
	hashes("ok", old)
	if err := h.builtin.SetPassword(t.Context(), "alice", "another password"); err != nil {
		t.Fatal(err)
	}
	hashes("failed", old)
	hashes("ok", "another password")
	delete(h.dir.users, "alice")
	hashes("failed", "another password")
}

// If it fails, mechanisms are offered that cannot work, so that programs that prefer
// them cannot log in at all.
func TestMechanisms(t *testing.T) {
	h, _ := newHouse(t, nil)
	if got, want := h.Mechanisms(peer("192.0.2.1")), []string{sasl.ScramSHA256, sasl.Plain, sasl.Login}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	path := filepath.Join(t.TempDir(), "users")
	const carol = "carol:$6$rounds=1000$kkfeBsZA2liu3STl$m1h5.koFbgyA2f9BW5iS3TyFBBvMFcr98fQnFptDvVRqS3j4wSBaW0cURB2t/2BI4nwvztfNyjnp5wqw2BQrg1\n"
	if err := os.WriteFile(path, []byte(carol), 0o600); err != nil {
		t.Fatal(err)
	}
	h2, passwords := newHouse(t, func(o *Options) {
		f, err := NewPasswdFile(path, PasswdFileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		o.Sources = append(o.Sources, f)
	})
	if got, want := h2.Mechanisms(peer("192.0.2.1")), []string{sasl.Plain, sasl.Login}; !slices.Equal(got, want) {
		t.Errorf("with a passwd-file: %v, want %v", got, want)
	}
	if got := h2.try(t, "192.0.2.1", "carol", "pass wörd"); got != "ok" {
		t.Errorf("user of the second source: %s", got)
	}
	if got := h2.try(t, "192.0.2.1", "alice", passwords["alice"]); got != "ok" {
		t.Errorf("user of the first source: %s", got)
	}
	if _, err := New(Options{Sources: []Source{h.builtin}, Hasher: h.hasher, Mechanisms: []string{"ANONYMOUS"}}); err == nil {
		t.Error("ANONYMOUS accepted")
	}
}

// If it fails, trouble of the store looks like a wrong password, and programs ask
// their users for a new one.
func TestUnavailable(t *testing.T) {
	h, passwords := newHouse(t, nil)
	h.dir.err = imapserver.ErrUnavailable
	_, err := h.Login(t.Context(), peer("192.0.2.1"), "alice", passwords["alice"])
	if !errors.Is(err, imapserver.ErrUnavailable) || outcome(err) == "failed" {
		t.Errorf("got %v", err)
	}
	h.dir.err = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = h.Login(ctx, peer("192.0.2.1"), "alice", passwords["alice"]); !errors.Is(err, context.Canceled) {
		t.Errorf("after the client has gone: %v", err)
	}
	if why := h.Guard().Why(netip.MustParseAddr("192.0.2.1")); len(why) != 0 {
		t.Errorf("counted: %+v", why)
	}
}

// If it fails, there is a data race, or concurrent logins lose each other.
func TestConcurrent(t *testing.T) {
	h, passwords := newHouse(t, func(o *Options) { o.Log = nil })
	h.opts.Log = discard()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 10 {
				addr := fmt.Sprintf("10.%d.%d.1", i, j)
				if got := h.try(t, addr, "alice", passwords["alice"]); got != "ok" {
					t.Errorf("right: %s", got)
				}
				if got := h.try(t, addr, "bob", "wrong"); got != "failed" {
					t.Errorf("wrong: %s", got)
				}
				h.Guard().Penalties()
			}
		})
	}
	group.Go(func() {
		for i := range 5 {
			if err := h.builtin.SetPassword(t.Context(), "eve", fmt.Sprintf("password %d", i)); err != nil {
				t.Error(err)
			}
		}
	})
	group.Wait()
}
