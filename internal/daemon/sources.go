package daemon

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"tidemark/internal/auth"
	"tidemark/internal/auth/ldapsource"
	"tidemark/internal/auth/oidctokens"
	"tidemark/internal/auth/pamsource"
	"tidemark/internal/auth/sqlsource"
	"tidemark/internal/config"
	"tidemark/internal/mail"
	"tidemark/sasl"
)

// failureTime is how long a failed login takes where there are several sources, so
// that the time does not tell in which of them a user is.
func failureTime(sources []auth.Source) time.Duration {
	if len(sources) < 2 {
		return 0
	}
	return time.Second
}

// sources returns where users come from, in the order in which they are asked: those
// outside, and those in the data directory.
func (u *users) sources(c *config.Config, outside map[config.UserSource]auth.Source) []auth.Source {
	var list []auth.Source
	for _, kind := range c.Auth.Sources {
		if kind == config.SourceStore {
			list = append(list, u.builtin)
		} else if source := outside[kind]; source != nil {
			list = append(list, source)
		}
	}
	if c.LDAP.UserDN != "" || c.OIDC.NewUsers {
		list = append(list, mailboxes{u.mail})
	}
	return list
}

// openSource opens a source outside the data directory, and returns nil if it is not
// configured.
func openSource(kind config.UserSource, c *config.Config, hasher *auth.Hasher, log *slog.Logger) (auth.Source, error) {
	switch {
	case kind == config.SourcePasswdFile && c.Auth.PasswdFile != "":
		options := auth.PasswdFileOptions{AllowWeak: c.Auth.AllowWeakHashes, Log: log}
		source, err := auth.NewPasswdFile(string(c.Auth.PasswdFile), options)
		if err != nil {
			return nil, c.Mistake("auth.passwd_file", err)
		}
		return source, nil
	case kind == config.SourceLDAP && len(c.LDAP.URLs) > 0:
		return openLDAP(c)
	case kind == config.SourceSQL && c.SQL.Kind != "":
		return openSQL(c, hasher, log)
	case kind == config.SourcePAM && c.Auth.PAMService != "":
		source, err := pamsource.New(pamsource.Options{Service: string(c.Auth.PAMService)})
		if err != nil {
			return nil, c.Mistake("auth.pam_service", err)
		}
		return source, nil
	}
	return nil, nil
}

func openLDAP(all *config.Config) (auth.Source, error) {
	c := &all.LDAP
	password, err := readSecret(c.BindPasswordFile)
	if err != nil {
		return nil, all.Mistake("ldap.bind_password_file", err)
	}
	trust, err := clientTLS(c.CAFile)
	if err != nil {
		return nil, all.Mistake("ldap.ca_file", err)
	}
	source, err := ldapsource.New(ldapsource.Options{
		URLs:          stringsOf(c.URLs),
		Plaintext:     c.Plaintext,
		TLS:           trust,
		BindDN:        string(c.BindDN),
		BindPassword:  password,
		Base:          string(c.Base),
		Filter:        string(c.Filter),
		NameAttribute: string(c.NameAttribute),
		UserDN:        string(c.UserDN),
		Timeout:       time.Duration(c.Timeout),
		Connections:   c.Connections,
	})
	if err != nil {
		return nil, all.Mistake("ldap", err)
	}
	return source, nil
}

func openSQL(c *config.Config, hasher *auth.Hasher, log *slog.Logger) (auth.Source, error) {
	password, err := readSecret(c.SQL.PasswordFile)
	if err != nil {
		return nil, c.Mistake("sql.password_file", err)
	}
	// Its own timeout bounds what it asks of the database now.
	source, err := sqlsource.New(context.Background(), sqlsource.Options{
		Kind:        string(c.SQL.Kind),
		Address:     string(c.SQL.Address),
		Password:    password,
		Query:       string(c.SQL.Query),
		Update:      string(c.SQL.Update),
		AllowWeak:   c.Auth.AllowWeakHashes,
		Hasher:      hasher,
		Timeout:     time.Duration(c.SQL.Timeout),
		Connections: c.SQL.Connections,
		Log:         log,
	})
	if err != nil {
		return nil, c.Mistake("sql", err)
	}
	return source, nil
}

// newTokens returns nil where no tokens are taken.
func newTokens(c *config.Config, log *slog.Logger) (*oidctokens.Verifier, error) {
	if c.OIDC.Issuer == "" {
		return nil, nil
	}
	secret, err := readSecret(c.OIDC.ClientSecretFile)
	if err != nil {
		return nil, c.Mistake("oidc.client_secret_file", err)
	}
	trust, err := clientTLS(c.OIDC.CAFile)
	if err != nil {
		return nil, c.Mistake("oidc.ca_file", err)
	}
	v, err := oidctokens.New(oidctokens.Options{
		Issuer:       string(c.OIDC.Issuer),
		Audience:     stringsOf(c.OIDC.Audience),
		UserClaim:    string(c.OIDC.UserClaim),
		Scopes:       stringsOf(c.OIDC.Scopes),
		ClockSkew:    time.Duration(c.OIDC.ClockSkew),
		Introspect:   c.OIDC.Introspection,
		ClientID:     string(c.OIDC.ClientID),
		ClientSecret: secret,
		TLS:          trust,
		Timeout:      time.Duration(c.OIDC.Timeout),
		Log:          log,
	})
	if err != nil {
		return nil, c.Mistake("oidc", err)
	}
	return v, nil
}

// readSecret reads a file whose one line is a secret. Without a file it is empty.
func readSecret(file config.Path) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(string(file))
	if err != nil {
		return "", err
	}
	line := bytes.TrimRight(text, "\r\n")
	if len(line) == 0 || bytes.ContainsAny(line, "\r\n") {
		return "", fmt.Errorf("%s does not have one line", file)
	}
	return string(line), nil
}

// clientTLS trusts the authorities in a file, or those of the system.
func clientTLS(file config.Path) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(string(file))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM", file)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// mailboxes is the source of users who have a mailbox here and whom others vouch for
// at each login: a token, or a directory server that is not searched. None of them has
// a password here. It is asked last.
type mailboxes struct{ mail *mail.Service }

var _ auth.Source = mailboxes{}

// Name implements auth.Source.
func (mailboxes) Name() string { return "mailboxes" }

// Scram implements auth.Source. Who has no password is not kept from SCRAM.
func (mailboxes) Scram(sasl.ScramHash) bool { return true }

// Decoy implements auth.Source.
func (mailboxes) Decoy() string { return "" }

// Lookup implements auth.Source.
func (m mailboxes) Lookup(ctx context.Context, user string) (*auth.Record, error) {
	u, err := m.mail.User(ctx, user)
	switch {
	case errors.Is(err, mail.ErrNoUser), err == nil && len(u.Auth) > 0: // the latter are the store's
		return nil, auth.ErrNoUser
	case err != nil:
		return nil, err
	}
	return &auth.Record{Name: user}, nil
}
