package lmtp

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

// address is a recipient, taken apart. Local is without quoting.
type address struct {
	Local  string
	Domain string // folded, see foldDomain; an address literal with its brackets
}

// String returns the address as it stands between angle brackets, with the local
// part quoted where it must be.
func (a address) String() string {
	if isDotString(a.Local) {
		return a.Local + "@" + a.Domain
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(a.Local); i++ {
		if a.Local[i] == '"' || a.Local[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(a.Local[i])
	}
	b.WriteString(`"@`)
	b.WriteString(a.Domain)
	return b.String()
}

// candidate is a user who may be meant by an address, and the mailbox that the
// address then names, empty for INBOX.
type candidate struct {
	User, Mailbox string
}

// candidates returns whom a may mean, in the order in which they are tried: a user
// who is named by the whole address comes before one who is named by the local
// part, and a user with a plus sign in the name before a subaddress (RFC 5233 §1).
func (a address) candidates() []candidate {
	user, detail, hasDetail := strings.Cut(a.Local, "+")
	hasDetail = hasDetail && user != ""
	var c []candidate
	add := func(suffix string) {
		c = append(c, candidate{a.Local + suffix, ""})
		if hasDetail {
			c = append(c, candidate{user + suffix, detail})
		}
	}
	add("@" + a.Domain)
	// "bob@example.org"@example.net is not bob@example.org.
	if !strings.Contains(a.Local, "@") {
		add("")
	}
	return c
}

// foldDomain returns the form in which domains are compared.
func foldDomain(d string) string {
	return strings.TrimSuffix(strings.ToLower(d), ".")
}

var errAddress = errors.New("bad address")

// parseRecipient reads the path of an RCPT command line, which is a Path of
// RFC 5321 §4.1.2 without a source route, see withoutRoute. Non-ASCII UTF-8 is taken
// as in RFC 6531 §3.3.
func parseRecipient(command []byte) (address, error) {
	_, rest, ok := bytes.Cut(command, []byte{':'})
	if !ok {
		return address{}, errAddress
	}
	rest = bytes.TrimLeft(rest, " ")
	if len(rest) == 0 || rest[0] != '<' {
		return address{}, errAddress
	}
	local, rest, err := cutLocalPart(rest[1:])
	if err != nil {
		return address{}, err
	}
	domain, rest, ok := bytes.Cut(rest, []byte{'>'})
	if !ok || len(local)+1+len(domain) > maxPath || !isDomain(string(domain)) {
		return address{}, errAddress
	}
	if len(rest) > 0 && rest[0] != ' ' && rest[0] != '\r' {
		return address{}, errAddress
	}
	return address{local, foldDomain(string(domain))}, nil
}

// cutLocalPart returns the local part at the beginning of b, unquoted, and what
// comes after its "@".
func cutLocalPart(b []byte) (local string, rest []byte, err error) {
	if len(b) > 0 && b[0] == '"' {
		local, b, err = cutQuoted(b[1:])
		if err != nil || local == "" || len(b) == 0 || b[0] != '@' {
			return "", nil, errAddress
		}
		return local, b[1:], nil
	}
	word, rest, ok := bytes.Cut(b, []byte{'@'})
	if !ok || !isDotString(string(word)) {
		return "", nil, errAddress
	}
	return string(word), rest, nil
}

// cutQuoted reads a Quoted-string (RFC 5321 §4.1.2) up to after its closing quote.
func cutQuoted(b []byte) (string, []byte, error) {
	var out []byte
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '"' {
			if !utf8.Valid(out) {
				return "", nil, errAddress
			}
			return string(out), b[i+1:], nil
		}
		if c == '\\' {
			i++
			if i == len(b) {
				break
			}
			c = b[i]
		}
		if c < ' ' || c == 0x7f {
			break
		}
		out = append(out, c)
	}
	return "", nil, errAddress
}

// isDotString says whether s is a Dot-string (RFC 5321 §4.1.2, RFC 6531 §3.3).
func isDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") || !utf8.ValidString(s) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '.' && !isAtext(c) {
			return false
		}
	}
	return true
}

// isAtext is atext of RFC 5322 §3.2.3, and every octet of non-ASCII UTF-8.
func isAtext(c byte) bool {
	return isAlnum(c) || c >= 0x80 || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isDomain says whether s is a Domain, as A-labels or U-labels, or an address
// literal (RFC 5321 §4.1.2 and §4.1.3). An underscore is no letter of a host name
// but occurs.
func isDomain(s string) bool {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		return strings.Trim(s[1:len(s)-1], "0123456789abcdefABCDEFiIpPvV:.") == ""
	}
	s = strings.TrimSuffix(s, ".")
	if s == "" || s[0] == '.' || strings.Contains(s, "..") || !utf8.ValidString(s) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && c < 0x80 && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

// qualify adds host to the address of a MAIL or RCPT line that has a bare local
// part, such as the <postmaster> of RFC 5321 §4.5.1, which go-smtp would refuse.
// Every other line is returned as it is.
func qualify(line []byte, host string) []byte {
	if !hasVerb(line, "RCPT") && !hasVerb(line, "MAIL") {
		return line
	}
	open, end := bytes.IndexByte(line, '<'), bytes.IndexByte(line, '>')
	if open < 0 || end < open || !isDotString(string(line[open+1:end])) {
		return line
	}
	out := make([]byte, 0, len(line)+1+len(host))
	out = append(out, line[:end]...)
	out = append(out, '@')
	out = append(out, host...)
	return append(out, line[end:]...)
}
