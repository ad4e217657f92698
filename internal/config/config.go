// Package config is the server's configuration: one struct, its defaults, the
// strict reader of the TOML file, and the reference page made from it.
//
// The comment at each field is the only documentation of that setting. The
// reference page, the example file and the output of "tidemark config" are made
// from these comments; a test fails when they are stale, and
// "go test ./internal/config -update" makes them anew.
package config

import (
	"net/netip"
	"path/filepath"
	"time"
)

// Config is every setting. Its exported fields are sections, their fields are settings.
type Config struct {
	Server  Server  `toml:"server"`
	IMAP    IMAP    `toml:"imap"`
	LMTP    LMTP    `toml:"lmtp"`
	TLS     TLS     `toml:"tls"`
	ACME    ACME    `toml:"acme"`
	Auth    Auth    `toml:"auth"`
	LDAP    LDAP    `toml:"ldap"`
	SQL     SQL     `toml:"sql"`
	OIDC    OIDC    `toml:"oidc"`
	Limits  Limits  `toml:"limits"`
	Storage Storage `toml:"storage"`
	Admin   Admin   `toml:"admin"`
	Metrics Metrics `toml:"metrics"`
	Log     Log     `toml:"log"`

	source source
}

// Server is what concerns the whole server.
type Server struct {
	// The directory that holds all mail and everything else the server keeps. It is
	// made on first start. Only one server can use it at a time.
	DataDir Path `toml:"data_dir"`
	// The name under which clients reach this server. It is shown in greetings,
	// written into trace headers, and stands in the self-signed certificate. Empty
	// means the machine's name.
	Hostname Hostname `toml:"hostname"`
}

// IMAP is where clients connect.
type IMAP struct {
	// Addresses for IMAP with TLS from the first byte (imaps). An empty list turns it
	// off.
	TLSListen []Address `toml:"tls_listen"`
	// Addresses for IMAP where the client has to say STARTTLS before it may log in.
	// An empty list turns it off.
	StartTLSListen []Address `toml:"starttls_listen"`
	// How long a client may be silent before it is logged out. RFC 9051 forbids less
	// than 30 minutes.
	IdleTimeout Duration `toml:"idle_timeout" min:"30m" max:"24h"`
	// Networks of proxies, as address/length, whose connections begin with a header of
	// the PROXY protocol, version 2, that names the client. From there it is required;
	// from elsewhere it is not taken.
	ProxyFrom []netip.Prefix `toml:"proxy_from"`
	// A file of addresses and networks whose connections are closed at once, one a
	// line, with comments after #. It is read again when it changes; connections that
	// exist stay.
	BlockList Path `toml:"block_list"`
}

// LMTP is how mail comes in.
type LMTP struct {
	// Addresses on which mail is taken in. LMTP knows no passwords: whoever reaches
	// these addresses can deliver, so do not open them to the world.
	Listen []Address `toml:"listen"`
	// The access rights of the unix sockets in lmtp.listen, in octal. The mail
	// transfer agent needs the right to write.
	SocketMode FileMode `toml:"socket_mode"`
	// The domains for which mail is taken. In them, a recipient is first looked up as
	// the whole address and then as the part before the @. An empty list takes every
	// domain.
	Domains []Hostname `toml:"domains"`
}

// TLS is how connections are encrypted.
type TLS struct {
	// The certificates, as pairs of PEM files: cert is the chain with the server's
	// own certificate first, key is its private key. Several pairs are chosen from
	// by the name that a client asks for, the first being the default. The files are
	// read again when they change. Without any, a self-signed certificate is made in
	// the data directory.
	Certificates []KeyPair `toml:"certificates"`
	// The oldest version of TLS that is spoken.
	MinVersion TLSVersion `toml:"min_version"`
	// Whether clients get session tickets, by which they come back with a shorter TLS
	// handshake. Go, which this program is made with, tells clients to keep tickets for
	// seven days, which scanners find too long, though the keys are thrown away after two
	// days at the most. An IMAP client connects rarely and stays, so little is lost
	// without.
	SessionTickets bool `toml:"session_tickets"`
	// A file of authorities in PEM. Clients are asked for a certificate of one of them
	// and may give none; one of another authority ends the connection.
	ClientCA Path `toml:"client_ca"`
}

