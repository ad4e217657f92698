package auth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tidemark/sasl"
)

// If it fails, an app password does what it should not, or cannot be taken back.
func TestAppPasswords(t *testing.T) {
	h, passwords := newHouse(t, nil)
	ctx := t.Context()
	app, err := h.builtin.AddAppPassword(ctx, "alice", "phone", time.Time{})
	if err != nil || len(app) != 23 {
		t.Fatalf("%q, %v", app, err)
	}
	brief, err := h.builtin.AddAppPassword(ctx, "alice", "guest", h.now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.builtin.AddAppPassword(ctx, "alice", "phone", time.Time{}); !errors.Is(err, ErrAppPasswordExists) {
		t.Errorf("same name: %v", err)
	}
	for i, p := range []string{app, strings.ToUpper(app), strings.ReplaceAll(app, "-", " "), brief, passwords["alice"], app} {
		if got := h.try(t, "192.0.2.1", "alice", p); got != "ok" {
			t.Errorf("%d: %s", i, got)
		}
	}
	if got := h.try(t, "192.0.3.1", "bob", app); got != "failed" {
		t.Errorf("another's app password: %s", got)
	}
	if got := scramLogin(t, h, peer("192.0.2.1"), sasl.ScramSHA256, "alice", app, sasl.ChannelBinding{}); got != "ok" {
		t.Errorf("SCRAM: %s", got)
	}
	if !strings.Contains(h.log.String(), "app_password=phone") || strings.Contains(h.log.String(), app) {
		t.Errorf("log: %s", h.log)
	}
	r, err := h.builtin.Lookup(ctx, "alice")
	if err != nil || !r.AppPasswords[0].LastUsed.Equal(h.now().Truncate(time.Hour)) {
		t.Errorf("last used: %+v, %v", r, err)
	}

	h.advance(time.Hour)
	if got := h.try(t, "192.0.2.1", "alice", brief); got != "failed" {
		t.Errorf("expired: %s", got)
	}
	if err := h.builtin.SetPassword(ctx, "alice", "a new password"); err != nil {
		t.Fatal(err)
	}
	if got := scramLogin(t, h, peer("192.0.2.1"), sasl.ScramSHA256, "alice", app, sasl.ChannelBinding{}); got != "ok" {
		t.Errorf("SCRAM after a new password: %s", got)
	}
	if err := h.builtin.RevokeAppPassword(ctx, "alice", "phone"); err != nil {
		t.Fatal(err)
	}
	if got := h.try(t, "192.0.2.1", "alice", app); got != "failed" {
		t.Errorf("revoked: %s", got)
	}
	if err := h.builtin.RevokeAppPassword(ctx, "alice", "phone"); !errors.Is(err, ErrNoAppPassword) {
		t.Errorf("revoked twice: %v", err)
	}
}
