package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The types of settings. Each reads itself by UnmarshalText, whose error says what
// is allowed and does not repeat the value, and writes itself by String.

// Size is a number of octets, written as "50MB" (decimal) or "64MiB" (binary).
type Size int64

var sizeUnits = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

// UnmarshalText reads a size. Without a unit it is in octets.
func (s *Size) UnmarshalText(text []byte) error {
	num, unit := strings.TrimSpace(string(text)), int64(1)
	for _, u := range sizeUnits {
		if len(num) > len(u.name) && strings.EqualFold(num[len(num)-len(u.name):], u.name) {
			num, unit = strings.TrimSpace(num[:len(num)-len(u.name)]), u.size
			break
		}
	}
	n, err := strconv.ParseUint(num, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return errors.New(`not a size; write a whole number with a unit, such as "50MB" or "64MiB"`)
	}
	*s = Size(int64(n) * unit)
	return nil
}

func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	// The largest unit of either kind that divides it, decimal ones first.
	best := ""
	for _, u := range slices.Concat(sizeUnits[4:], sizeUnits[:4]) {
		if int64(s)%u.size == 0 {
			if str := strconv.FormatInt(int64(s)/u.size, 10) + u.name; best == "" || len(str) < len(best) {
				best = str
			}
		}
	}
	return best
}

// Duration is a length of time, written as "30s", "5m" or "1h30m".
type Duration time.Duration

// UnmarshalText reads a duration in Go's form.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return errors.New(`not a duration; write a number with a unit, such as "30s", "5m" or "1h30m"`)
	}
	*d = Duration(v)
	return nil
}

func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// Address is where to listen: "host:port", ":port" for every address of the
// machine, or "unix:path". A relative path lies in the data directory.
type Address string

// UnmarshalText reads an address. Names of hosts are taken as they are; whether they
// exist shows when the server listens.
func (a *Address) UnmarshalText(text []byte) error {
	s := string(text)
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		*a = Address(s)
		return checkSocketPath(path)
	}
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New(`not an address; write "host:port", ":port" for every address of this machine, or "unix:path"`)
	}
	*a = Address(s)
	return nil
}

// Network returns the address in the form of net.Listen.
func (a Address) Network() (network, address string) {
	if path, ok := strings.CutPrefix(string(a), "unix:"); ok {
		return "unix", path
	}
	return "tcp", string(a)
}

// maxSocketPath is what fits into sockaddr_un with its final NUL.
const maxSocketPath = 107

func checkSocketPath(path string) error {
	switch {
	case path == "" || strings.ContainsRune(path, 0):
		return errors.New("not the path of a socket; write the path of a file that the server may make")
	case len(path) > maxSocketPath:
		return fmt.Errorf("too long for a socket; the system allows %d bytes", maxSocketPath)
	}
	return nil
}

// SocketPath is the path of a unix socket.
type SocketPath string

// UnmarshalText reads a path and checks what the system allows of sockets.
func (p *SocketPath) UnmarshalText(text []byte) error {
	*p = SocketPath(text)
	return checkSocketPath(string(text))
}

// OptionalSocket is the path of a unix socket, or empty for none.
type OptionalSocket string

// UnmarshalText reads a path as SocketPath does.
func (p *OptionalSocket) UnmarshalText(text []byte) error {
	if *p = OptionalSocket(text); len(text) == 0 {
		return nil
	}
	return checkSocketPath(string(text))
}

// Path is a file or directory. A relative path in a configuration file begins at
// the directory of that file, on the command line at the working directory.
type Path string

// UnmarshalText reads a path.
func (p *Path) UnmarshalText(text []byte) error {
	if strings.ContainsRune(string(text), 0) {
		return errors.New("not a path; a NUL cannot be part of one")
	}
	*p = Path(text)
	return nil
}

// resolve makes a relative path absolute.
func (p *Path) resolve(base string) {
	if *p != "" && !filepath.IsAbs(string(*p)) {
		*p = Path(filepath.Join(base, string(*p)))
	}
}

// UserRule says whose a client certificate is: text with fields of the certificate in
// braces. Empty means that certificates are nobody's.
type UserRule string

var userRule = regexp.MustCompile(`^([^{}]*\{(common-name|email|local-part|dns)\})+[^{}]*$`)

// UnmarshalText reads a rule, which has at least one field.
func (r *UserRule) UnmarshalText(text []byte) error {
	if len(text) > 0 && !userRule.Match(text) {
		return errors.New(`not a rule for certificates; ` +
			`write text with the fields {common-name}, {email}, {local-part} or {dns}, such as "{common-name}@example.org"`)
	}
	*r = UserRule(text)
	return nil
}

// Hostname is a name in the DNS, in ASCII.
type Hostname string

// UnmarshalText reads a name of letters, digits, hyphens and dots.
func (h *Hostname) UnmarshalText(text []byte) error {
	name := strings.ToLower(strings.TrimSuffix(string(text), "."))
	for label := range strings.SplitSeq(name, ".") {
		if name != "" && !validLabel(label) {
			return errors.New(`not a host name; write it in ASCII, such as "mail.example.org"`)
		}
	}
	*h = Hostname(name)
	return nil
}

func validLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// EmailAddress is the address of a person.
type EmailAddress string

// UnmarshalText checks no more than that there is something on both sides of the @.
func (e *EmailAddress) UnmarshalText(text []byte) error {
	local, domain, ok := strings.Cut(string(text), "@")
	if len(text) > 0 && (!ok || local == "" || domain == "" || strings.ContainsAny(string(text), " \t\r\n\x00")) {
		return errors.New(`not an address; write it as "postmaster@example.org"`)
	}
	*e = EmailAddress(text)
	return nil
}

// URL is an address of the web, with TLS.
type URL string

// UnmarshalText reads a URL that begins with "https:".
func (u *URL) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	if len(text) > 0 && (err != nil || parsed.Scheme != "https" || parsed.Host == "") {
		return errors.New(`not an address of the web with TLS; write it as "https://example.org/directory"`)
	}
	*u = URL(text)
	return nil
}

// LDAPURL is the address of a directory server.
type LDAPURL string

// UnmarshalText reads a URL of one of the three kinds there are.
func (u *LDAPURL) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	if err != nil || !slices.Contains([]string{"ldap", "ldaps", "ldapi"}, parsed.Scheme) ||
		parsed.Host == "" && parsed.Scheme != "ldapi" {
		return errors.New(`not the address of a directory server; write "ldap://host", "ldaps://host" or "ldapi:///path"`)
	}
	*u = LDAPURL(text)
	return nil
}

// Text is any text.
type Text string

// UnmarshalText refuses NUL alone, which ends the text for programs in C.
func (t *Text) UnmarshalText(text []byte) error {
	if strings.ContainsRune(string(text), 0) {
		return errors.New("not a text; a NUL cannot be part of one")
	}
	*t = Text(text)
	return nil
}

// UserSource is a kind of source of users.
type UserSource string

// The sources of users.
const (
	SourceStore      UserSource = "store" // the data directory
	SourcePasswdFile UserSource = "passwd-file"
	SourceLDAP       UserSource = "ldap"
	SourceSQL        UserSource = "sql"
	SourcePAM        UserSource = "pam"
)

// UnmarshalText reads the name of a source.
func (s *UserSource) UnmarshalText(text []byte) error {
	*s = UserSource(text)
	return oneOf(string(text), "store", "passwd-file", "ldap", "sql", "pam")
}

// SQLKind is a kind of database, or empty.
type SQLKind string

// UnmarshalText reads the name of a kind.
func (k *SQLKind) UnmarshalText(text []byte) error {
	*k = SQLKind(text)
	return oneOf(string(text), "postgres", "mysql", "sqlite", "")
}

// FileMode is the access rights of a file, written in octal.
type FileMode os.FileMode

// UnmarshalText reads three or four octal digits.
func (m *FileMode) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || v > 0o777 {
		return errors.New(`not access rights; write them in octal, such as "0660"`)
	}
	*m = FileMode(v)
	return nil
}

func (m FileMode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// TLSVersion is "1.2" or "1.3".
type TLSVersion string

// The versions of TLS.
const (
	TLS12 TLSVersion = "1.2"
	TLS13 TLSVersion = "1.3"
)

// UnmarshalText refuses what is too old, and says why.
func (v *TLSVersion) UnmarshalText(text []byte) error {
	switch s := TLSVersion(text); s {
	case TLS12, TLS13:
		*v = s
		return nil
	case "1.0", "1.1":
		return errors.New(`too old; TLS 1.0 and 1.1 have been forbidden since 2021 (RFC 8996) and are not in this program; ` +
			`allowed are "1.2" and "1.3"`)
	}
	return errors.New(`not a version of TLS that can be asked for; allowed are "1.2" and "1.3"`)
}

// LogLevel is "debug", "info", "warn" or "error".
type LogLevel string

// UnmarshalText reads the name of a level.
func (l *LogLevel) UnmarshalText(text []byte) error {
	*l = LogLevel(text)
	return oneOf(string(text), "debug", "info", "warn", "error")
}

// Slog returns the level as package slog knows it.
func (l LogLevel) Slog() slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(l)) != nil {
		return slog.LevelInfo
	}
	return level
}

// LogFormat is "text" or "json".
type LogFormat string

// UnmarshalText reads the name of a format.
func (f *LogFormat) UnmarshalText(text []byte) error {
	*f = LogFormat(text)
	return oneOf(string(text), "text", "json")
}

func oneOf(s string, allowed ...string) error {
	if slices.Contains(allowed, s) {
		return nil
	}
	quoted := make([]string, len(allowed))
	for i, a := range allowed {
		quoted[i] = strconv.Quote(a)
	}
	return fmt.Errorf("unknown; allowed are %s", strings.Join(quoted, ", "))
}
