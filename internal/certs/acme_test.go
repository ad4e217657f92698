package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// acmeServer is Pebble, the test server of Let's Encrypt, in this process. It finds
// every name at 127.0.0.1.
type acmeServer struct {
	directory string
	rootFile  string
	issued    *x509.CertPool // the authority of what it issues
	records   string         // the directory of TXT records, a file for each
	httpPort  int
	tlsPort   int
}

func startACMEServer(t *testing.T) *acmeServer {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_AUTHZREUSE", "0")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	s := &acmeServer{records: t.TempDir(), httpPort: freePort(t), tlsPort: freePort(t)}
	logger := log.New(t.Output(), "pebble ", 0)
	store := db.NewMemoryStore()
	authority := ca.New(logger, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "the default"}})
	validator := va.New(logger, s.httpPort, s.tlsPort, false, s.startDNS(t), store)
	front := wfe.New(logger, store, validator, authority, []string{"pebble.letsencrypt.org"}, false, false, 1, 1)
	server := httptest.NewTLSServer(front.Handler())
	t.Cleanup(server.Close)
	s.directory = server.URL + wfe.DirectoryPath
	s.rootFile = filepath.Join(t.TempDir(), "root.pem")
	writeTest(t, s.rootFile, encodeCert(server.Certificate().Raw))
	s.issued = x509.NewCertPool()
	root, _ := pem.Decode(authority.GetRootCert(0).PEM())
	cert, err := x509.ParseCertificate(root.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	s.issued.AddCert(cert)
	return s
}

// startDNS answers for every name and returns where.
func (s *acmeServer) startDNS(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // Pebble asks over TCP
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: l, Handler: dns.HandlerFunc(s.answer)}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func (s *acmeServer) answer(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	header := dns.RR_Header{Name: r.Question[0].Name, Class: dns.ClassINET, Rrtype: r.Question[0].Qtype}
	switch r.Question[0].Qtype {
	case dns.TypeA:
		m.Answer = append(m.Answer, &dns.A{Hdr: header, A: net.IPv4(127, 0, 0, 1)})
	case dns.TypeTXT:
		name := strings.TrimSuffix(r.Question[0].Name, ".")
		if value, err := os.ReadFile(filepath.Join(s.records, name)); err == nil {
			m.Answer = append(m.Answer, &dns.TXT{Hdr: header, Txt: []string{strings.TrimSpace(string(value))}})
		}
	}
	_ = w.WriteMsg(m) // the validator asks again
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// hook writes a program that keeps TXT records as files.
func (s *acmeServer) hook(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook")
	script := fmt.Sprintf("#!/bin/sh\ncd %s || exit 1\ncase $1 in\nadd) echo \"$3\" >\"$2\" ;;\nremove) rm \"$2\"; echo \"$2\" >>removed ;;\nesac\n", s.records)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// served waits until the manager serves a certificate of the authority for name.
func served(t *testing.T, m *Manager, config *tls.Config, roots *x509.CertPool, name string) *x509.Certificate {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
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
			s := startACMEServer(t)
			a := &ACME{
				Domains: []string{"mail.example.org", "imap.example.org"}, Email: "postmaster@example.org",
				Directory: s.directory, RootFile: s.rootFile, Dir: t.TempDir(), ListenHost: "127.0.0.1",
			}
			switch challenge {
			case "HTTP-01":
				a.HTTPPort = s.httpPort
			case "TLS-ALPN-01":
				a.TLSPort = s.tlsPort
			case "DNS-01":
				a.DNSHook = s.hook(t)
			}
			testACME(t, s, a)
			if _, err := os.Stat(filepath.Join(s.records, "removed")); (err == nil) != (challenge == "DNS-01") {
				t.Errorf("records removed: %v", err)
			}
		})
	}
}

func testACME(t *testing.T, s *acmeServer, a *ACME) {
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
		leaf := served(t, m, config, s.issued, name)
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
