package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// ACME says how certificates are obtained from an authority by RFC 8555. Until the
// first has come, and for names that are not among Domains, the others of the
// Manager are served.
type ACME struct {
	// Domains are the names to get certificates for, one certificate each.
	Domains []string
	// Directory is the URL of the authority; empty for Let's Encrypt.
	Directory string
	// Email is where the authority may write to; it may be empty.
	Email string
	// Dir is where account and certificates are kept.
	Dir string
	// RootFile is a PEM file of the authorities to trust for Directory itself; empty
	// for those of the system.
	RootFile string

	// HTTPPort and TLSPort are where the challenges HTTP-01 and TLS-ALPN-01 are
	// answered, on ListenHost (empty for every address); zero is for not at all. The
	// authority comes to ports 80 and 443. They are listened on only while it is asked.
	ListenHost        string
	HTTPPort, TLSPort int
	// DNSHook is a program that makes and removes TXT records; if it is given, DNS-01
	// is the only challenge. See dnsHook.
	DNSHook string

	// checkInterval is how often it is looked whether a certificate is to be renewed; zero
	// for every ten minutes.
	checkInterval time.Duration
}

// acmeClient obtains and renews the certificates.
type acmeClient struct {
	domains []string
	storage *certmagic.FileStorage
	issuer  certmagic.ACMEIssuer
	pairs   []Pair // where they are when they have come
	check   time.Duration
}

// newACMEClient returns a client, which does nothing before run.
func newACMEClient(a *ACME) (*acmeClient, error) {
	if a.HTTPPort == 0 && a.TLSPort == 0 && a.DNSHook == "" {
		return nil, errors.New("no challenge can be answered: all of them are turned off")
	}
	issuer, err := a.issuer()
	if err != nil {
		return nil, err
	}
	c := &acmeClient{domains: a.Domains, storage: &certmagic.FileStorage{Path: a.Dir}, issuer: issuer, check: a.checkInterval}
	for _, domain := range a.Domains {
		c.pairs = append(c.pairs, Pair{
			Cert: c.storage.Filename(certmagic.StorageKeys.SiteCert(issuer.IssuerKey(), domain)),
			Key:  c.storage.Filename(certmagic.StorageKeys.SitePrivateKey(issuer.IssuerKey(), domain)),
		})
	}
	return c, nil
}

// issuer returns the settings in certmagic's form.
func (a *ACME) issuer() (certmagic.ACMEIssuer, error) {
	t := certmagic.ACMEIssuer{
		CA:                      a.Directory,
		Email:                   a.Email,
		Agreed:                  true,
		ListenHost:              a.ListenHost,
		AltHTTPPort:             a.HTTPPort,
		AltTLSALPNPort:          a.TLSPort,
		DisableHTTPChallenge:    a.HTTPPort == 0,
		DisableTLSALPNChallenge: a.TLSPort == 0,
		Logger:                  zap.NewNop(),
	}
	if t.CA == "" {
		t.CA = certmagic.LetsEncryptProductionCA
	}
	if a.DNSHook != "" {
		t.DNS01Solver = dnsHook(a.DNSHook)
	}
	if a.RootFile != "" {
		pem, err := os.ReadFile(a.RootFile)
		if err != nil {
			return t, err
		}
		t.TrustedRoots = x509.NewCertPool()
		if !t.TrustedRoots.AppendCertsFromPEM(pem) {
			return t, fmt.Errorf("%s: no certificate in it", a.RootFile)
		}
	}
	return t, nil
}

// run obtains what is missing and renews in time, until ctx ends.
func (c *acmeClient) run(ctx context.Context, told func(context.Context, string, map[string]any) error) error {
	var config *certmagic.Config
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return config, nil },
		RenewCheckInterval: c.check,
		Logger:             zap.NewNop(),
	})
	defer cache.Stop()
	config = certmagic.New(cache, certmagic.Config{
		Storage: c.storage,
		OnEvent: told,
		OCSP:    certmagic.OCSPConfig{DisableStapling: true}, // it would be for handshakes of its own
		Logger:  zap.NewNop(),                                // the events tell enough
	})
	config.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(config, c.issuer)}
	if err := config.ManageAsync(ctx, c.domains); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// present returns the files of those certificates that have come.
func (c *acmeClient) present() []Pair {
	return slices.DeleteFunc(slices.Clone(c.pairs), func(p Pair) bool {
		_, err := os.Stat(p.Cert)
		return err != nil
	})
}

// acmeEvent is told what happens to certificates.
func (m *Manager) acmeEvent(_ context.Context, event string, data map[string]any) error {
	name := data["identifier"]
	switch event {
	case "cert_obtaining":
		m.opts.Log.Info("asking for a certificate", "name", name)
	case "cert_obtained":
		m.opts.Log.Info("certificate obtained", "name", name)
		_ = m.Reload() // it logs its errors
	case "cert_failed":
		m.metrics.acmeFailures.Inc()
		m.opts.Log.Error("certificate not obtained; it is tried again", "name", name, "error", data["error"])
	}
	return nil
}

// dnsHook is a program that changes the DNS. It is run as "program add NAME VALUE"
// to make a TXT record, and must return only when the authority's resolvers can see
// it; later as "program remove NAME VALUE".
type dnsHook string

// Present implements acmez.Solver.
func (h dnsHook) Present(ctx context.Context, c acme.Challenge) error { return h.run(ctx, "add", c) }

// CleanUp implements acmez.Solver.
func (h dnsHook) CleanUp(ctx context.Context, c acme.Challenge) error { return h.run(ctx, "remove", c) }

func (h dnsHook) run(ctx context.Context, verb string, c acme.Challenge) error {
	out, err := exec.CommandContext(ctx, string(h), verb, c.DNS01TXTRecordName(), c.DNS01KeyAuthorization()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %.200s", string(h), verb, err, strings.TrimSpace(string(out)))
	}
	return nil
}