// ACME is how certificates are obtained from an authority such as Let's Encrypt.
type ACME struct {
	// The names to obtain certificates for and to renew them in time. By setting it
	// you accept the authority's terms of service. Until the first has come the
	// certificates of the section tls are served. An empty list turns it off.
	Domains []Hostname `toml:"domains"`
	// Where the authority can reach you. It may be empty.
	Email EmailAddress `toml:"email"`
	// The authority's directory. Empty means Let's Encrypt.
	Directory URL `toml:"directory"`
	// A file of authorities in PEM to trust for the directory, where it is a private
	// one. Empty means those of the system.
	RootFile Path `toml:"root_file"`
	// The port on which the challenge HTTP-01 is answered, while it is asked. The
	// authority comes to port 80; any other needs something that redirects it. 0
	// turns it off.
	HTTPPort int `toml:"http_port" min:"0" max:"65535"`
	// The port on which the challenge TLS-ALPN-01 is answered, while it is asked. The
	// authority comes to port 443. 0 turns it off.
	TLSPort int `toml:"tls_port" min:"0" max:"65535"`
	// A program for the challenge DNS-01, which then is the only one. It is run as
	// "program add NAME VALUE" to make a TXT record, must return when the record can
	// be seen, and is run as "program remove NAME VALUE" later.
	DNSHook Path `toml:"dns_hook"`
}

// KeyPair is a certificate and its key in PEM files.
type KeyPair struct {
	Cert Path `toml:"cert"`
	Key  Path `toml:"key"`
}

// Auth is who may come in, and how.
type Auth struct {
	// The order in which the sources of users are asked. The first that knows a user
	// decides. One that is not configured is passed over, one that is not listed is
	// not asked at all. A source that cannot be reached makes logins fail as
	// temporarily unavailable for all whom no source before it knows.
	Sources []UserSource `toml:"sources"`
	// Networks from which a password is accepted without TLS, as address/length. The
	// password then crosses the network in the clear: list only networks where nobody
	// can listen, such as 127.0.0.0/8.
	AllowInsecureLoginFrom []netip.Prefix `toml:"allow_insecure_login_from"`
	// Networks whose failed logins slow nobody down, as address/length: those of a
	// webmail server, from which everybody's mistakes come. SIGHUP takes changes up.
	TrustedNetworks []netip.Prefix `toml:"trusted_networks"`
	// A file of further users in the format of Dovecot's passwd-file. It is read
	// again when it changes.
	PasswdFile Path `toml:"passwd_file"`
	// The service of PAM, a file in /etc/pam.d, by which the people among the system's
	// users log in. Empty turns it off. It needs a program that was built with
	// CGO_ENABLED=1 and -tags pam.
	PAMService Text `toml:"pam_service"`
	// Whether hashes from elsewhere, of other sources and those given to commands, may be
	// such that can be undone quickly: plain text, digests of a single pass such as
	// {SSHA512}, and {MD5-CRYPT}. Whoever gets such hashes has the passwords.
	AllowWeakHashes bool `toml:"allow_weak_hashes"`
	// The least length of a new password in characters.
	MinPasswordLength int `toml:"min_password_length" min:"1" max:"128"`
	// A file of passwords that are known to the world and are refused when a password
	// is set: one a line, or the SHA-1 of one in hexadecimal, sorted, as Have I Been
	// Pwned gives them out.
	CompromisedPasswords Path `toml:"compromised_passwords"`
	// Networks from which master users may act as others, as address/length. An empty
	// list means that they cannot. Each such login is logged with both names.
	MasterNetworks []netip.Prefix `toml:"master_networks"`
	// Whose a client certificate is that an authority in tls.client_ca has signed: text
	// with fields of the certificate in braces. {email} and {dns} are the only address and the only
	// host name in it, {local-part} is the address up to the @. Empty means that
	// nobody logs in by certificate.
	CertificateUser UserRule `toml:"certificate_user"`
	// The path of a unix socket on which Postfix and Exim have passwords checked, by
	// Dovecot's authentication protocol. A relative path lies in the data directory.
	// Whoever reaches the socket may try passwords and say from which address they came.
	// Empty turns it off.
	DovecotSocket OptionalSocket `toml:"dovecot_socket"`
	// The access rights of auth.dovecot_socket, in octal. The mail transfer agent needs
	// the right to write.
	DovecotSocketMode FileMode `toml:"dovecot_socket_mode"`
}

