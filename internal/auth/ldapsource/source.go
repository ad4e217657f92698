// Package ldapsource takes users from a directory server (LDAP, RFC 4511): it finds
// a user's entry by a search, or knows its name by a template, and checks the
// password by binding as the user. Hashes never leave the directory.
package ldapsource

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/go-ldap/ldap/v3"

	"tidemark/imapserver"
	"tidemark/internal/auth"
	"tidemark/sasl"
)

// Options are the settings of New. Either UserDN is set, or Base and Filter.
type Options struct {
	// URLs of servers with the same content: ldap://, ldaps:// or ldapi://. The next
	// one is tried when one cannot be reached.
	URLs []string
	// Plaintext leaves connections to ldap:// without TLS. Otherwise they begin with
	// StartTLS and are not used without it.
	Plaintext bool
	// TLS is the client's configuration; nil for the system's authorities.
	TLS *tls.Config

	// BindDN and BindPassword are the account that searches; empty for an anonymous
	// search.
	BindDN, BindPassword string
	// Base is the entry below which users are searched.
	Base string
	// Filter is a template of the search filter, with the user's name as {user}, and
	// the parts of it before and after the @ as {local} and {domain}.
	Filter string
	// NameAttribute has the name of the account to open; empty for the name that the
	// user gave. Set it if the filter knows a user by several names.
	NameAttribute string

	// UserDN is a template of the users' distinguished names, with fields as in
	// Filter. Users are then not searched.
	UserDN string

	// Timeout is for one lookup or check, with all that it takes; 0 for 5 s.
	Timeout time.Duration
	// Connections is how many there may be for searches, and as many again for
	// checks; 0 for 8.
	Connections int
}

// Source is a directory server as a source of users.
type Source struct {
	opts      Options
	filter    *template
	userDN    *template // nil if users are searched
	servers   *servers
	searchers *pool
	binders   *pool // their connections are bound as the last user each has checked
}

var _ auth.PasswordChecker = (*Source)(nil)

// New returns a source. It does not connect yet, so that a server that is down
// keeps nobody from starting.
func New(opts Options) (*Source, error) {
	if opts.Timeout == 0 {
		opts.Timeout = 5 * time.Second
	}
	if opts.Connections == 0 {
		opts.Connections = 8
	}
	s := &Source{opts: opts}
	if err := s.parseTemplates(); err != nil {
		return nil, err
	}
	var err error
	if s.servers, err = newServers(opts); err != nil {
		return nil, err
	}
	s.binders = newPool(opts.Connections, s.servers.dial)
	s.searchers = newPool(opts.Connections, func(ctx context.Context) (*ldap.Conn, error) {
		conn, err := s.servers.dial(ctx)
		if err != nil || opts.BindDN == "" {
			return conn, err
		}
		defer closeWith(ctx, conn)()
		if err := conn.Bind(opts.BindDN, opts.BindPassword); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("bind as %s: %w", opts.BindDN, err)
		}
		return conn, nil
	})
	return s, nil
}

func (s *Source) parseTemplates() (err error) {
	o := s.opts
	switch {
	case o.UserDN != "" && (o.Filter != "" || o.Base != "" || o.BindDN != "" || o.NameAttribute != ""):
		return errors.New("users are either searched or known by a template of their name, not both")
	case o.UserDN != "":
		if s.userDN, err = parseTemplate(o.UserDN, ldap.EscapeDN); err != nil {
			return err
		}
		if _, err := ldap.ParseDN(s.userDN.expand("a@b")); err != nil {
			return fmt.Errorf("template of the distinguished name: %w", err)
		}
		return nil
	case o.Filter == "" || o.Base == "":
		return errors.New("a search needs a base and a filter")
	case o.BindDN != "" && o.BindPassword == "":
		return errors.New("the account that searches needs a password")
	}
	if s.filter, err = parseTemplate(o.Filter, ldap.EscapeFilter); err != nil {
		return err
	}
	if _, err := ldap.CompileFilter(s.filter.expand("a@b")); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	_, err = ldap.ParseDN(o.Base)
	return err
}

// Close ends the connections that are not in use.
func (s *Source) Close() error {
	s.searchers.close()
	s.binders.close()
	return nil
}

// Name implements auth.Source.
func (s *Source) Name() string { return "ldap" }

// Scram implements auth.Source: the keys are not to be had.
func (s *Source) Scram(sasl.ScramHash) bool { return false }

