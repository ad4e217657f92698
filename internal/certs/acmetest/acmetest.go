// Package acmetest is an authority for tests of certificates that are obtained by ACME.
package acmetest

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"tidemark/internal/testbed"
)

// Server is Pebble, the test server of Let's Encrypt, in this process. It finds every
// name at 127.0.0.1.
type Server struct {
	Directory string         // URL
	RootFile  string         // of the authority to trust for Directory
	Issued    *x509.CertPool // the authority of what it issues
	Records   string         // the directory of TXT records, a file for each
	// The ports at which it looks for the answers to challenges.
	HTTPPort, TLSPort int

	answering sync.RWMutex // held for each request, and by Pause
}

// Start starts a server, whose certificates are good for validity, until the test ends.
func Start(t *testing.T, validity time.Duration) *Server {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_AUTHZREUSE", "0")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	s := &Server{Records: t.TempDir(), HTTPPort: testbed.FreePort(t), TLSPort: testbed.FreePort(t)}
	logger := log.New(t.Output(), "pebble ", 0)
	store := db.NewMemoryStore()
	authority := ca.New(logger, store, "", "ecdsa", 0, 1, map[string]ca.Profile{
		"default": {Description: "the default", ValidityPeriod: uint64(validity / time.Second)},
	})
	validator := va.New(logger, s.HTTPPort, s.TLSPort, false, s.startDNS(t), store)
	front := wfe.New(logger, store, validator, authority, []string{"pebble.letsencrypt.org"}, false, false, 1, 1)
	handler := front.Handler()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.answering.RLock()
		defer s.answering.RUnlock()
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.Directory = server.URL + wfe.DirectoryPath
	s.RootFile = filepath.Join(t.TempDir(), "root.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(s.RootFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Issued = x509.NewCertPool()
	root, _ := pem.Decode(authority.GetRootCert(0).PEM())
	cert, err := x509.ParseCertificate(root.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	s.Issued.AddCert(cert)
	return s
}

// Pause has the server answer nothing until resume is called, or the test ends.
func (s *Server) Pause(t *testing.T) (resume func()) {
	t.Helper()
	s.answering.Lock()
	resume = sync.OnceFunc(s.answering.Unlock)
	t.Cleanup(resume)
	return resume
}

// startDNS answers for every name and returns where.
func (s *Server) startDNS(t *testing.T) string {
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

func (s *Server) answer(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	header := dns.RR_Header{Name: r.Question[0].Name, Class: dns.ClassINET, Rrtype: r.Question[0].Qtype}
	switch r.Question[0].Qtype {
	case dns.TypeA:
		m.Answer = append(m.Answer, &dns.A{Hdr: header, A: net.IPv4(127, 0, 0, 1)})
	case dns.TypeTXT:
		name := strings.TrimSuffix(r.Question[0].Name, ".")
		if value, err := os.ReadFile(filepath.Join(s.Records, name)); err == nil {
			m.Answer = append(m.Answer, &dns.TXT{Hdr: header, Txt: []string{strings.TrimSpace(string(value))}})
		}
	}
	_ = w.WriteMsg(m) // the validator asks again
}

// Hook writes a program that keeps TXT records as files in Records. The names of those
// that were removed are in the file removed there.
func (s *Server) Hook(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook")
	script := fmt.Sprintf("#!/bin/sh\ncd %s || exit 1\ncase $1 in\n"+
		"add) echo \"$3\" >\"$2\" ;;\nremove) rm \"$2\"; echo \"$2\" >>removed ;;\nesac\n", s.Records)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
