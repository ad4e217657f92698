package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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
		var got *imap.Error
		_, err := h.Login(t.Context(), peer(fmt.Sprintf("192.0.%d.1", i)), c[0], c[1])
		if !errors.As(err, &got) || got.Code != imap.CodeAuthenticationFailed || want != nil && *got != *want {
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

// If it fails, a user can act as another without the right to, or a master cannot.
func TestMaster(t *testing.T) {
	h, passwords := newHouse(t, func(o *Options) { o.MasterFrom = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	if err := h.builtin.SetMaster(t.Context(), "bob", true); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ addr, user, authzid, want string }{
		{"10.0.0.1", "bob", "alice", "ok"},
		{"10.0.0.1", "bob", "Alice", "ok"},
		{"10.0.0.1", "bob", "nobody", "not master"},
		{"192.0.2.1", "bob", "alice", "not master"},
		{"10.0.0.1", "eve", "alice", "not master"},
		{"10.0.0.1", "eve", "EVE", "ok"},
	} {
		s, err := h.Begin(t.Context(), peer(tt.addr), sasl.Plain)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = s.Next([]byte(tt.authzid + "\x00" + tt.user + "\x00" + passwords[tt.user]))
		if got := outcome(err); got != tt.want {
			t.Errorf("%s as %s: %s, want %s", tt.user, tt.authzid, got, tt.want)
		}
		if want := (sasl.Identity{User: strings.ToLower(tt.authzid), Auth: tt.user}); err == nil && s.Identity() != want {
			t.Errorf("identity %+v", s.Identity())
		}
	}
	if !strings.Contains(h.log.String(), "account=alice master=bob") {
		t.Errorf("log: %s", h.log)
	}
}

// scramLogin logs in by SCRAM and says how it ended.
func scramLogin(t *testing.T, h *house, p imapserver.Peer, mechanism, user, password string, cb sasl.ChannelBinding) string {
	t.Helper()
	c, err := sasl.NewScramClient(sasl.SHA256, user, password, cb, false)
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.Begin(t.Context(), p, mechanism)
	if err != nil {
		return outcome(err)
	}
	response, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		challenge, done, err := s.Next(response)
		if err != nil {
			return outcome(err)
		}
		if response, err = c.Next(challenge); err != nil {
			t.Fatal(err)
		}
		if done {
			return outcome(nil)
		}
	}
	return "no end"
}

// If it fails, SCRAM lets in the wrong ones, or is a way around the guard.
func TestScram(t *testing.T) {
	h, passwords := newHouse(t, nil)
	if err := h.builtin.SetDisabled(t.Context(), "eve", true); err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct{ user, password, want string }{
		{"alice", passwords["alice"], "ok"},
		{"alice", "wrong", "failed"},
		{"nobody", "wrong", "failed"},
		{"empty", "wrong", "failed"},
		{"eve", passwords["eve"], "failed"},
	} {
		if got := scramLogin(t, h, peer(fmt.Sprintf("192.0.%d.1", i)), sasl.ScramSHA256, tt.user, tt.password, sasl.ChannelBinding{}); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.user, got, tt.want)
		}
	}
	if !strings.Contains(h.log.String(), `reason="user is disabled"`) {
		t.Error("the log does not tell of the disabled user")
	}
	slept := h.slept
	for range 5 {
		scramLogin(t, h, peer("198.51.100.1"), sasl.ScramSHA256, "alice", "wrong", sasl.ChannelBinding{})
	}
	if h.slept <= slept {
		t.Error("guessing by SCRAM is not slowed down")
	}
}