// Decoy implements auth.Source.
func (s *Source) Decoy() string { return "" }

// revisionAttributes are those in which the kinds of servers show that an entry has
// changed: OpenLDAP, any server, a password policy, and Active Directory.
func revisionAttributes() []string {
	return []string{"entryCSN", "modifyTimestamp", "pwdChangedTime", "uSNChanged", "pwdLastSet"}
}

// Lookup implements auth.Source.
func (s *Source) Lookup(ctx context.Context, user string) (*auth.Record, error) {
	if s.userDN != nil {
		return &auth.Record{Name: user, Key: s.userDN.expand(user), Presumed: true}, nil
	}
	entry, err := s.search(ctx, user)
	if err != nil {
		return nil, err
	}
	r := &auth.Record{Name: user, Key: entry.DN, Revision: revision(entry)}
	if s.opts.NameAttribute != "" {
		given := entry.GetEqualFoldAttributeValue(s.opts.NameAttribute)
		if r.Name, err = sasl.PrepareName(given); err != nil {
			return nil, fmt.Errorf("ldap: %s of %s: %w", s.opts.NameAttribute, entry.DN, err)
		}
	}
	return r, nil
}

// search returns the one entry that is the user's, or auth.ErrNoUser.
func (s *Source) search(ctx context.Context, user string) (*ldap.Entry, error) {
	attributes := revisionAttributes()
	if s.opts.NameAttribute != "" {
		attributes = append(attributes, s.opts.NameAttribute)
	}
	request := ldap.NewSearchRequest(s.opts.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		2, int(s.opts.Timeout.Seconds()), false, s.filter.expand(user), attributes, nil)
	var result *ldap.SearchResult
	err := s.searchers.use(ctx, s.opts.Timeout, func(conn *ldap.Conn) (err error) {
		result, err = conn.Search(request)
		return err
	})
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded), err == nil && len(result.Entries) > 1:
		return nil, fmt.Errorf("ldap: the filter finds several entries for %q", user)
	case err != nil:
		return nil, unavailable("search", err)
	case len(result.Entries) == 0:
		return nil, auth.ErrNoUser
	}
	return result.Entries[0], nil
}

// revision returns a text that changes with the entry; empty if the server does not
// show changes.
func revision(entry *ldap.Entry) string {
	sum, shown := sha256.New(), false
	add := func(value string) {
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(value))))
		sum.Write([]byte(value))
	}
	add(entry.DN)
	for _, name := range revisionAttributes() {
		value := entry.GetEqualFoldAttributeValue(name)
		shown = shown || value != ""
		add(value)
	}
	if !shown {
		return ""
	}
	return base64.RawStdEncoding.EncodeToString(sum.Sum(nil))
}

// CheckPassword implements auth.PasswordChecker.
func (s *Source) CheckPassword(ctx context.Context, r *auth.Record, password string) error {
	// RFC 4513 §5.1.2: a bind with a name and no password is not one of that name,
	// and succeeds on some servers.
	if password == "" || r.Key == "" {
		return auth.ErrWrongPassword
	}
	err := s.binders.use(ctx, s.opts.Timeout, func(conn *ldap.Conn) error { return conn.Bind(r.Key, password) })
	switch {
	case err == nil:
		return nil
	case isRefusal(err):
		return auth.ErrWrongPassword
	}
	return unavailable("bind", err)
}

// isRefusal says whether a bind failed because of the user. Beside
// invalidCredentials there are the answers for entries that are not there, have no
// password, or are locked (389 Directory Server says that by the last two).
func isRefusal(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject,
		ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInsufficientAccessRights,
		ldap.LDAPResultConstraintViolation, ldap.LDAPResultUnwillingToPerform)
}

func unavailable(what string, err error) error {
	return fmt.Errorf("ldap: %s: %w: %w", what, imapserver.ErrUnavailable, err)
}

// parseURLs checks the addresses of the servers.
func parseURLs(texts []string) ([]*url.URL, error) {
	if len(texts) == 0 {
		return nil, errors.New("no URL of a directory server")
	}
	var urls []*url.URL
	for _, text := range texts {
		u, err := url.Parse(text)
		if err != nil {
			return nil, err
		}
		switch u.Scheme {
		case "ldap", "ldaps", "ldapi":
			urls = append(urls, u)
		default:
			return nil, fmt.Errorf("%q is not the URL of a directory server; write ldap://host, ldaps://host or ldapi:///path", text)
		}
	}
	return urls, nil
}
