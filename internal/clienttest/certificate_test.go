package clienttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tidemark/internal/transcript"
)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	der, key := sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, a.key = cert, key
	return a
}

// sign makes a certificate of an authority, or one that signs itself.
func sign(t *testing.T, template *x509.Certificate, by *authority) (der []byte, key *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(240*time.Hour)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	if der, err = x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer); err != nil {
		t.Fatal(err)
	}
	return der, key
}

func certPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// issue makes a certificate for a name, as a client's.
func (a *authority) issue(t *testing.T, name string) tls.Certificate {
	t.Helper()
	der, key := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, KeyUsage: x509.KeyUsageDigitalSignature}, a)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// write puts a certificate and its key into two files.
func write(t *testing.T, c tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	writeFile(t, certFile, certPEM(c.Certificate[0]))
}

// If this fails, a user cannot log in by a client certificate, or a stranger can.
func TestClientCertificate(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, caFile, certPEM(ours.cert.Raw))
	s := startServerWith(t, []string{"tls.client_ca=" + caFile, "auth.certificate_user={common-name}"}, "alice")
	for _, tt := range []struct {
		name, user string
		by         *authority
		want       string // of AUTHENTICATE EXTERNAL; empty if there is no connection
	}{
		{"ours", "alice", ours, "OK"},
		{"somebody without an account", "nobody", ours, "NO"},
		{"a stranger's", "alice", other, ""},
		{"none", "", nil, "NO"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := s.target()
			if tt.by != nil {
				cert := tt.by.issue(t, tt.user)
				target.TLSConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
			}
			c, err := transcript.Dial(t.Context(), target, false, patience)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			greeting, err := c.Read()
			if err != nil || tt.want == "" {
				if (err == nil) != (tt.want != "") {
					t.Errorf("greeting %q, %v", greeting.Raw, err)
				}
				return
			}
			if offered := strings.Contains(greeting.Raw, "AUTH=EXTERNAL"); offered != (tt.by != nil) {
				t.Errorf("greeting %q", greeting.Raw)
			}
			if _, done, err := c.Command("AUTHENTICATE EXTERNAL ="); err != nil || done.Status != tt.want {
				t.Errorf("login: %q, %v", done.Raw, err)
			}
		})
	}
}

// If this fails, a renewed certificate is not served until a restart, or those who are
// connected are thrown out for it.
func TestCertificateIsReloaded(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	first := a.issue(t, "localhost")
	write(t, first, certFile, keyFile)
	s := startServerWith(t, []string{`tls.certificates=[{cert="` + certFile + `", key="` + keyFile + `"}]`}, "alice")
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	target := transcript.Target{Addr: s.imaps, TLSConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}}
	session, err := transcript.Dial(t.Context(), target, false, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if _, err := session.Read(); err != nil {
		t.Fatal(err)
	}
	served := func() []byte {
		nc, err := tls.Dial("tcp", s.imaps, target.TLSConfig)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		return nc.ConnectionState().PeerCertificates[0].Raw
	}
	if !slices.Equal(served(), first.Certificate[0]) {
		t.Fatal("another certificate is served")
	}
	second := a.issue(t, "localhost")
	write(t, second, certFile, keyFile)
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(second.Certificate[0])
	s.log.Await(t, "sha256="+strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":"))
	if !slices.Equal(served(), second.Certificate[0]) {
		t.Error("the new certificate is not served")
	}
	if _, done, err := session.Command("LOGIN alice " + s.password); err != nil || done.Status != "OK" {
		t.Errorf("on the old connection: %q, %v", done.Raw, err)
	}
}