// If it fails, the salt tells whether a user exists.
func TestScramSaltOfStrangers(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	salts := map[string][]string{}
	for range 2 { // two starts of the server
		h, _ := newHouse(t, func(o *Options) {
			var err error
			if o.Secret, err = LoadSecret(secret); err != nil {
				t.Fatal(err)
			}
		})
		for _, user := range []string{"nobody", "Nobody", "someone", "alice"} {
			s, err := h.Begin(t.Context(), peer("192.0.2.1"), sasl.ScramSHA256)
			if err != nil {
				t.Fatal(err)
			}
			challenge, _, err := s.Next([]byte("n,,n=" + user + ",r=x"))
			if err != nil {
				t.Fatal(err)
			}
			_, salt, _ := strings.Cut(string(challenge), ",s=")
			salts[user] = append(salts[user], salt)
		}
	}
	for _, user := range []string{"nobody", "someone"} {
		if salts[user][0] != salts[user][1] {
			t.Errorf("%s: salt changes: %q", user, salts[user])
		}
	}
	if salts["nobody"][0] != salts["Nobody"][0] || salts["nobody"][0] == salts["someone"][0] || len(salts["nobody"][0]) != len(salts["alice"][0]) {
		t.Errorf("salts %q", salts)
	}
	if info, err := os.Stat(secret); err != nil || info.Mode() != 0o600 {
		t.Errorf("secret: %v, %v", info, err)
	}
}

// If it fails, somebody in the middle of the line can pass on a SCRAM login.
func TestScramPlusOverTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	h, passwords := newHouse(t, func(o *Options) {
		o.ServerCertificate = func(*tls.ConnectionState) *x509.Certificate { return cert }
	})
	clientEnd, serverEnd := net.Pipe()
	defer clientEnd.Close()
	defer serverEnd.Close()
	client := tls.Client(clientEnd, &tls.Config{InsecureSkipVerify: true})
	server := tls.Server(serverEnd, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, SessionTicketsDisabled: true})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	p, cs := peer("192.0.2.1"), server.ConnectionState()
	p.TLS = &cs
	if list := h.Mechanisms(p); len(list) == 0 || list[0] != sasl.ScramSHA256Plus {
		t.Errorf("mechanisms %v", list)
	}
	seen := client.ConnectionState()
	exporter, err := seen.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cb   sasl.ChannelBinding
		want string
	}{
		{sasl.ChannelBinding{Type: sasl.TLSExporter, Data: exporter}, "ok"},
		{sasl.ChannelBinding{Type: sasl.TLSServerEndPoint, Data: endPointBinding(seen.PeerCertificates[0])}, "ok"},
		{sasl.ChannelBinding{Type: sasl.TLSExporter, Data: make([]byte, 32)}, "failed"},
		{sasl.ChannelBinding{Type: sasl.TLSServerEndPoint, Data: make([]byte, 32)}, "failed"},
	} {
		if got := scramLogin(t, h, p, sasl.ScramSHA256Plus, "alice", passwords["alice"], tt.cb); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.cb.Type, got, tt.want)
		}
	}
}

// tokens knows one token.
type tokens struct{}

func (tokens) VerifyToken(_ context.Context, token string) (string, error) {
	switch token {
	case "good":
		return "Alice", nil
	case "of-nobody":
		return "nobody", nil
	case "down":
		return "", errors.New("provider is down")
	}
	return "", sasl.ErrToken
}

// If it fails, a token lets in another user than its own, or a bad one lets in anybody.
func TestTokens(t *testing.T) {
	h, _ := newHouse(t, func(o *Options) { o.Tokens = tokens{} })
	for i, tt := range []struct{ user, token, want string }{
		{"alice", "good", "ok"}, {"", "good", "ok"}, {"bob", "good", "not master"},
		{"alice", "bad", "failed"}, {"nobody", "of-nobody", "failed"}, {"alice", "down", "authenticate: provider is down"},
	} {
		s, err := h.Begin(t.Context(), peer(fmt.Sprintf("192.0.%d.1", i)), sasl.XOAuth2)
		if err != nil {
			t.Fatal(err)
		}
		_, done, err := s.Next([]byte("user=" + tt.user + "\x01auth=Bearer " + tt.token + "\x01\x01"))
		if err == nil && !done {
			_, _, err = s.Next([]byte{})
		}
		if got := outcome(err); got != tt.want {
			t.Errorf("%s, %s: %s, want %s", tt.user, tt.token, got, tt.want)
		}
	}
	if strings.Contains(h.log.String(), "good") {
		t.Error("a token is in the log")
	}
}

