// Package certs holds the certificates and the TLS settings of all listeners: PEM
// files that are read again when they change, certificates that are obtained by
// ACME, or a self-signed one that is made on the first start.
package certs

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// pollInterval is how often the files are looked at. A renewed certificate is
// served within this time even if nobody tells us of it.
const pollInterval = 30 * time.Second

// Pair names the files of one certificate.
type Pair struct {
	Cert string // PEM: the certificate, then the intermediate ones
	Key  string // PEM: the private key
}

// Options are the settings of New.
type Options struct {
	// Pairs are the certificates. A client gets the first that fits the name it
	// asks for and the algorithms it knows, else the first of all. Of two with the
	// same names the ECDSA one is preferred.
	Pairs []Pair

	// SelfSignedDir is where the self-signed certificate is kept (and made) when
	// Pairs is empty.
	SelfSignedDir string
	// Hostname is the name in the self-signed certificate.
	Hostname string
	// ACME, if not nil, obtains certificates, which come before Pairs.
	ACME *ACME

	// MinVersion is tls.VersionTLS12 (also if zero) or tls.VersionTLS13.
	MinVersion uint16
	// SessionTickets lets clients of TLS 1.3 resume sessions. The keys change daily.
	SessionTickets bool
	// ClientCAs is a PEM file of authorities whose client certificates are taken;
	// empty means that none are asked for.
	ClientCAs string

	Log        *slog.Logger          // nil for slog.Default
	Registerer prometheus.Registerer // nil for no metrics
	Now        func() time.Time      // nil for time.Now
}

// Manager serves certificates. Its methods may be called concurrently.
type Manager struct {
	opts      Options
	metrics   *metrics
	acme      *acmeClient // nil without ACME
	made      bool
	published atomic.Pointer[state]

	mu        sync.Mutex // guards what follows
	tried     [sha256.Size]byte
	listeners []*listener
	tickets   ticketKeys
	warned    map[[sha256.Size]byte]time.Duration
}

// state is what was read from the files in one go. It is immutable.
type state struct {
	sum       [sha256.Size]byte
	certs     []tls.Certificate
	clientCAs *x509.CertPool
}

// New reads the certificates, or makes the self-signed one, and fails if there
// is none that could be used.
func New(opts Options) (*Manager, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	switch opts.MinVersion {
	case 0:
		opts.MinVersion = tls.VersionTLS12
	case tls.VersionTLS12, tls.VersionTLS13:
	default:
		return nil, fmt.Errorf("TLS version %s is not offered", tls.VersionName(opts.MinVersion))
	}
	m := &Manager{opts: opts, metrics: newMetrics(opts.Registerer), warned: map[[sha256.Size]byte]time.Duration{}}
	if len(opts.Pairs) == 0 {
		pair, made, err := ensureSelfSigned(opts.SelfSignedDir, opts.Hostname, opts.Now())
		if err != nil {
			return nil, fmt.Errorf("self-signed certificate: %w", err)
		}
		m.opts.Pairs, m.made = []Pair{pair}, made
	}
	if opts.ACME != nil {
		var err error
		if m.acme, err = newACMEClient(opts.ACME); err != nil {
			return nil, fmt.Errorf("ACME: %w", err)
		}
	}
	if err := m.Reload(); err != nil {
		return nil, err
	}
	return m, nil
}

// CheckPair says what is wrong with the files of a certificate.
func CheckPair(p Pair) error {
	_, err := readState([]Pair{p}, "")
	return err
}

// CheckAuthorities says what is wrong with a PEM file of authorities.
func CheckAuthorities(file string) error {
	_, err := readState(nil, file)
	return err
}

// CheckSelfSigned says what is wrong with a self-signed certificate that was made
// before. That there is none is not wrong.
func CheckSelfSigned(dir string) error {
	p := selfSignedPair(dir)
	if _, err := os.Stat(p.Key); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return CheckPair(p)
}

// Run looks after the certificates until ctx ends: it reads changed files, changes
// the keys of session tickets, warns of certificates that will expire, and
// obtains and renews those that come by ACME.
func (m *Manager) Run(ctx context.Context) {
	if m.acme != nil {
		ended := make(chan struct{})
		defer func() { <-ended }()
		go func() {
			defer close(ended)
			if err := m.acme.run(ctx, m.acmeEvent); err != nil {
				m.opts.Log.Error("certificates cannot be obtained", "error", err)
			}
		}()
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.poll()
		}
	}
}

