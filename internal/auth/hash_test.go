package auth

import (
	"errors"
	"strings"
	"testing"
)

// If it fails, imported hashes do not work or stay weak for ever.
func TestUpgrade(t *testing.T) {
	h, _ := newHouse(t, nil)
	ctx := t.Context()
	const old = "{SSHA512.B64}MaB6A+6CR8ap7V+KnYMkRXNv2+DP4eLsZUsFcC/jQ5p4xrJhOrn2YkqVrPFEJFux/GKbrOJ9sASs2utl3boP8wPhyGY="
	if err := h.builtin.SetHash(ctx, "alice", old); err != nil {
		t.Fatal(err)
	}
	if got := h.try(t, "192.0.2.1", "alice", "wrong"); got != "failed" {
		t.Fatal(got)
	}
	if r, err := h.builtin.Lookup(ctx, "alice"); err != nil || r.Hash != old {
		t.Errorf("changed by a wrong password: %+v, %v", r, err)
	}
	for range 2 {
		if got := h.try(t, "192.0.2.1", "alice", "pass wörd"); got != "ok" {
			t.Fatal(got)
		}
	}
	r, err := h.builtin.Lookup(ctx, "alice")
	if err != nil || h.hasher.outdated(r.Hash) || r.Scram == nil {
		t.Errorf("not upgraded: %+v, %v", r, err)
	}
	updates := h.dir.updates
	h.advance(cacheTime)
	if got := h.try(t, "192.0.2.1", "alice", "pass wörd"); got != "ok" || h.dir.updates != updates {
		t.Errorf("%s, %d updates", got, h.dir.updates-updates)
	}
	if err := h.builtin.SetHash(ctx, "alice", "{ROT13}cnff"); !errors.Is(err, errScheme) {
		t.Errorf("unknown scheme: %v", err)
	}
}

// If it fails, a hash is taken that nobody can log in with, or that gives the password
// away, or an error shows it.
func TestSetHashRefuses(t *testing.T) {
	h, _ := newHouse(t, nil)
	strict := NewBuiltin(h.dir, h.hasher, Policy{MinLength: 8}, h.now)
	for _, hash := range []string{"", "S3NTINEL", "{SHA512-CRYPT}$6$S3NTINEL", "{PBKDF2}S3NTINEL", "{SCRAM-SHA-256}S3NTINEL", "{PLAIN}S3NTINEL"} {
		if err := strict.SetHash(t.Context(), "alice", hash); !errors.Is(err, ErrHash) || strings.Contains(err.Error(), "S3NTINEL") {
			t.Errorf("%s: %v", hash, err)
		}
	}
	if err := h.builtin.SetHash(t.Context(), "alice", "{SSHA256}S3NTINEL"); !errors.Is(err, ErrHash) {
		t.Errorf("broken digest: %v", err)
	}
}
