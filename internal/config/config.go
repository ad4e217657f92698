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

// Config is every setting. Its fields are sections, their fields are settings.
type Config struct {
	Server  Server  `toml:"server"`
	IMAP    IMAP    `toml:"imap"`
	LMTP    LMTP    `toml:"lmtp"`
	TLS     TLS     `toml:"tls"`
	Auth    Auth    `toml:"auth"`
	Limits  Limits  `toml:"limits"`
	Storage Storage `toml:"storage"`
	Admin   Admin   `toml:"admin"`
	Metrics Metrics `toml:"metrics"`
	Log     Log     `toml:"log"`
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
}

// KeyPair is a certificate and its key in PEM files.
type KeyPair struct {
	Cert Path `toml:"cert"`
	Key  Path `toml:"key"`
}

// Auth is who may come in, and how.
type Auth struct {
	// Networks from which a password is accepted without TLS, as address/length. The
	// password then crosses the network in the clear: list only networks where nobody
	// can listen, such as 127.0.0.0/8.
	AllowInsecureLoginFrom []netip.Prefix `toml:"allow_insecure_login_from"`
	// Networks whose failed logins slow nobody down, as address/length: those of a
	// webmail server, from which everybody's mistakes come.
	TrustedNetworks []netip.Prefix `toml:"trusted_networks"`
	// A file of further users in the format of Dovecot's passwd-file. It is read
	// again when it changes. Users of the data directory come first.
	PasswdFile Path `toml:"passwd_file"`
	// The least length of a new password in characters.
	MinPasswordLength int `toml:"min_password_length" min:"1" max:"128"`
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
}

// Storage is how the disk and the memory for it are used.
type Storage struct {
	// The memory used to keep parts of the store that were read lately.
	CacheSize Size `toml:"cache_size" min:"1MB" max:"1TB"`
	// The room that is left free on the disk. With less, no mail is taken, and reading
	// goes on.
	MinFree Size `toml:"min_free" min:"0" max:"1TB"`
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
		Auth: Auth{MinPasswordLength: 8},
		Limits: Limits{
			MessageSize:               50_000_000,
			SessionsPerUser:           100,
			SessionsPerUserAddress:    50,
			Unauthenticated:           2000,
			UnauthenticatedPerAddress: 20,
		},
		Storage: Storage{CacheSize: 64_000_000, MinFree: 256_000_000},
		Admin:   Admin{Socket: "admin.sock"},
		Log:     Log{Level: "info", Format: "text"},
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

// AdminSocket returns the path of the administration socket.
func (c *Config) AdminSocket() string { return c.InDataDir(string(c.Admin.Socket)) }