// LDAP is a directory server as a source of users. A password is checked by binding as
// the user.
type LDAP struct {
	// Servers with the same content, as ldap://host, ldaps://host or ldapi:///path. The
	// next one is tried when one cannot be reached. An empty list turns the source off.
	URLs []LDAPURL `toml:"urls"`
	// Whether passwords may go to ldap:// in the clear. Otherwise such connections begin
	// with StartTLS, and are not used without it.
	Plaintext bool `toml:"plaintext"`
	// A file of authorities in PEM to trust for the servers. Empty means those of the
	// system.
	CAFile Path `toml:"ca_file"`
	// The distinguished name of the account that searches for users. Empty means an
	// anonymous search.
	BindDN Text `toml:"bind_dn"`
	// The file with the password of ldap.bind_dn.
	BindPasswordFile Path `toml:"bind_password_file"`
	// The distinguished name below which users are searched.
	Base Text `toml:"base"`
	// The search filter that finds a user, such as "(&(objectClass=person)(mail={user}))".
	// {user} is the name that the client gave, {local} and {domain} are its parts before
	// and after the @. Who cannot be found cannot log in, so that conditions for that
	// belong here too.
	Filter Text `toml:"filter"`
	// The attribute that has the name of the account to open. Empty means the name that
	// the client gave; set it when the filter finds a user by several names.
	NameAttribute Text `toml:"name_attribute"`
	// The distinguished names of users, such as "uid={local},ou=people,dc=example,dc=org",
	// where they are not to be searched. Without a search nobody can tell whether there
	// is a user until the first login: mail for somebody is refused until then.
	UserDN Text `toml:"user_dn"`
	// How long a lookup or a check may take.
	Timeout Duration `toml:"timeout" min:"100ms" max:"1m"`
	// The most connections for searches, and for checks of passwords.
	Connections int `toml:"connections" min:"1" max:"1000"`
}

// SQL is a database as a source of users.
type SQL struct {
	// The kind of database; mysql is MariaDB too. Empty turns the source off.
	Kind SQLKind `toml:"kind"`
	// Where the database is, without a password: "postgres://user@host/database",
	// "user@tcp(host:3306)/database" for MySQL, or the path of SQLite's file.
	Address Text `toml:"address"`
	// The file with the password of the database's user.
	PasswordFile Path `toml:"password_file"`
	// The query that finds a user. :user is the name that the client gave, :local and
	// :domain are its parts before and after the @; they are bound as values. The query
	// returns one row or none. The column password has a hash, with its scheme in braces
	// or in the form of crypt(3). There may also be disabled, name (the account to open,
	// needed where the database takes unlike names for equal) and allow_nets (networks
	// that the user may come from, separated by commas).
	Query Text `toml:"query"`
	// The statement that replaces an older hash by one of argon2id after a login. It has
	// the new hash as :hash and the old one as :old, beside the values of sql.query.
	// Empty means that hashes stay as they are.
	Update Text `toml:"update"`
	// How long a query may take.
	Timeout Duration `toml:"timeout" min:"100ms" max:"1m"`
	// The most connections to the database.
	Connections int `toml:"connections" min:"1" max:"1000"`
}

// OIDC is an OpenID Connect provider whose access tokens are taken in the place of a
// password, by OAUTHBEARER and XOAUTH2.
type OIDC struct {
	// The provider's URL, exactly as it stands in its tokens. Empty turns it off.
	Issuer URL `toml:"issuer"`
	// The names of this service with the provider, of which a token must be made out to
	// one. Tokens for other services are refused.
	Audience []Text `toml:"audience"`
	// The claim of a token that names the user.
	UserClaim Text `toml:"user_claim"`
	// The scopes that a token must have.
	Scopes []Text `toml:"scopes"`
	// How far the provider's clock may be off.
	ClockSkew Duration `toml:"clock_skew" min:"0s" max:"10m"`
	// Whether users whom no source knows may log in by a token, and get an account with
	// the first login.
	NewUsers bool `toml:"new_users"`
	// Whether the provider is asked about each token (RFC 7662), so that one that is
	// revoked is refused at once. Otherwise tokens have to be signed, and are checked by
	// the provider's published keys.
	Introspection bool `toml:"introspection"`
	// The name under which the provider knows this server, for oidc.introspection.
	ClientID Text `toml:"client_id"`
	// The file with the secret that belongs to oidc.client_id.
	ClientSecretFile Path `toml:"client_secret_file"`
	// A file of authorities in PEM to trust for the provider. Empty means those of the
	// system.
	CAFile Path `toml:"ca_file"`
	// How long a request to the provider may take.
	Timeout Duration `toml:"timeout" min:"100ms" max:"1m"`
}

