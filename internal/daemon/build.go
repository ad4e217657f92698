package daemon

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"golang.org/x/text/encoding/ianaindex"

	"tidemark/imapserver"
	"tidemark/internal/admin"
	"tidemark/internal/auth"
	"tidemark/internal/auth/dovecotauth"
	"tidemark/internal/certs"
	"tidemark/internal/config"
	"tidemark/internal/lmtp"
)

// build makes the servers, which do not listen yet. healthy says why the server is not
// well.
func (s *server) build(healthy func() error) error {
	c := s.o.Config
	hostname, err := hostnameOf(c)
	if err != nil {
		return err
	}
	if s.certs, err = s.newCerts(hostname); err != nil {
		return err
	}
	users := newUsers(c, s.storage.mail, s.outside.hasher)
	s.sources = users.sources(c, s.outside.sources)
	authenticator, err := s.newAuthenticator(users, s.sources)
	if err != nil {
		return err
	}
	s.guard = authenticator.Guard()
	backend := &accounts{s.storage.mail, s.sources}
	s.imap = imapserver.New(imapserver.Options{
		Backend:       backend,
		Authenticator: authenticator,
		Logger:        s.log,
		TLS:           fixed(s.certs.TLSConfig("imap")),
		Limits:        imapLimits(c),
		EarlyFlags:    c.Storage.EarlyFlags,
		Name:          "Tidemark",
		Version:       s.o.Version,
		Charsets:      charset,
		Metrics:       s.registry,
	})
	s.logins = dovecotauth.New(authenticator, s.log)
	s.lmtp = lmtp.NewServer(backend, lmtp.Config{
		Hostname:   hostname,
		Domains:    stringsOf(c.LMTP.Domains),
		MaxMessage: int64(c.Limits.MessageSize),
		SpoolDir:   string(c.Server.DataDir),
		Logger:     s.log,
		Metrics:    s.registry,
	})
	service := users.service(s.guard, s.imap.EndSessions)
	s.admin = newHTTPServer(admin.NewHandler(service, s.log), s.log)
	s.monitor = newHTTPServer(admin.NewMonitorHandler(s.registry, healthy), s.log)
	return nil
}

func hostnameOf(c *config.Config) (string, error) {
	if c.Server.Hostname != "" {
		return string(c.Server.Hostname), nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("find the machine's name; set server.hostname: %w", err)
	}
	return name, nil
}

func (s *server) newCerts(hostname string) (*certs.Manager, error) {
	c := s.o.Config
	version, err := certs.ParseVersion(string(c.TLS.MinVersion))
	if err != nil {
		return nil, err
	}
	m, err := certs.New(certs.Options{
		Pairs:          pairsOf(c),
		SelfSignedDir:  c.InDataDir("tls"),
		Hostname:       hostname,
		ACME:           acmeOptions(c),
		MinVersion:     version,
		ClientCAs:      string(c.TLS.ClientCA),
		SessionTickets: c.TLS.SessionTickets,
		Log:            s.log,
		Registerer:     s.registry,
	})
	if err != nil {
		return nil, fmt.Errorf("tls.certificates: %w", err)
	}
	return m, nil
}

func pairsOf(c *config.Config) (pairs []certs.Pair) {
	for _, p := range c.TLS.Certificates {
		pairs = append(pairs, certs.Pair{Cert: string(p.Cert), Key: string(p.Key)})
	}
	return pairs
}

// acmeOptions returns nil where no certificates are to be obtained.
func acmeOptions(c *config.Config) *certs.ACME {
	if len(c.ACME.Domains) == 0 {
		return nil
	}
	return &certs.ACME{
		Domains:   stringsOf(c.ACME.Domains),
		Directory: string(c.ACME.Directory),
		Email:     string(c.ACME.Email),
		Dir:       c.InDataDir("acme"),
		RootFile:  string(c.ACME.RootFile),
		HTTPPort:  c.ACME.HTTPPort,
		TLSPort:   c.ACME.TLSPort,
		DNSHook:   string(c.ACME.DNSHook),
	}
}

func (s *server) newAuthenticator(u *users, sources []auth.Source) (*auth.Authenticator, error) {
	c := s.o.Config
	secret, err := auth.LoadSecret(c.InDataDir("auth-secret"))
	if err != nil {
		return nil, fmt.Errorf("read the secret of authentication: %w", err)
	}
	options := auth.Options{
		Sources:           sources,
		Hasher:            u.hasher,
		Guard:             auth.NewGuard(c.Auth.TrustedNetworks, time.Now),
		AllowInsecureFrom: c.Auth.AllowInsecureLoginFrom,
		MasterFrom:        c.Auth.MasterNetworks,
		CertificateUser:   s.outside.certificateUser,
		Secret:            secret,
		ServerCertificate: s.certs.Served,
		FailureTime:       failureTime(sources),
		Log:               s.log,
		Registerer:        s.registry,
	}
	if tokens := s.outside.tokens; tokens != nil {
		options.Tokens, options.TokenHint, options.TokenUsers = tokens, tokens.Hint(), c.OIDC.NewUsers
	}
	return auth.New(options)
}

func imapLimits(c *config.Config) imapserver.Limits {
	return imapserver.Limits{
		Connections:            descriptorsForClients(openFiles()),
		Strangers:              c.Limits.Unauthenticated,
		StrangersPerAddress:    c.Limits.UnauthenticatedPerAddress,
		SessionsPerUser:        c.Limits.SessionsPerUser,
		SessionsPerUserAddress: c.Limits.SessionsPerUserAddress,
		CommandRate:            c.Limits.CommandsPerSecond,
		Inactivity:             time.Duration(c.IMAP.IdleTimeout),
	}
}

// newHTTPServer returns a server whose clients are local programs.
func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// charset returns a strict decoder of a charset for SEARCH.
func charset(name string) (func([]byte) (string, error), bool) {
	enc, err := ianaindex.MIME.Encoding(name)
	if err != nil || enc == nil {
		return nil, false
	}
	return func(b []byte) (string, error) {
		text, err := enc.NewDecoder().Bytes(b)
		return string(text), err
	}, true
}

func fixed[T any](v T) func() T { return func() T { return v } }

func stringsOf[S ~string](list []S) []string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = string(s)
	}
	return texts
}
