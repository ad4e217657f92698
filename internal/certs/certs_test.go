package certs

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// authority signs the certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	pem  string // file
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * day),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, pool: x509.NewCertPool(), pem: filepath.Join(t.TempDir(), "ca.pem")}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	writeTest(t, a.pem, encodeCert(der))
	return a
}

func writeTest(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue makes a pair of files for name.
func (a *authority) issue(t *testing.T, p Pair, key crypto.Signer, name string, notAfter time.Time) {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-1000 * day), NotAfter: notAfter, KeyUsage: x509.KeyUsageDigitalSignature,
	}, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeTest(t, p.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	writeTest(t, p.Cert, encodeCert(der))
}

func ecdsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// handshake connects a client to the server's settings over loopback and returns
// what both see. The client's error is the one returned.
func handshake(t *testing.T, server, client *tls.Config) (c, s tls.ConnectionState, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	seen := make(chan tls.ConnectionState, 1)
	go func() {
		defer close(seen)
		raw, err := l.Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		conn := tls.Server(raw, server)
		_ = conn.HandshakeContext(context.Background()) // the client's error counts
		seen <- conn.ConnectionState()
		_, _ = conn.Write([]byte("x"))
		_, _ = io.Copy(io.Discard, conn)
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, client)
	if err = conn.Handshake(); err == nil {
		// Session tickets of TLS 1.3 come after the handshake.
		_, err = conn.Read(make([]byte, 1))
	}
	c = conn.ConnectionState()
	raw.Close()
	return c, <-seen, err
}

