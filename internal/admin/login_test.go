package admin

import (
	"bytes"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"tidemark/internal/auth"
)

// If this fails, app passwords cannot be administered, or are found in the log.
func TestAppPasswords(t *testing.T) {
	both(t, func(t *testing.T, s Service) {
		ctx := t.Context()
		if err := s.AddUser(ctx, "ann", rand.Text()); err != nil {
			t.Fatal(err)
		}
		if list, err := s.AppPasswords(ctx, "ann"); err != nil || list == nil || len(list) != 0 {
			t.Errorf("at first: %v, %v", list, err)
		}
		end := time.Now().Add(24 * time.Hour).Truncate(time.Second)
		password, err := s.AddAppPassword(ctx, "Ann", "phone", end)
		if err != nil || len(password) < 20 {
			t.Errorf("AddAppPassword: %d characters, %v", len(password), err)
		}
		for _, bad := range []struct {
			user, name string
			want       Code
		}{{"ann", "phone", Exists}, {"ann", "", Invalid}, {"ann", "a\nb", Invalid}, {"ann", strings.Repeat("x", 101), Invalid}, {"bob", "x", NotFound}} {
			if _, err := s.AddAppPassword(ctx, bad.user, bad.name, time.Time{}); codeOf(err) != bad.want {
				t.Errorf("%q, %q: %v", bad.user, bad.name, err)
			}
		}
		list, err := s.AppPasswords(ctx, "ann")
		if err != nil || len(list) != 1 || list[0].Name != "phone" || !list[0].Expires.Equal(end) || !list[0].LastUsed.IsZero() {
			t.Errorf("AppPasswords: %+v, %v", list, err)
		}
		if err := s.RevokeAppPassword(ctx, "ann", "tablet"); codeOf(err) != NotFound {
			t.Errorf("revoking one that is not there: %v", err)
		}
		if err := s.RevokeAppPassword(ctx, "ann", "phone"); err != nil {
			t.Error(err)
		}
		if list, err := s.AppPasswords(ctx, "ann"); err != nil || len(list) != 0 {
			t.Errorf("in the end: %v, %v", list, err)
		}
	})
}

// If this fails, the log of the administration has no trace of who got an app password,
// or the password itself.
func TestAppPasswordInLog(t *testing.T) {
	var log bytes.Buffer
	s := serve(t, newLocal(t), &log)
	if err := s.AddUser(t.Context(), "ann", rand.Text()); err != nil {
		t.Fatal(err)
	}
	password, err := s.AddAppPassword(t.Context(), "ann", "phone", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "call=/v1/app-passwords/add user=ann name=phone") || strings.Contains(log.String(), password) {
		t.Errorf("log: %s", &log)
	}
}

// If this fails, a user stays in who was disabled, deleted or got another password; or is
// thrown out without need.
func TestChangesEndSessions(t *testing.T) {
	var ended []string
	s := newLocalWith(t, LocalOptions{EndSessions: func(user, reason string) int {
		ended = append(ended, user+": "+reason)
		return 0
	}})
	ctx := t.Context()
	if err := s.AddUser(ctx, "ann", rand.Text()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddAppPassword(ctx, "ann", "phone", time.Time{}); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		s.SetMaster(ctx, "ann", true), s.SetMaster(ctx, "ann", false), s.SetPassword(ctx, "Ann", rand.Text()),
		s.RevokeAppPassword(ctx, "ann", "phone"), s.SetDisabled(ctx, "ann", true), s.SetDisabled(ctx, "ann", false),
		s.DeleteUser(ctx, "ann"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := s.SetDisabled(ctx, "ann", true); codeOf(err) != NotFound {
		t.Error(err)
	}
	want := []string{
		"ann: user is no master any more", "ann: password changed", "ann: app password revoked", "ann: user disabled", "ann: user deleted",
	}
	if !slices.Equal(ended, want) {
		t.Errorf("ended %q, want %q", ended, want)
	}
}

// If this fails, an operator is told that nobody is slowed down when nobody could know.
func TestPenaltiesNeedAServer(t *testing.T) {
	both(t, func(t *testing.T, s Service) {
		_, list := s.Penalties(t.Context())
		_, why := s.WhySlow(t.Context(), "192.0.2.1")
		_, unban := s.Unban(t.Context(), "192.0.2.0/24")
		for _, err := range []error{list, why, unban} {
			if codeOf(err) != NotRunning {
				t.Error(err)
			}
		}
	})
}

// If this fails, an operator does not find out why a user cannot log in.
func TestObstacles(t *testing.T) {
	s := newLocalWith(t, LocalOptions{Guard: auth.NewGuard(nil, nil)})
	ctx := t.Context()
	if err := s.AddUser(ctx, "ann", rand.Text()); err != nil {
		t.Fatal(err)
	}
	expect := func(who, user, want string) {
		t.Helper()
		have, err := s.WhySlow(ctx, who)
		if err != nil || have.User != user || have.Obstacle != want || len(have.Penalties) != 0 {
			t.Errorf("%s: %+v, %v", who, have, err)
		}
	}
	expect("192.0.2.1", "", "")
	expect("Ann", "ann", "")
	expect("bob", "bob", "the data directory has no such user")
	if err := s.SetDisabled(ctx, "ann", true); err != nil {
		t.Fatal(err)
	}
	expect("ann", "ann", "the user is disabled")
	if _, err := s.WhySlow(ctx, "a b"); codeOf(err) != Invalid {
		t.Error(err)
	}
}
