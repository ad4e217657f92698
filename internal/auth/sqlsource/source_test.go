package sqlsource

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"tidemark/imapserver"
	"tidemark/internal/auth"
	"tidemark/internal/testbed"
)

func TestMain(m *testing.M) {
	testbed.Main(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

const (
	testQuery  = "SELECT hash AS password, locked AS disabled, account AS name, nets AS allow_nets FROM users WHERE login = :user"
	testUpdate = "UPDATE users SET hash = :hash WHERE login = :user AND hash = :old"

	bcryptHash = "{BLF-CRYPT}$2y$05$io63MKszNdkr8YrFF9g8WOnHMAwlEP8.Xv.7Tz7hyIdk23epCMrEG"
	weakHash   = "{SSHA512.B64}MaB6A+6CR8ap7V+KnYMkRXNv2+DP4eLsZUsFcC/jQ5p4xrJhOrn2YkqVrPFEJFux/GKbrOJ9sASs2utl3boP8wPhyGY="
)

// source opens the database as the server would.
func (d *database) source(t *testing.T, change func(*Options)) (*Source, error) {
	t.Helper()
	o := Options{
		Kind: d.kind, Address: d.address, Password: d.password, Query: testQuery, Timeout: testbed.Patience,
		Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	s, err := New(t.Context(), o)
	if err == nil {
		t.Cleanup(func() { _ = s.Close() })
	}
	return s, err
}

func (d *database) mustSource(t *testing.T, change func(*Options)) *Source {
	t.Helper()
	s, err := d.source(t, change)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// If one of these three fails, users of that kind of database cannot log in, or others can
// in their place.
func TestPostgres(t *testing.T) { testDatabase(t, startPostgres(t)) }
func TestMariaDB(t *testing.T)  { testDatabase(t, startMariaDB(t)) }
func TestSQLite(t *testing.T)   { testDatabase(t, makeSQLite(t)) }

func testDatabase(t *testing.T, d *database) {
	d.add(t, "alice", bcryptHash, false, "", "")
	d.add(t, "bob@example.org", bcryptHash, true, "bob", "10.0.0.0/8, 2001:db8::1")
	d.add(t, "carol", "", false, "", "")
	d.add(t, "dave", "!"+bcryptHash, false, "", "")
	d.add(t, "erin", weakHash, false, "", "")
	d.add(t, "frank", "{NONSENSE}x", false, "", "")
	d.add(t, "gina", bcryptHash, false, "not/a name", "")
	d.add(t, "o'neill", bcryptHash, false, "", "")
	t.Run("lookup", d.testLookup)
	t.Run("injection", d.testInjection)
	t.Run("queries", d.testQueries)
	t.Run("login", d.testLogin)
	t.Run("down", d.testDown)
}

// If it fails, users of a database are not found, or are others than they are.
func (d *database) testLookup(t *testing.T) {
	s := d.mustSource(t, nil)
	for _, tt := range []struct {
		user, name, hash string
		disabled         bool
	}{
		{"alice", "alice", bcryptHash, false},
		{"bob@example.org", "bob", bcryptHash, true},
		{"carol", "carol", "", false},
		{"dave", "dave", "", true},
		{"o'neill", "o'neill", bcryptHash, false},
	} {
		r, err := s.Lookup(t.Context(), tt.user)
		if err != nil || r.Name != tt.name || r.Hash != tt.hash || r.Disabled != tt.disabled {
			t.Errorf("%s: %+v, %v", tt.user, r, err)
		}
	}
	r, err := s.Lookup(t.Context(), "bob@example.org")
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128")}
	if err != nil || !slices.Equal(r.Networks, want) {
		t.Errorf("networks %v, %v", r, err)
	}
	for user, want := range map[string]string{
		"erin": "too weak", "frank": "password scheme not known", "gina": "column name: not a user name",
	} {
		if _, err := s.Lookup(t.Context(), user); err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, auth.ErrNoUser) {
			t.Errorf("%s: %v", user, err)
		}
	}
	if s.Decoy() != bcryptHash {
		t.Errorf("decoy %q", s.Decoy())
	}
}

// If it fails, a user's name becomes part of the statement.
func (d *database) testInjection(t *testing.T) {
	s := d.mustSource(t, nil)
	for _, user := range []string{
		"' OR '1'='1", "alice' --", `\' OR 1=1 --`, "'; DROP TABLE users; --", `" OR ""="`, "alice\\", "%", "$1", "?", ":user",
	} {
		if r, err := s.Lookup(t.Context(), user); !errors.Is(err, auth.ErrNoUser) {
			t.Errorf("%s: %+v, %v", user, r, err)
		}
	}
	if _, err := s.Lookup(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
}

// If it fails, a mistake in a query shows only when nobody can log in.
func (d *database) testQueries(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT hash AS password FROM user_s WHERE login = :user":                        "user_s",
		"SELEKT hash AS password FROM users WHERE login = :user":                         "SELEKT",
		"SELECT hash FROM users WHERE login = :user":                                     `column "hash" is not one of`,
		"SELECT account AS name FROM users WHERE login = :user":                          "it has no column password",
		"SELECT hash AS password, 'x' AS disabled FROM users WHERE :user = :user OR 1=1": "",
	} {
		_, err := d.source(t, func(o *Options) { o.Query = query })
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
			t.Errorf("%s: %v", query, err)
		}
	}
	_, err := d.source(t, func(o *Options) {
		o.Update, o.Hasher = "UPDATE user_s SET hash = :hash WHERE login = :user", auth.NewHasher()
	})
	if err == nil || !strings.Contains(err.Error(), "update: ") {
		t.Errorf("update: %v", err)
	}
	s := d.mustSource(t, func(o *Options) {
		o.Query = "SELECT hash AS password FROM users WHERE login = :local AND (:domain = '' OR :domain = 'example.org')"
	})
	for user, want := range map[string]bool{"alice": true, "alice@example.org": true, "alice@example.net": false} {
		if _, err := s.Lookup(t.Context(), user); (err == nil) != want {
			t.Errorf("%s: %v", user, err)
		}
	}
}

// If it fails, a user of a database cannot log in, a refusal shows why, or an older
// hash stays for ever.
func (d *database) testLogin(t *testing.T) {
	hasher := auth.NewHasher()
	s := d.mustSource(t, func(o *Options) { o.Update, o.Hasher, o.AllowWeak = testUpdate, hasher, true })
	var log bytes.Buffer
	a, err := auth.New(auth.Options{Sources: []auth.Source{s}, Hasher: hasher, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	const right = "pass wörd" // of erin's hash
	for range 2 {
		if err := login(t, a, "erin", right); err != nil {
			t.Fatal(err)
		}
	}
	r, err := s.Lookup(t.Context(), "erin")
	if err != nil || !strings.HasPrefix(r.Hash, "{ARGON2ID}$argon2id$") || strings.Contains(log.String(), "not brought up to date") {
		t.Errorf("not upgraded: %+v, %v\n%s", r, err, &log)
	}
	if err := s.Upgrade(t.Context(), &auth.Record{Key: "erin", Hash: weakHash}, "another"); err != nil {
		t.Error(err)
	}
	if now, err := s.Lookup(t.Context(), "erin"); err != nil || now.Hash != r.Hash {
		t.Errorf("a hash that has changed meanwhile was replaced: %+v, %v", now, err)
	}
	want := login(t, a, "erin", "wrong")
	for _, user := range []string{"nobody", "bob@example.org", "carol", "dave"} {
		if err := login(t, a, user, right); err == nil || err.Error() != want.Error() {
			t.Errorf("%s: %v, want %v", user, err, want)
		}
	}
	exec1(t, d.admin, "UPDATE users SET locked = true WHERE login = 'erin'")
	if err := login(t, a, "erin", right); err == nil {
		t.Error("disabled, and yet let in")
	}
}

func login(t *testing.T, a *auth.Authenticator, user, password string) error {
	t.Helper()
	p := imapserver.Peer{Addr: netip.MustParseAddrPort("192.0.2.1:4242"), TLS: &tls.ConnectionState{}, ID: "c1"}
	_, err := a.Login(t.Context(), p, user, password)
	return err
}

// If it fails, a database that is down looks like a wrong password, keeps the server
// from starting, or is not found again.
func (d *database) testDown(t *testing.T) {
	s := d.mustSource(t, nil)
	d.stop()
	if d.kind != "sqlite" { // which keeps the file that it has open
		if _, err := s.Lookup(t.Context(), "alice"); !errors.Is(err, imapserver.ErrUnavailable) || errors.Is(err, auth.ErrNoUser) {
			t.Errorf("stopped: %v", err)
		}
	}
	late, err := d.source(t, nil)
	if err != nil {
		t.Fatalf("start without the database: %v", err)
	}
	if _, err := late.Lookup(t.Context(), "alice"); !errors.Is(err, imapserver.ErrUnavailable) {
		t.Errorf("never reached: %v", err)
	}
	d.start()
	for _, s := range []*Source{s, late} {
		// A database that takes connections may not take queries yet.
		if err := eventually(func() error { _, err := s.Lookup(t.Context(), "alice"); return err }); err != nil {
			t.Errorf("started again: %v", err)
		}
	}
}
