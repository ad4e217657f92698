package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	// selfSignedLife is the longest that Apple's systems take a server certificate.
	selfSignedLife = 825 * 24 * time.Hour
	// selfSignedRenew is how long before its end a new one is made.
	selfSignedRenew = 30 * 24 * time.Hour
)

// selfSignedPair is the file that holds the key and the certificate, so that both
// change at once.
func selfSignedPair(dir string) Pair {
	path := filepath.Join(dir, "key.pem")
	return Pair{Cert: path, Key: path}
}

// selfSignedCert is the file with the certificate alone, for people to hand out.
func selfSignedCert(dir string) string { return filepath.Join(dir, "cert.pem") }

// ensureSelfSigned makes the self-signed certificate if there is none, or none
// that can be used much longer or for hostname.
func ensureSelfSigned(dir, hostname string, now time.Time) (p Pair, made bool, err error) {
	p = selfSignedPair(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return p, false, err
	}
	c, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	switch {
	case err == nil && selfSignedUsable(c.Leaf, hostname, now):
		return p, false, writeCert(dir, c.Certificate[0])
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		// Clients may have been told to trust it, so that it is not ours to replace.
		return p, false, fmt.Errorf("%s cannot be used (move it away to have a new one made): %w", p.Key, err)
	}
	der, key, err := makeSelfSigned(hostname, now)
	if err != nil {
		return p, false, err
	}
	if err := writeFile(p.Key, append(key, encodeCert(der)...), 0o600); err != nil {
		return p, false, err
	}
	return p, true, writeCert(dir, der)
}

// writeCert makes the file with the certificate alone what it should be.
func writeCert(dir string, der []byte) error {
	want := encodeCert(der)
	if have, err := os.ReadFile(selfSignedCert(dir)); err == nil && bytes.Equal(have, want) {
		return nil
	}
	return writeFile(selfSignedCert(dir), want, 0o644)
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func selfSignedUsable(leaf *x509.Certificate, hostname string, now time.Time) bool {
	return now.Before(leaf.NotAfter.Add(-selfSignedRenew)) &&
		(hostname == "" || leaf.VerifyHostname(hostname) == nil)
}

// renewSelfSigned replaces the self-signed certificate in time. m.mu is held.
func (m *Manager) renewSelfSigned() {
	_, made, err := ensureSelfSigned(m.opts.SelfSignedDir, m.opts.Hostname, m.opts.Now())
	if err != nil {
		m.opts.Log.Error("self-signed certificate not renewed", "error", err)
	}
	if made {
		m.opts.Log.Warn("self-signed certificate renewed; clients that were told to trust the old one will ask")
	}
}

// makeSelfSigned returns a certificate in DER and its key in PEM.
func makeSelfSigned(hostname string, now time.Time) (der, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "localhost"},
		NotBefore:             now.Add(-time.Hour), // clocks of clients differ
		NotAfter:              now.Add(-time.Hour).Add(selfSignedLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(hostname); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	} else if hostname != "" && hostname != "localhost" {
		template.Subject.CommonName = hostname
		template.DNSNames = append([]string{hostname}, template.DNSNames...)
	}
	der, err = x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return der, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

// writeFile puts a file in place at once and durably, so that a crash leaves the
// old one or the new one.
func writeFile(path string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // what is left over does no harm
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