// If it fails, a client certificate is taken for somebody it does not stand for.
func TestExternal(t *testing.T) {
	rule, err := ParseCertificateRule("{email}")
	if err != nil {
		t.Fatal(err)
	}
	h, _ := newHouse(t, func(o *Options) { o.CertificateUser = rule.User })
	for _, tt := range []struct{ email, authzid, want string }{
		{"alice", "", "ok"}, {"alice", "alice", "ok"}, {"alice", "bob", "not master"}, {"stranger", "", "failed"}, {"", "", "no mechanism"},
	} {
		p := peer("192.0.2.1")
		p.TLS.PeerCertificates = []*x509.Certificate{{EmailAddresses: []string{"bob"}}} // not verified
		if tt.email != "" {
			p.TLS.VerifiedChains = [][]*x509.Certificate{{{EmailAddresses: []string{tt.email}}}}
		}
		s, err := h.Begin(t.Context(), p, sasl.External)
		if err == nil {
			_, _, err = s.Next([]byte(tt.authzid))
		}
		if got := outcome(err); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

// If it fails, mechanisms are offered that cannot work, so that programs that prefer
// them cannot log in at all.
func TestMechanisms(t *testing.T) {
	h, _ := newHouse(t, nil)
	if got, want := h.Mechanisms(peer("192.0.2.1")), []string{sasl.ScramSHA256, sasl.Plain, sasl.Login}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("carol:$6$rounds=1000$kkfeBsZA2liu3STl$m1h5.koFbgyA2f9BW5iS3TyFBBvMFcr98fQnFptDvVRqS3j4wSBaW0cURB2t/2BI4nwvztfNyjnp5wqw2BQrg1\n"), 0o600); err != nil {
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

// If it fails, secrets are in the log.
func TestLogHasNoSecrets(t *testing.T) {
	h, passwords := newHouse(t, nil)
	for range 3 {
		h.try(t, "192.0.2.1", "alice", passwords["alice"])
		h.try(t, "192.0.2.1", "alice", "S3NTINEL")
		h.try(t, "192.0.2.1", "no\r\nbody"+strings.Repeat("x", 1000), "S3NTINEL")
		scramLogin(t, h, peer("192.0.2.1"), sasl.ScramSHA256, "alice", "S3NTINEL", sasl.ChannelBinding{})
	}
	log := h.log.String()
	if strings.Contains(log, "S3NTINEL") || strings.Contains(log, passwords["alice"]) || strings.Contains(log, "argon2id") {
		t.Errorf("log: %s", log)
	}
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "time=") || len(line) > 600 {
			t.Errorf("line %q", line)
		}
	}
}

// If it fails, a password that somebody has typed as the user name is in the log, or
// attempts under one name cannot be seen to belong together.
func TestUnknownNamesAreNotLogged(t *testing.T) {
	h, passwords := newHouse(t, nil)
	for i := range sprayNets + 1 {
		h.try(t, fmt.Sprintf("192.0.%d.1", i), passwords["alice"], "x")
	}
	scramLogin(t, h, peer("192.0.2.2"), sasl.ScramSHA256, passwords["alice"], "x", sasl.ChannelBinding{})
	log := h.log.String()
	if strings.Contains(log, passwords["alice"]) || !strings.Contains(log, "passwords are being guessed") {
		t.Errorf("log: %s", log)
	}
	names := map[string]int{}
	for _, m := range regexp.MustCompile(`unknown_user=(\w{12}) `).FindAllStringSubmatch(log, -1) {
		names[m[1]]++
	}
	if len(names) != 1 {
		t.Errorf("one name is logged as %v", names)
	}
	h.log.Reset()
	h.try(t, "192.0.2.1", "Alice", "wrong")
	if !strings.Contains(h.log.String(), "user=Alice ") {
		t.Errorf("log: %s", h.log.String())
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
