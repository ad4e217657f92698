package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"tidemark/imapserver"
	"tidemark/sasl"
)

// elsewhere is a source that checks passwords itself.
type elsewhere struct {
	records   map[string]*Record
	passwords map[string]string
	checks    int
	lookupErr error
	checkErr  error
}

func (e *elsewhere) Name() string              { return "elsewhere" }
func (e *elsewhere) Scram(sasl.ScramHash) bool { return false }
func (e *elsewhere) Decoy() string             { return "" }

func (e *elsewhere) Lookup(_ context.Context, user string) (*Record, error) {
	if e.lookupErr != nil {
		return nil, e.lookupErr
	}
	if r, ok := e.records[user]; ok {
		return r, nil
	}
	return nil, ErrNoUser
}

func (e *elsewhere) CheckPassword(_ context.Context, r *Record, password string) error {
	e.checks++
	if e.checkErr != nil {
		return e.checkErr
	}
	if e.passwords[r.Name] != password {
		return ErrWrongPassword
	}
	return nil
}

func newElsewhere() *elsewhere {
	return &elsewhere{
		records: map[string]*Record{
			"hugo": {Name: "hugo", Revision: "1"},
			"ines": {Name: "ines"},
			"otto": {Name: "otto", Disabled: true},
			"pia":  {Name: "pia", Presumed: true},
		},
		passwords: map[string]string{"hugo": "right", "ines": "right", "otto": "right", "pia": "right"},
	}
}

// If it fails, the work or the text of a refusal tells whether a user exists in a
// directory server, or is disabled there.
func TestElsewhereRefusalsAreAlike(t *testing.T) {
	e := newElsewhere()
	h, _ := newHouse(t, func(o *Options) { o.Sources = append(o.Sources, e) })
	h.checkLogins(t, []loginTest{
		{"hugo", "right", "ok", ""},
		{"hugo", "wrong", "failed", "wrong password"},
		{"otto", "right", "failed", "user is disabled"},
		{"otto", "wrong", "failed", "wrong password"},
		{"nobody", "right", "failed", "unknown user"},
		{"alice", "wrong", "failed", "wrong password"},
	})
}

// If it fails, a password that was changed in a directory server goes on to be good
// here, or a phone that comes every minute costs a check there each time.
func TestElsewhereIsRememberedByRevision(t *testing.T) {
	e := newElsewhere()
	h, _ := newHouse(t, func(o *Options) { o.Sources = append(o.Sources, e) })
	checks := func(user, password, want string) int {
		t.Helper()
		before := e.checks
		if got := h.try(t, "192.0.2.1", user, password); got != want {
			t.Errorf("%s: %s, want %s", user, got, want)
		}
		return e.checks - before
	}
	if n := checks("hugo", "right", "ok") + checks("hugo", "right", "ok"); n != 1 {
		t.Errorf("%d checks", n)
	}
	if n := checks("ines", "right", "ok") + checks("ines", "right", "ok"); n != 2 {
		t.Errorf("without a revision: %d checks", n)
	}
	e.passwords["hugo"], e.records["hugo"] = "changed", &Record{Name: "hugo", Revision: "2"}
	checks("hugo", "right", "failed")
	checks("hugo", "changed", "ok")
}

// If it fails, trouble of one source looks like a wrong password, is counted as
// guessing, or locks out the users of the sources before it.
func TestOneSourceDown(t *testing.T) {
	down := fmt.Errorf("connect: %w", imapserver.ErrUnavailable)
	for _, e := range []*elsewhere{{lookupErr: down}, {records: newElsewhere().records, checkErr: down}} {
		h, passwords := newHouse(t, func(o *Options) { o.Sources = append(o.Sources, e) })
		if got := h.try(t, "192.0.2.1", "alice", passwords["alice"]); got != "ok" {
			t.Errorf("user of a source that works: %s", got)
		}
		for range 5 {
			_, err := h.Login(t.Context(), peer("192.0.3.1"), "hugo", "right")
			if !errors.Is(err, imapserver.ErrUnavailable) || errors.Is(err, errFailed) {
				t.Errorf("got %v", err)
			}
		}
		if why := h.Guard().Why(netip.MustParseAddr("192.0.3.1")); len(why) != 0 {
			t.Errorf("counted: %+v", why)
		}
	}
}

// If it fails, failures in one source come sooner than in another.
func TestFailureTime(t *testing.T) {
	h, passwords := newHouse(t, func(o *Options) { o.FailureTime = time.Second })
	for user, want := range map[string]time.Duration{"alice": 0, "bob": time.Second, "nobody": time.Second} {
		h.slept = 0
		h.try(t, "192.0.2.1", user, passwords["alice"])
		if h.slept != want {
			t.Errorf("%s: held up for %v, want %v", user, h.slept, want)
		}
	}
}

// If it fails, a name that no source can vouch for is taken as a user's without a
// password: by a master user or by a token.
func TestPresumedUsers(t *testing.T) {
	h, passwords := newHouse(t, func(o *Options) {
		o.Sources = append(o.Sources, newElsewhere())
		o.MasterFrom = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		o.Tokens = tokenOf("pia")
	})
	if err := h.builtin.SetMaster(t.Context(), "bob", true); err != nil {
		t.Fatal(err)
	}
	for authzid, want := range map[string]string{"pia": "not master", "hugo": "ok"} {
		s, err := h.Begin(t.Context(), peer("10.0.0.1"), sasl.Plain)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = s.Next([]byte(authzid + "\x00bob\x00" + passwords["bob"]))
		if got := outcome(err); got != want {
			t.Errorf("master as %s: %s, want %s", authzid, got, want)
		}
	}
	if got := h.try(t, "192.0.2.1", "pia", "right"); got != "ok" {
		t.Errorf("by password: %s", got)
	}
	if got := tokenLogin(t, h); got != "failed" {
		t.Errorf("by token: %s", got)
	}
}

// If it fails, users whom only their provider knows cannot log in where that is
// allowed, or can where it is not.
func TestTokenUsers(t *testing.T) {
	for _, tt := range []struct {
		user    string
		allowed bool
		want    string
	}{
		{"newcomer", false, "failed"}, {"newcomer", true, "ok"}, {"not/a name", true, "failed"}, {"eve", true, "failed"},
	} {
		h, _ := newHouse(t, func(o *Options) { o.Tokens, o.TokenUsers = tokenOf(tt.user), tt.allowed })
		if err := h.builtin.SetDisabled(t.Context(), "eve", true); err != nil {
			t.Fatal(err)
		}
		if got := tokenLogin(t, h); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

// tokenOf takes every token for one of the user.
type tokenOf string

func (u tokenOf) VerifyToken(context.Context, string) (string, error) { return string(u), nil }

func tokenLogin(t *testing.T, h *house) string {
	t.Helper()
	s, err := h.Begin(t.Context(), peer("192.0.2.1"), sasl.XOAuth2)
	if err != nil {
		return outcome(err)
	}
	_, _, err = s.Next([]byte("user=\x01auth=Bearer x\x01\x01"))
	return outcome(err)
}

// If it fails, hashes of ours that another program's files name with a scheme are
// replaced at every login.
func TestOutdated(t *testing.T) {
	h := newHasher(64, 1, 4096)
	ours, err := h.Hash(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	for hash, want := range map[string]bool{ours: false, "{ARGON2ID}" + ours: false, bcryptHash: true, "": true, "{": true} {
		if h.outdated(hash) != want {
			t.Errorf("%q: %v", hash, !want)
		}
	}
}
