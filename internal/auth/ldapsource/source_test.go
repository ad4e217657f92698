package ldapsource

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"tidemark/imapserver"
	"tidemark/internal/auth"
	"tidemark/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// login looks a user up and checks the password, and says how it ended.
func login(s *Source, user, password string) (name, outcome string) {
	r, err := s.Lookup(context.Background(), user)
	if err == nil {
		name = r.Name
		err = s.CheckPassword(context.Background(), r, password)
	}
	switch {
	case err == nil:
		return name, "ok"
	case errors.Is(err, auth.ErrNoUser):
		return name, "no user"
	case errors.Is(err, auth.ErrWrongPassword):
		return name, "wrong"
	case errors.Is(err, imapserver.ErrUnavailable):
		return name, "unavailable"
	}
	return name, err.Error()
}

// If it fails, users of a directory cannot log in, or others can.
func TestSearchAndBind(t *testing.T) {
	d := startSlapd(t)
	for kind, s := range map[string]*Source{
		"StartTLS": d.source(nil),
		"ldaps":    d.source(func(o *Options) { o.URLs = []string{d.tlsURL()} }),
		"plain":    d.source(func(o *Options) { o.Plaintext, o.TLS = true, nil }),
	} {
		for _, tt := range []struct{ user, password, name, want string }{
			{"alice", d.passwords["alice"], "alice", "ok"},
			{"alice@example.org", d.passwords["alice"], "alice", "ok"},
			{"al@example.org", d.passwords["alice"], "alice", "ok"},
			{"alice", d.passwords["bob"], "alice", "wrong"},
			{"alice", "", "alice", "wrong"},
			{"bob", d.passwords["bob"], "bob", "ok"},
			{"carol", "", "carol", "wrong"},
			{"carol", "x", "carol", "wrong"},
			{"nobody", "x", "", "no user"},
			{"*", d.passwords["alice"], "", "no user"},
			{"al*", d.passwords["alice"], "", "no user"},
			{"x)(uid=alice", d.passwords["alice"], "", "no user"},
			{"tidemark", d.service, "", "no user"}, // not below the base
			{"twin", "x", "", `ldap: the filter finds several entries for "twin"`},
		} {
			if name, got := login(s, tt.user, tt.password); name != tt.name || got != tt.want {
				t.Errorf("%s: %s: %s, %s, want %s", kind, tt.user, name, got, tt.want)
			}
		}
	}
}

// If it fails, the template of users' names does not lead to their entries, or leads
// elsewhere.
func TestBindByTemplate(t *testing.T) {
	d := startSlapd(t)
	s := d.source(func(o *Options) {
		*o = Options{URLs: o.URLs, TLS: o.TLS, UserDN: "uid={local},ou=people," + suffix, Timeout: o.Timeout}
	})
	for _, tt := range []struct{ user, password, want string }{
		{"alice", d.passwords["alice"], "ok"},
		{"alice@example.org", d.passwords["alice"], "ok"},
		{"alice", "x", "wrong"},
		{"alice", "", "wrong"},
		{"nobody", "x", "wrong"},
		{"alice,ou=people," + suffix, d.passwords["alice"], "wrong"},
	} {
		if _, got := login(s, tt.user, tt.password); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.user, got, tt.want)
		}
	}
	if r, err := s.Lookup(t.Context(), "nobody"); err != nil || !r.Presumed {
		t.Errorf("%+v, %v", r, err)
	}
}

