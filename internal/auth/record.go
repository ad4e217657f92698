package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"tidemark/sasl"
)

// Record is what a source knows of a user.
type Record struct {
	// Name is the account that the user opens, as sasl.PrepareName gives it.
	Name string `json:"-"`
	// Hash is the password's hash in modular crypt form ($argon2id$…) or with a
	// scheme ({SSHA512}…). Without one no password is right.
	Hash string `json:"hash,omitempty"`
	// Scram are the keys for SCRAM; nil where the user cannot log in by it.
	Scram *ScramRecord `json:"scram,omitempty"`
	// Disabled users exist but cannot log in.
	Disabled bool `json:"disabled,omitempty"`
	// Master users may act as others, from the networks that are set for it.
	Master bool `json:"master,omitempty"`
	// Networks are the only ones that the user may come from; none means all.
	Networks []netip.Prefix `json:"networks,omitempty"`
	// Homes are networks from which the user has logged in, the latest last. Guessing
	// by strangers does not hinder the user there.
	Homes []netip.Prefix `json:"homes,omitempty"`
	// AppPasswords are further passwords, each for one device or program.
	AppPasswords []AppPassword `json:"app_passwords,omitempty"`

	// Revision changes whenever the password does that the source keeps to itself.
	// Without a revision such a password is checked at every login, since nothing
	// would tell that one remembered has been changed.
	Revision string `json:"revision,omitempty"`
	// Key is what the source itself knows the user by, such as a distinguished name.
	Key string `json:"-"`
	// Presumed says that the source cannot tell without the password whether there is
	// such a user.
	Presumed bool `json:"-"`
}

// SplitName returns the parts of a user name before and after its last @. A name
// without one has no domain.
func SplitName(user string) (local, domain string) {
	i := strings.LastIndexByte(user, '@')
	if i < 0 {
		return user, ""
	}
	return user[:i], user[i+1:]
}

// SetStored takes over a password as passwd-files and databases have it: a hash with
// or without its scheme. As in /etc/passwd, nothing at all and what begins with ! or *
// are no hashes and lock the user out.
func (r *Record) SetStored(stored string, allowWeak bool) error {
	if stored == "" || strings.HasPrefix(stored, "!") || strings.HasPrefix(stored, "*") {
		r.Disabled = true
		return nil
	}
	return r.setHash(stored, allowWeak)
}

// ParseNetworks reads a list of networks and addresses separated by commas.
func ParseNetworks(list string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for n := range strings.SplitSeq(list, ",") {
		p, err := parseNetwork(strings.TrimSpace(n))
		if err != nil {
			return nil, err
		}
		networks = append(networks, p)
	}
	return networks, nil
}

// ScramRecord are a user's SCRAM keys.
type ScramRecord struct {
	Salt       []byte          `json:"salt"`
	Iterations int             `json:"iterations"`
	SHA256     *sasl.ScramKeys `json:"sha256,omitempty"`
	SHA1       *sasl.ScramKeys `json:"sha1,omitempty"`
}

func (s *ScramRecord) keys(h sasl.ScramHash) *sasl.ScramKeys {
	switch {
	case s == nil:
		return nil
	case h == sasl.SHA1:
		return s.SHA1
	}
	return s.SHA256
}

// AppPassword is a password for one device. We make it up, so that guessing is
// hopeless and a fast hash of it is enough.
type AppPassword struct {
	Name   string          `json:"name"`
	Salt   []byte          `json:"salt"`
	Digest []byte          `json:"digest"`          // SHA-256 of Salt and the password
	Scram  *sasl.ScramKeys `json:"scram,omitempty"` // SHA-256, with the salt of Record.Scram

	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"`   // zero for never
	LastUsed time.Time `json:"last_used,omitzero"` // exact to the hour
}

func (p *AppPassword) expired(now time.Time) bool {
	return !p.Expires.IsZero() && !now.Before(p.Expires)
}

// The form of an app password: 100 bits in four groups of five letters.
const (
	appPasswordGroups = 4
	appPasswordGroup  = 5
)

// newAppPassword makes up an app password.
func newAppPassword(name string, now time.Time) (AppPassword, string) {
	text := strings.ToLower(rand.Text()) // RFC 4648 base32: 5 bits a letter
	var groups []string
	for i := range appPasswordGroups {
		groups = append(groups, text[i*appPasswordGroup:(i+1)*appPasswordGroup])
	}
	p := AppPassword{Name: name, Salt: randomBytes(16), Created: now.Truncate(time.Second).UTC()}
	password := strings.Join(groups, "-")
	p.Digest = p.digest(password)
	return p, password
}

func (p *AppPassword) digest(password string) []byte {
	sum := sha256.New()
	sum.Write(p.Salt)
	sum.Write([]byte(appPasswordLetters(password)))
	return sum.Sum(nil)
}

// appPasswordLetters drops what people add or leave out when they type an app
// password from a screen.
func appPasswordLetters(password string) string {
	return strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(password))
}

// matchAppPassword returns the index of the app password, or -1. Its time does
// not tell which one matched.
func (r *Record) matchAppPassword(password string) int {
	match := -1
	for i := range r.AppPasswords {
		p := &r.AppPasswords[i]
		match = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(p.digest(password), p.Digest), i, match)
	}
	return match
}

// recordVersion is the version of the form in which records are kept.
const recordVersion = 1

// ErrRecord is wrapped by errors about a stored record that cannot be read.
var ErrRecord = errors.New("unreadable user record")

type storedRecord struct {
	Version int `json:"v"`
	*Record
}

// MarshalBinary returns the record, but for its Name, as bytes to be stored.
func (r *Record) MarshalBinary() ([]byte, error) {
	return json.Marshal(storedRecord{recordVersion, r})
}

// UnmarshalBinary reads what MarshalBinary wrote, and leaves Name as it is.
func (r *Record) UnmarshalBinary(data []byte) error {
	read := Record{Name: r.Name}
	s := storedRecord{Record: &read}
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if s.Version != recordVersion || s.Record == nil {
		return fmt.Errorf("%w: version %d is unknown", ErrRecord, s.Version)
	}
	*r = read
	return nil
}

// version returns a sum that is another one whenever something of the record has
// changed that bears on whether a password is right.
func (r *Record) version() [sha256.Size]byte {
	plain := *r
	plain.Homes = nil
	plain.AppPasswords = slices.Clone(r.AppPasswords)
	for i := range plain.AppPasswords {
		plain.AppPasswords[i].LastUsed = time.Time{}
	}
	data, err := plain.MarshalBinary()
	if err != nil {
		panic(err) // plain values always marshal
	}
	return sha256.Sum256(append(data, r.Name...))
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