// poll does what is due. It is what Run calls.
func (m *Manager) poll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hasSelfSigned() {
		m.renewSelfSigned()
	}
	// An error was logged, and the old certificates stay.
	_ = m.load(false)
	if m.tickets.rotate(m.opts.Now()) {
		m.publish()
	}
	m.warnExpiry()
}

// Reload reads the files now. On an error, which is logged too, the certificates
// that were in use stay in use.
func (m *Manager) Reload() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.load(true)
	if err == nil {
		m.warnExpiry()
	}
	return err
}

// load reads the files and, if they differ from those read last (or force), puts
// them to use.
func (m *Manager) load(force bool) error {
	s, err := readState(m.pairs(), m.opts.ClientCAs)
	if s.sum == m.tried && !force {
		return nil // nothing new, or broken in the same way as before
	}
	m.tried = s.sum
	if err != nil {
		if m.published.Load() != nil { // else New fails
			m.metrics.reloadFailures.Inc()
			m.opts.Log.Error("certificates not read; those in use stay", "error", err)
		}
		return err
	}
	old := m.published.Swap(&s)
	if old == nil || old.sum != s.sum {
		// A session that was made under a certificate must not outlive it.
		m.tickets.replace(m.opts.Now())
		clear(m.warned)
		for _, c := range s.certs {
			m.opts.Log.Info("certificate in use", "names", strings.Join(names(c.Leaf), " "),
				"expires", c.Leaf.NotAfter, "sha256", fingerprint(c.Leaf.Raw))
		}
	}
	m.metrics.setExpiry(s.certs)
	m.publish()
	return nil
}

// readState reads the files. The sum is that of what could be read, also where
// there is an error.
func readState(pairs []Pair, clientCAs string) (state, error) {
	var s state
	var errs []error
	sum := sha256.New()
	read := func(path string) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			errs = append(errs, err)
		}
		fmt.Fprintf(sum, "%d:", len(b))
		sum.Write(b)
		return b
	}
	for _, p := range pairs {
		cert, key := read(p.Cert), read(p.Key)
		if cert == nil || key == nil {
			continue
		}
		c, err := tls.X509KeyPair(cert, key)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s and %s: %w", p.Cert, p.Key, err))
			continue
		}
		s.certs = append(s.certs, c)
	}
	if clientCAs != "" {
		s.clientCAs = x509.NewCertPool()
		if b := read(clientCAs); b != nil && !s.clientCAs.AppendCertsFromPEM(b) {
			errs = append(errs, fmt.Errorf("%s: no certificate in it", clientCAs))
		}
	}
	sum.Sum(s.sum[:0])
	orderByName(s.certs)
	return s, errors.Join(errs...)
}

// names are the names a certificate is for, as text.
func names(leaf *x509.Certificate) []string {
	list := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		list = append(list, leaf.Subject.CommonName)
	}
	return list
}

// fingerprint is the SHA-256 of a certificate in the usual spelling.
func fingerprint(der []byte) string {
	var b strings.Builder
	for i, v := range sha256.Sum256(der) {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%02X", v)
	}
	return b.String()
}

// Fingerprint is the SHA-256 fingerprint of the first certificate, as mail
// programs show it.
func (m *Manager) Fingerprint() string {
	return fingerprint(m.published.Load().certs[0].Leaf.Raw)
}

// SelfSigned returns the file of the self-signed certificate, which can be given
// to a client as the authority to trust, and whether New has just made it. The
// path is empty where there are others to serve.
func (m *Manager) SelfSigned() (path string, made bool) {
	if !m.hasSelfSigned() || len(m.published.Load().certs) > 1 {
		return "", false
	}
	return selfSignedCert(m.opts.SelfSignedDir), m.made
}

// hasSelfSigned says whether the self-signed certificate is among those to serve.
func (m *Manager) hasSelfSigned() bool {
	return m.opts.SelfSignedDir != "" && m.opts.Pairs[0] == selfSignedPair(m.opts.SelfSignedDir)
}

// pairs returns the files to read, the default first.
func (m *Manager) pairs() []Pair {
	if m.acme == nil {
		return m.opts.Pairs
	}
	return append(m.acme.present(), m.opts.Pairs...)
}