// If it fails, passwords are shown to a server that is not the one we know, or to
// everybody on the way to it.
func TestTLSIsNeeded(t *testing.T) {
	d := startSlapd(t)
	for kind, change := range map[string]func(*Options){
		"unknown authority, ldaps":    func(o *Options) { o.URLs, o.TLS = []string{d.tlsURL()}, nil },
		"unknown authority, StartTLS": func(o *Options) { o.TLS = nil },
		"another host's name":         func(o *Options) { o.TLS = o.TLS.Clone(); o.TLS.ServerName = "other.example" },
	} {
		if _, got := login(d.source(change), "alice", d.passwords["alice"]); got != "unavailable" {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

// If it fails, a password that was changed in the directory goes on to be good.
func TestRevisionChanges(t *testing.T) {
	d := startSlapd(t)
	s := d.source(nil)
	revision := func() string {
		r, err := s.Lookup(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		return r.Revision
	}
	before := revision()
	if before == "" || before != revision() {
		t.Errorf("revision %q is not one", before)
	}
	d.admin(func(conn *ldap.Conn) error {
		change := ldap.NewModifyRequest("uid=alice,ou=people,"+suffix, nil)
		change.Replace("userPassword", []string{"another"})
		return conn.Modify(change)
	})
	if before == revision() {
		t.Error("a changed password does not change the revision")
	}
	if _, got := login(s, "alice", d.passwords["alice"]); got != "wrong" {
		t.Errorf("old password: %s", got)
	}
	if _, got := login(s, "alice", "another"); got != "ok" {
		t.Errorf("new password: %s", got)
	}
}

// If it fails, a directory that is down looks like a wrong password, or is not found
// again after a restart.
func TestReconnect(t *testing.T) {
	d := startSlapd(t)
	s := d.source(nil)
	want := func(state, want string) {
		t.Helper()
		if _, got := login(s, "alice", d.passwords["alice"]); got != want {
			t.Errorf("%s: %s, want %s", state, got, want)
		}
	}
	want("at first", "ok")
	d.stop()
	want("stopped", "unavailable")
	d.start()
	want("started again", "ok")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	want("after Close", "ok")
}

// If it fails, one of several servers being down keeps users out.
func TestNextServer(t *testing.T) {
	d := startSlapd(t)
	nobody := "ldap://" + testbed.FreeAddr(t)
	s := d.source(func(o *Options) { o.URLs = []string{nobody, d.url()} })
	if _, got := login(s, "alice", d.passwords["alice"]); got != "ok" {
		t.Errorf("first server down: %s", got)
	}
	if s.servers.working.Load() != 1 {
		t.Error("the server that works is not remembered")
	}
}

// If it fails, an account for searching that the directory does not take makes
// every user unknown.
func TestServiceAccountRefused(t *testing.T) {
	d := startSlapd(t)
	s := d.source(func(o *Options) { o.BindPassword = "wrong" })
	_, err := s.Lookup(t.Context(), "alice")
	if !errors.Is(err, imapserver.ErrUnavailable) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("have %v", err)
	}
}

// If it fails, a directory that says nothing holds up logins for long.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // nobody accepts; the system's queue takes the connections
	s, err := New(Options{
		URLs: []string{"ldap://" + l.Addr().String()}, Plaintext: true, Timeout: 200 * time.Millisecond,
		Base: suffix, Filter: "(uid={user})",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, got := login(s, "alice", "x"); got != "unavailable" {
		t.Errorf("have %s", got)
	}
}

// If it fails, many logins at once mix up their connections, or open one each.
func TestConcurrentLogins(t *testing.T) {
	d := startSlapd(t)
	s := d.source(func(o *Options) { o.Connections = 2 })
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			user, other := "alice", "bob"
			if i%2 == 0 {
				user, other = other, user
			}
			for range 5 {
				if name, got := login(s, user, d.passwords[user]); name != user || got != "ok" {
					t.Errorf("%s: %s, %s", user, name, got)
				}
				if _, got := login(s, user, d.passwords[other]); got != "wrong" {
					t.Errorf("%s with the password of %s: %s", user, other, got)
				}
			}
		})
	}
	group.Wait()
	for _, p := range []*pool{s.searchers, s.binders} {
		if n := len(p.idle); n == 0 || n > 2 {
			t.Errorf("%d connections", n)
		}
	}
}