func newManager(t *testing.T, o Options) *Manager {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// metricValue returns the value of the metric, which must be there once.
func metricValue(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name && len(f.GetMetric()) == 1 {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// If it fails, the first connection after an installation is not encrypted, or cannot
// be verified by the certificate that we hand out.
func TestSelfSigned(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	m := newManager(t, Options{SelfSignedDir: dir, Hostname: "mail.example.org"})
	path, made := m.SelfSigned()
	if path != filepath.Join(dir, "cert.pem") || !made {
		t.Fatalf("got %q, %v", path, made)
	}
	for file, mode := range map[string]os.FileMode{"key.pem": 0o600, "cert.pem": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
	ca, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	for _, name := range []string{"mail.example.org", "localhost", "127.0.0.1", "::1"} {
		c, _, err := handshake(t, m.TLSConfig("imap"), &tls.Config{RootCAs: pool, ServerName: name})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		leaf := c.PeerCertificates[0]
		if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 825*day || life < 730*day {
			t.Errorf("valid for %v", life)
		}
		if fingerprint(leaf.Raw) != m.Fingerprint() || len(m.Fingerprint()) != 95 {
			t.Errorf("fingerprint %s", m.Fingerprint())
		}
	}

	again := newManager(t, Options{SelfSignedDir: dir, Hostname: "mail.example.org"})
	if _, made := again.SelfSigned(); made || again.Fingerprint() != m.Fingerprint() {
		t.Error("the second start made another certificate")
	}
	later := func() time.Time { return time.Now().Add(800 * day) }
	if renewed := newManager(t, Options{SelfSignedDir: dir, Now: later}); renewed.Fingerprint() == m.Fingerprint() {
		t.Error("not renewed before its end")
	}
	writeTest(t, filepath.Join(dir, "key.pem"), []byte("damaged"))
	if _, err := New(Options{SelfSignedDir: dir, Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("a damaged key was replaced without a word")
	}
}

// If it fails, old protocols or weak suites are back, or a browser can be made to speak
// to the IMAP port.
func TestPolicy(t *testing.T) {
	dir := t.TempDir()
	config := newManager(t, Options{SelfSignedDir: dir}).TLSConfig("imap")
	strict := newManager(t, Options{SelfSignedDir: dir, MinVersion: tls.VersionTLS13}).TLSConfig("imap")
	tests := []struct {
		name   string
		server *tls.Config
		client *tls.Config
		ok     bool
	}{
		{"TLS 1.3", config, &tls.Config{MinVersion: tls.VersionTLS13}, true},
		{"TLS 1.2", config, &tls.Config{MaxVersion: tls.VersionTLS12}, true},
		{"TLS 1.1", config, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		{"TLS 1.2 of a strict server", strict, &tls.Config{MaxVersion: tls.VersionTLS12}, false},
		{"CBC", config, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, false},
		{"ALPN imap", config, &tls.Config{NextProtos: []string{"imap"}}, true},
		{"ALPN of a browser", config, &tls.Config{NextProtos: []string{"h2", "http/1.1"}}, false},
		{"P-521 only", config, &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP521}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.client.InsecureSkipVerify = true
			if _, _, err := handshake(t, tt.server, tt.client); (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
	old := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for range 2 {
		if c, _, err := handshake(t, config, old); err != nil || c.DidResume {
			t.Errorf("TLS 1.2: resumed %v, %v", c.DidResume, err)
		}
	}
	modern := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for range 2 {
		if c, _, err := handshake(t, config, modern); err != nil || c.DidResume {
			t.Errorf("TLS 1.3: resumed without being asked to: %v, %v", c.DidResume, err)
		}
	}
	c, _, err := handshake(t, config, &tls.Config{InsecureSkipVerify: true})
	if err != nil || c.CurveID != tls.X25519MLKEM768 {
		t.Errorf("key exchange %v, %v", c.CurveID, err)
	}
}

// If it fails, a client that asks for one name gets the certificate of another, or a
// phone that knows no ECDSA gets none.
func TestSelection(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	pair := func(name string) Pair {
		return Pair{filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")}
	}
	end := time.Now().Add(100 * day)
	a.issue(t, pair("rsa"), rsaKey(t), "a.example", end)
	a.issue(t, pair("b"), ecdsaKey(t), "b.example", end)
	a.issue(t, pair("ecdsa"), ecdsaKey(t), "a.example", end)
	m := newManager(t, Options{Pairs: []Pair{pair("rsa"), pair("b"), pair("ecdsa")}})
	config := m.TLSConfig("imap")
	rsaSuite := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	tests := []struct {
		name   string
		client *tls.Config
		cn     string
		isRSA  bool
	}{
		{"first name", &tls.Config{ServerName: "a.example"}, "a.example", false},
		{"second name", &tls.Config{ServerName: "b.example"}, "b.example", false},
		{"unknown name", &tls.Config{ServerName: "c.example"}, "a.example", false},
		{"no name", &tls.Config{ServerName: "127.0.0.1"}, "a.example", false},
		{"TLS 1.2", &tls.Config{ServerName: "a.example", MaxVersion: tls.VersionTLS12}, "a.example", false},
		{"RSA only", &tls.Config{ServerName: "a.example", MaxVersion: tls.VersionTLS12, CipherSuites: rsaSuite}, "a.example", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.client.InsecureSkipVerify = true
			c, s, err := handshake(t, config, tt.client)
			if err != nil {
				t.Fatal(err)
			}
			leaf := c.PeerCertificates[0]
			if leaf.Subject.CommonName != tt.cn || (leaf.PublicKeyAlgorithm == x509.RSA) != tt.isRSA {
				t.Errorf("got %s with %v", leaf.Subject.CommonName, leaf.PublicKeyAlgorithm)
			}
			if !m.Served(&s).Equal(leaf) {
				t.Errorf("Served says %v", m.Served(&s).Subject)
			}
		})
	}
}

// reloading is a manager of one certificate and a client that resumes its sessions.
type reloading struct {
	*authority
	pair     Pair
	end      time.Time // of the certificates
	m        *Manager
	config   *tls.Config // of m, the same for all connections
	now      time.Time   // the manager's
	log      bytes.Buffer
	registry *prometheus.Registry
	client   *tls.Config
}

func newReloading(t *testing.T) *reloading {
	t.Helper()
	dir := t.TempDir()
	r := &reloading{
		authority: newAuthority(t),
		pair:      Pair{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")},
		end:       time.Now().Add(100 * day),
		now:       time.Now(),
		registry:  prometheus.NewRegistry(),
	}
	r.client = &tls.Config{RootCAs: r.pool, ServerName: "a.example", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	r.issue(t, r.pair, ecdsaKey(t), "a.example", r.end)
	r.m = newManager(t, Options{
		Pairs: []Pair{r.pair}, SessionTickets: true, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
		Now: func() time.Time { return r.now }, Registerer: r.registry,
	})
	r.config = r.m.TLSConfig("imap")
	return r
}

// connect returns the serial number of the certificate that a client is shown, whose
// session must be resumed or not.
func (r *reloading) connect(t *testing.T, resumed bool) string {
	t.Helper()
	c, s, err := handshake(t, r.config, r.client)
	if err != nil {
		t.Fatal(err)
	}
	if c.DidResume != resumed {
		t.Errorf("resumed: %v", c.DidResume)
	}
	if !r.m.Served(&s).Equal(c.PeerCertificates[0]) {
		t.Error("Served names another certificate")
	}
	return c.PeerCertificates[0].SerialNumber.String()
}

// If it fails, a renewed certificate is not served, a half-written one takes the
// server down, or sessions outlive the certificate they were made under.
func TestReload(t *testing.T) {
	r := newReloading(t)
	first := r.connect(t, false)
	r.m.poll()
	if r.connect(t, true) != first {
		t.Error("another certificate without a change")
	}

	cert, err := os.ReadFile(r.pair.Cert)
	if err != nil {
		t.Fatal(err)
	}
	writeTest(t, r.pair.Cert, cert[:len(cert)/2])
	r.m.poll()
	r.m.poll()
	if r.connect(t, true) != first || strings.Count(r.log.String(), "those in use stay") != 1 {
		t.Errorf("broken file: %s", r.log.String())
	}
	if err := r.m.Reload(); err == nil {
		t.Error("Reload does not tell of a broken file")
	}
	if got := metricValue(t, r.registry, "tidemark_certificate_reload_failures_total"); got != 2 {
		t.Errorf("%v failures counted", got)
	}

	r.issue(t, r.pair, ecdsaKey(t), "a.example", r.end)
	r.m.poll()
	if r.connect(t, false) == first {
		t.Error("the new certificate is not served")
	}
}

// If it fails, session tickets stay good for ever, so that a key stolen today reads what was
// sent long ago, or each change of keys costs everybody a handshake.
func TestTicketKeysChange(t *testing.T) {
	r := newReloading(t)
	first := r.connect(t, false)
	r.now = r.now.Add(ticketLife + time.Minute)
	r.m.poll()
	if r.connect(t, true) != first {
		t.Error("another certificate after the change of keys")
	}
	for range 2 {
		r.now = r.now.Add(ticketLife + time.Minute)
		r.m.poll()
	}
	r.connect(t, false)
	if len(r.m.tickets.keys) != 2 {
		t.Errorf("%d ticket keys", len(r.m.tickets.keys))
	}
}

// If it fails, a certificate runs out without a warning, or the log fills with
// warnings.
func TestExpiryWarnings(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	pair := Pair{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	end := time.Now().Add(30 * day)
	a.issue(t, pair, ecdsaKey(t), "a.example", end)
	var log bytes.Buffer
	now := time.Now()
	registry := prometheus.NewRegistry()
	m := newManager(t, Options{
		Pairs: []Pair{pair}, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Now: func() time.Time { return now }, Registerer: registry,
	})
	for _, step := range []struct {
		left time.Duration
		want int
	}{{30 * day, 0}, {22 * day, 0}, {20 * day, 1}, {8 * day, 1}, {6 * day, 2}, {12 * time.Hour, 3}, {time.Hour, 3}, {-time.Hour, 4}, {-day, 4}} {
		now = end.Add(-step.left)
		m.poll()
		m.poll()
		if got := strings.Count(log.String(), "certificate expires soon") + strings.Count(log.String(), "has expired"); got != step.want {
			t.Errorf("%v before the end: %d warnings, want %d", step.left, got, step.want)
		}
	}
	if got := metricValue(t, registry, "tidemark_certificate_not_after_seconds"); int64(got) != end.Unix() {
		t.Errorf("metric says %v", got)
	}
}

// If it fails, every certificate of an authority that gives out short ones is warned
// of before its renewal is due.
func TestShortLivesAreNotWarnedOfEarly(t *testing.T) {
	for _, tt := range []struct {
		left, life time.Duration
		due        bool
	}{
		{20 * day, 90 * day, true}, {20 * day, 45 * day, false}, {6 * day, 45 * day, true},
		{5 * day, 6 * day, false}, {12 * time.Hour, 6 * day, true}, {0, 6 * day, true},
	} {
		if _, due := expiryStep(tt.left, tt.life); due != tt.due {
			t.Errorf("%v of %v left: warned %v", tt.left, tt.life, due)
		}
	}
}

// If it fails, a certificate of a stranger's authority is taken for a user's.
func TestClientCertificates(t *testing.T) {
	a, stranger, dir := newAuthority(t), newAuthority(t), t.TempDir()
	m := newManager(t, Options{SelfSignedDir: dir, ClientCAs: a.pem})
	for _, tt := range []struct {
		ca *authority
		ok bool
	}{{a, true}, {stranger, false}} {
		p := Pair{filepath.Join(dir, "c.pem"), filepath.Join(dir, "c.key")}
		tt.ca.issue(t, p, ecdsaKey(t), "alice", time.Now().Add(day))
		cert, err := tls.LoadX509KeyPair(p.Cert, p.Key)
		if err != nil {
			t.Fatal(err)
		}
		get := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		_, s, err := handshake(t, m.TLSConfig("imap"), &tls.Config{InsecureSkipVerify: true, GetClientCertificate: get})
		if (err == nil) != tt.ok || (len(s.VerifiedChains) > 0) != tt.ok {
			t.Errorf("ok %v: %v, %d chains", tt.ok, err, len(s.VerifiedChains))
		}
	}
	if _, s, err := handshake(t, m.TLSConfig("imap"), &tls.Config{InsecureSkipVerify: true}); err != nil || len(s.VerifiedChains) != 0 {
		t.Errorf("without a certificate: %v", err)
	}
}

// If it fails, a setting that would weaken TLS is accepted, or not explained.
func TestParseVersion(t *testing.T) {
	for s, want := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		if got, err := ParseVersion(s); got != want || err != nil {
			t.Errorf("%s: %x, %v", s, got, err)
		}
	}
	if _, err := ParseVersion("1.1"); err == nil || !strings.Contains(err.Error(), "RFC 8996") {
		t.Errorf("1.1: %v", err)
	}
	if _, err := ParseVersion("SSLv3"); err == nil {
		t.Error("SSLv3 accepted")
	}
	if _, err := New(Options{SelfSignedDir: t.TempDir(), MinVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 accepted by New")
	}
}

// If it fails, Run does not end with its context.
func TestRunEnds(t *testing.T) {
	m := newManager(t, Options{SelfSignedDir: t.TempDir()})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m.Run(ctx)
}