// Limits is how much anybody may use.
type Limits struct {
	// The largest message that is taken, by IMAP and by LMTP.
	MessageSize Size `toml:"message_size" min:"64KB" max:"1GB"`
	// The most connections that one user may have.
	SessionsPerUser int `toml:"sessions_per_user" min:"1" max:"100000"`
	// The most connections that one user may have from one address.
	SessionsPerUserAddress int `toml:"sessions_per_user_and_address" min:"1" max:"100000"`
	// The most connections that have not logged in yet. Beyond it the oldest of them
	// is closed.
	Unauthenticated int `toml:"unauthenticated" min:"1" max:"1000000"`
	// The most connections from one address that have not logged in yet.
	UnauthenticatedPerAddress int `toml:"unauthenticated_per_address" min:"1" max:"1000000"`
	// The most commands in a second that one connection may send. Further ones wait.
	CommandsPerSecond int `toml:"commands_per_second" min:"10" max:"10000000"`
}

// Storage is how the disk and the memory for it are used.
type Storage struct {
	// The memory used to keep parts of the store that were read lately. 0 means 64 MiB,
	// or a sixteenth of the memory of the machine or of the server's control group if that
	// is less. While little mail comes in, what is set aside for new mail, as much by
	// default, is used for it, too.
	CacheSize Size `toml:"cache_size" min:"0" max:"1TB"`
	// The room that is left free on the disk. With less, no mail is taken, and reading
	// and deleting go on. 0 means 128 MiB, or a twentieth of the disk if that is less.
	MinFree Size `toml:"min_free" min:"0" max:"1TB"`
	// Answer a change of flags as soon as it is made, without waiting for the disk, to
	// mail programs that do not use CONDSTORE. The disk is written to at once all the same,
	// and nobody else is told before; but a power cut in the moment between can undo a
	// change that was answered. Mail itself is never answered early.
	EarlyFlags bool `toml:"early_flags"`
}

// Admin is how the other commands talk to a running server.
type Admin struct {
	// The unix socket of the administration commands. A relative path lies in the data
	// directory. Only the server's own user and root can use it.
	Socket SocketPath `toml:"socket"`
}

// Metrics is what monitoring reads.
type Metrics struct {
	// Addresses on which figures can be read by Prometheus at /metrics, and the
	// server's health at /healthz. They are served without encryption and without a
	// password. An empty list turns it off.
	Listen []Address `toml:"listen"`
}

// Log is what the server says about itself, on standard error.
type Log struct {
	// The least important messages that are logged.
	Level LogLevel `toml:"level"`
	// How messages are written: for people or for programs.
	Format LogFormat `toml:"format"`
}

// Default returns the settings as they are when nothing is configured.
func Default() *Config {
	return &Config{
		Server: Server{DataDir: "/var/lib/tidemark"},
		IMAP: IMAP{
			TLSListen:      []Address{":993"},
			StartTLSListen: []Address{":143"},
			IdleTimeout:    Duration(30 * time.Minute),
		},
		LMTP: LMTP{
			Listen:     []Address{"unix:lmtp.sock"},
			SocketMode: 0o660,
		},
		TLS:  TLS{MinVersion: TLS12},
		ACME: ACME{HTTPPort: 80, TLSPort: 443},
		Auth: Auth{
			Sources:           []UserSource{SourceStore, SourcePasswdFile, SourceLDAP, SourceSQL, SourcePAM},
			MinPasswordLength: 8, DovecotSocketMode: 0o660,
		},
		LDAP: LDAP{Timeout: Duration(5 * time.Second), Connections: 8},
		SQL:  SQL{Timeout: Duration(5 * time.Second), Connections: 8},
		OIDC: OIDC{UserClaim: "email", ClockSkew: Duration(time.Minute), Timeout: Duration(5 * time.Second)},
		Limits: Limits{
			MessageSize:               50_000_000,
			SessionsPerUser:           100,
			SessionsPerUserAddress:    50,
			Unauthenticated:           2000,
			UnauthenticatedPerAddress: 20,
			CommandsPerSecond:         50_000,
		},
		Admin: Admin{Socket: "admin.sock"},
		Log:   Log{Level: "info", Format: "text"},
	}
}

// InDataDir returns name as a path: as it is when it is absolute, else below the
// data directory.
func (c *Config) InDataDir(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(string(c.Server.DataDir), name)
}

// DovecotSocket returns the path of the socket for other servers' logins, or nothing.
func (c *Config) DovecotSocket() string {
	if c.Auth.DovecotSocket == "" {
		return ""
	}
	return c.InDataDir(string(c.Auth.DovecotSocket))
}

// AdminSocket returns the path of the administration socket.
func (c *Config) AdminSocket() string { return c.InDataDir(string(c.Admin.Socket)) }
