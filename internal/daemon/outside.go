package daemon

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"tidemark/internal/access"
	"tidemark/internal/auth"
	"tidemark/internal/auth/oidctokens"
	"tidemark/internal/certs"
	"tidemark/internal/config"
)

// outside is what the configuration names beyond the data directory, and what can be
// opened without it.
type outside struct {
	log             *slog.Logger
	gate            *access.Gate
	hasher          *auth.Hasher
	sources         map[config.UserSource]auth.Source
	tokens          *oidctokens.Verifier // nil for no OAuth
	certificateUser func(*x509.Certificate) string
}

// CheckConfig returns every mistake in the configuration that would keep a server from
// starting, as *config.Error joined by errors.Join. It makes nothing. What may be wrong
// only for now, such as a database that does not answer, is a warning.
func CheckConfig(c *config.Config, warnings io.Writer) error {
	log, _ := newLogger(warnings, config.Log{Level: "warn", Format: c.Log.Format})
	o, err := openOutside(c, log, nil)
	if err != nil {
		return err
	}
	o.close()
	return nil
}

// openOutside reads and opens everything, and reports all mistakes. registerer may be
// nil.
func openOutside(c *config.Config, log *slog.Logger, registerer prometheus.Registerer) (*outside, error) {
	o := &outside{log: log, hasher: auth.NewHasher(), sources: make(map[config.UserSource]auth.Source)}
	errs := append(checkFiles(c), checkTLS(c)...)
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	note(o.openGate(c, registerer))
	for _, kind := range c.Auth.Sources {
		source, err := openSource(kind, c, o.hasher, log)
		if note(err); source != nil {
			o.sources[kind] = source
		}
	}
	var err error
	o.tokens, err = newTokens(c, log)
	note(err)
	if rule := string(c.Auth.CertificateUser); rule != "" {
		parsed, err := auth.ParseCertificateRule(rule)
		if err != nil {
			note(c.Mistake("auth.certificate_user", err))
		} else {
			o.certificateUser = parsed.User
		}
	}
	if len(errs) > 0 {
		o.close()
		return nil, errors.Join(errs...)
	}
	return o, nil
}

func (o *outside) openGate(c *config.Config, registerer prometheus.Registerer) (err error) {
	o.gate, err = access.New(access.Options{
		Proxies:    c.IMAP.ProxyFrom,
		BlockList:  string(c.IMAP.BlockList),
		Log:        o.log,
		Registerer: registerer,
	})
	if err != nil {
		return c.Mistake("imap.block_list", err)
	}
	return nil
}

// close ends the connections to other servers.
func (o *outside) close() {
	for _, source := range o.sources {
		if c, ok := source.(io.Closer); ok {
			if err := c.Close(); err != nil {
				o.log.Warn("source of users not closed", "source", source.Name(), "error", err)
			}
		}
	}
	if o.tokens != nil {
		_ = o.tokens.Close() // it has no error
	}
}

// checkTLS looks at certificates and at how they are obtained.
func checkTLS(c *config.Config) (errs []error) {
	mistake := func(key string, err error) {
		if err != nil {
			errs = append(errs, c.Mistake(key, err))
		}
	}
	for _, p := range pairsOf(c) {
		mistake("tls.certificates", certs.CheckPair(p))
	}
	if len(c.TLS.Certificates) == 0 {
		mistake("tls.certificates", certs.CheckSelfSigned(c.InDataDir("tls")))
	}
	if c.TLS.ClientCA != "" {
		mistake("tls.client_ca", certs.CheckAuthorities(string(c.TLS.ClientCA)))
	}
	if len(c.ACME.Domains) == 0 {
		return errs
	}
	if c.ACME.HTTPPort == 0 && c.ACME.TLSPort == 0 && c.ACME.DNSHook == "" {
		mistake("acme.domains", errors.New("no certificate can be obtained, "+
			"because http_port and tls_port are 0 and dns_hook is empty; set one of them"))
	}
	if c.ACME.RootFile != "" {
		mistake("acme.root_file", certs.CheckAuthorities(string(c.ACME.RootFile)))
	}
	if c.ACME.DNSHook != "" {
		mistake("acme.dns_hook", checkProgram(string(c.ACME.DNSHook)))
	}
	return errs
}

// checkFiles looks at what is read or made only later.
func checkFiles(c *config.Config) (errs []error) {
	if info, err := os.Stat(string(c.Server.DataDir)); err == nil && !info.IsDir() {
		errs = append(errs, c.Mistake("server.data_dir",
			fmt.Errorf("%s is a file; name a directory, which is made if it is missing", c.Server.DataDir)))
	}
	if file := string(c.Auth.CompromisedPasswords); file != "" {
		f, err := os.Open(file)
		if err != nil {
			errs = append(errs, c.Mistake("auth.compromised_passwords", err))
		} else {
			_ = f.Close()
		}
	}
	return errs
}

// checkProgram says why the file cannot be run.
func checkProgram(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return &fs.PathError{Op: "run", Path: file, Err: errors.New("it is not a program that may be run; use chmod +x")}
	}
	return nil
}
