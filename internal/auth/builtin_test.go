package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// If it fails, administration tells nothing of what went wrong, or does it anyway.
func TestBuiltinErrors(t *testing.T) {
	h, _ := newHouse(t, nil)
	ctx, b := t.Context(), h.builtin
	if err := b.SetPassword(ctx, "nobody", "a good password"); !errors.Is(err, ErrNoUser) {
		t.Errorf("SetPassword: %v", err)
	}
	if err := b.SetPassword(ctx, "alice", "short"); !errors.Is(err, ErrPolicy) {
		t.Errorf("SetPassword: %v", err)
	}
	if err := b.SetDisabled(ctx, "nobody", true); !errors.Is(err, ErrNoUser) {
		t.Errorf("SetDisabled: %v", err)
	}
	if _, err := b.AddAppPassword(ctx, "nobody", "x", time.Time{}); !errors.Is(err, ErrNoUser) {
		t.Errorf("AddAppPassword: %v", err)
	}
	for i := range maxAppPasswords {
		if _, err := b.AddAppPassword(ctx, "alice", string(rune('A'+i)), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.AddAppPassword(ctx, "alice", "more", time.Time{}); !errors.Is(err, ErrTooManyAppPassword) {
		t.Errorf("too many: %v", err)
	}
	h.dir.users["alice"] = []byte("damaged")
	if _, err := b.Lookup(ctx, "alice"); !errors.Is(err, ErrRecord) {
		t.Errorf("damaged record: %v", err)
	}
	if err := b.SetDisabled(ctx, "alice", true); !errors.Is(err, ErrRecord) || string(h.dir.users["alice"]) != "damaged" {
		t.Errorf("damaged record overwritten: %v", err)
	}
}

// If it fails, the list of a traveller's networks grows for ever.
func TestHomesAreBounded(t *testing.T) {
	h, passwords := newHouse(t, nil)
	for i := range 3 * maxHomesPerUser {
		if got := h.try(t, fmt.Sprintf("10.0.%d.1", i), "alice", passwords["alice"]); got != "ok" {
			t.Fatal(got)
		}
	}
	r, err := h.builtin.Lookup(t.Context(), "alice")
	if err != nil || len(r.Homes) != maxHomesPerUser || r.Homes[maxHomesPerUser-1] != netip.MustParsePrefix("10.0.47.0/24") {
		t.Errorf("%v, %v", r.Homes, err)
	}
	updates := h.dir.updates
	if got := h.try(t, "10.0.47.99", "alice", passwords["alice"]); got != "ok" || h.dir.updates != updates {
		t.Errorf("%s, %d updates", got, h.dir.updates-updates)
	}
}

// racing is a Directory in which somebody else is always quicker.
type racing struct {
	*memory
	meanwhile func()
}

func (r *racing) UpdateCredentials(ctx context.Context, user string, change func([]byte) ([]byte, error)) (bool, error) {
	if m := r.meanwhile; m != nil {
		r.meanwhile = nil
		m()
	}
	return r.memory.UpdateCredentials(ctx, user, change)
}

// If it fails, two changes at the same time leave app passwords without SCRAM, or an
// upgrade undoes a new password.
func TestBuiltinRaces(t *testing.T) {
	h, _ := newHouse(t, nil)
	ctx := t.Context()
	slow := &racing{memory: h.dir}
	b := NewBuiltin(slow, h.hasher, Policy{MinLength: 8}, h.now)

	slow.meanwhile = func() {
		if _, err := h.builtin.AddAppPassword(ctx, "alice", "phone", time.Time{}); err != nil {
			t.Error(err)
		}
	}
	if err := b.SetPassword(ctx, "alice", "the new password"); err != nil {
		t.Fatal(err)
	}
	r, err := b.Lookup(ctx, "alice")
	if err != nil || len(r.AppPasswords) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := h.try(t, "192.0.2.1", "alice", "the new password"); got != "ok" {
		t.Error(got)
	}

	slow.meanwhile = func() {
		if err := h.builtin.SetPassword(ctx, "bob", "a quicker password"); err != nil {
			t.Error(err)
		}
	}
	old, err := b.Lookup(ctx, "bob")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Upgrade(ctx, old, "the old password"); !errors.Is(err, errChanged) {
		t.Errorf("upgrade: %v", err)
	}
	if got := h.try(t, "192.0.2.1", "bob", "a quicker password"); got != "ok" {
		t.Error(got)
	}
}

// If it fails, each login decodes the user's record anew, or goes by one that has changed.
func TestDecodedRecordsFollowChanges(t *testing.T) {
	h, _ := newHouse(t, nil)
	ctx := t.Context()
	lookup := func() *Record {
		t.Helper()
		r, err := h.builtin.Lookup(ctx, "alice")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	before := lookup()
	if lookup() != before {
		t.Error("a record that has not changed was decoded again")
	}
	if err := h.builtin.SetDisabled(ctx, "alice", true); err != nil {
		t.Fatal(err)
	}
	if after := lookup(); before.Disabled || !after.Disabled {
		t.Errorf("disabled: before %v, after %v", before.Disabled, after.Disabled)
	}
	delete(h.dir.users, "alice")
	if _, err := h.builtin.Lookup(ctx, "alice"); !errors.Is(err, ErrNoUser) {
		t.Errorf("a deleted user: %v", err)
	}
}
