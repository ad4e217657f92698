package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidemark/internal/certs/acmetest"
	"tidemark/internal/testbed"
)

// served waits until the manager serves a certificate of the authority for name.
func served(t *testing.T, m *Manager, config *tls.Config, roots *x509.CertPool, name string) *x509.Certificate {
	t.Helper()
	deadline := time.Now().Add(testbed.Patience)
	for {
		c, _, err := handshake(t, config, &tls.Config{RootCAs: roots, ServerName: name})
		if err == nil {
			return c.PeerCertificates[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("no certificate for %s: %v; %s", name, err, m.Fingerprint())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// If it fails, nobody gets a certificate without running another program for it, or
// the server is not there while it waits for its first.
func TestACME(t *testing.T) {
	for _, challenge := range []string{"HTTP-01", "TLS-ALPN-01", "DNS-01"} {
		t.Run(challenge, func(t *testing.T) {
			s := acmetest.Start(t, 90*24*time.Hour)
			a := &ACME{
				Domains: []string{"mail.example.org", "imap.example.org"}, Email: "postmaster@example.org",
				Directory: s.Directory, RootFile: s.RootFile, Dir: t.TempDir(), ListenHost: "127.0.0.1",
			}
			switch challenge {
			case "HTTP-01":
				a.HTTPPort = s.HTTPPort
			case "TLS-ALPN-01":
				a.TLSPort = s.TLSPort
			case "DNS-01":
				a.DNSHook = s.Hook(t)
			}
			testACME(t, s, a)
			if _, err := os.Stat(filepath.Join(s.Records, "removed")); (err == nil) != (challenge == "DNS-01") {
				t.Errorf("records removed: %v", err)
			}
		})
	}
}

func testACME(t *testing.T, s *acmetest.Server, a *ACME) {
	options := Options{ACME: a, SelfSignedDir: t.TempDir(), Hostname: "mail.example.org", Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	m := newManager(t, options)
	config := m.TLSConfig("imap")
	if path, made := m.SelfSigned(); path == "" || !made {
		t.Error("nothing to serve before the first certificate has come")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); m.Run(ctx) }()
	for _, name := range a.Domains {
		leaf := served(t, m, config, s.Issued, name)
		if leaf.PublicKeyAlgorithm != x509.ECDSA {
			t.Errorf("%s has a key of kind %v", name, leaf.PublicKeyAlgorithm)
		}
	}
	cancel()
	<-ended
	if path, _ := m.SelfSigned(); path != "" {
		t.Error("the self-signed certificate is still handed out")
	}
	// A second start asks for nothing: what was obtained is there at once.
	again := newManager(t, options)
	if again.Fingerprint() != m.Fingerprint() {
		t.Error("the certificate is not kept")
	}
}

// If it fails, an authority that is down takes the server with it, or nobody hears
// of it.
func TestACMEFails(t *testing.T) {
	var log strings.Builder
	o := Options{SelfSignedDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&log, nil))}
	o.ACME = &ACME{Domains: []string{"mail.example.org"}, Dir: t.TempDir()}
	if _, err := New(o); err == nil {
		t.Error("no challenge is left, and nothing said so")
	}
	o.ACME.DNSHook = "/nonexistent"
	m := newManager(t, o)
	if err := m.acmeEvent(t.Context(), "cert_failed", map[string]any{"identifier": "mail.example.org", "error": "refused"}); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "certificate not obtained") {
		t.Errorf("log: %s", log.String())
	}
	if _, _, err := handshake(t, m.TLSConfig("imap"), &tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Errorf("not served: %v", err)
	}
}

// If it fails, certificates run out while the server goes on with the old ones.
func TestACMERenewal(t *testing.T) {
	s := acmetest.Start(t, 6*time.Second)
	m := newManager(t, Options{
		ACME: &ACME{
			Domains: []string{"mail.example.org"}, Directory: s.Directory, RootFile: s.RootFile, Dir: t.TempDir(),
			DNSHook: s.Hook(t), checkInterval: 100 * time.Millisecond,
		},
		SelfSignedDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); m.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	config := m.TLSConfig("imap")
	selfSigned := servedOther(t, config, nil)
	first := servedOther(t, config, selfSigned)
	second := servedOther(t, config, first)
	for _, leaf := range []*x509.Certificate{first, second} {
		if err := leaf.VerifyHostname("mail.example.org"); err != nil {
			t.Error(err)
		}
	}
	if second.NotAfter.Before(first.NotAfter) {
		t.Errorf("renewed from %v to %v", first.NotAfter, second.NotAfter)
	}
}

// servedOther waits until another certificate is served than old. Whether it is still
// good is not looked at: those of this test are so for seconds. It may take a minute, after
// which what failed is tried again: Pebble does not know one of 256 certificates again when
// it is told to replace it.
func servedOther(t *testing.T, config *tls.Config, old *x509.Certificate) *x509.Certificate {
	t.Helper()
	for deadline := time.Now().Add(testbed.Patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		c, _, err := handshake(t, config, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if leaf := c.PeerCertificates[0]; old == nil || !leaf.Equal(old) {
			return leaf
		}
	}
	t.Fatal("no other certificate is served")
	return nil
}
