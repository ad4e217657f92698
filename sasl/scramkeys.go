package sasl

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"hash"
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
)

// ScramHash is the hash function of a SCRAM mechanism.
type ScramHash int

// The hash functions. SHA-1 is for clients that know nothing else.
const (
	SHA256 ScramHash = iota
	SHA1
)

func (h ScramHash) new() hash.Hash {
	if h == SHA1 {
		return sha1.New()
	}
	return sha256.New()
}

func (h ScramHash) sum(b []byte) []byte {
	d := h.new()
	d.Write(b)
	return d.Sum(nil)
}

func (h ScramHash) hmac(key []byte, message string) []byte {
	m := hmac.New(h.new, key)
	m.Write([]byte(message))
	return m.Sum(nil)
}

// Size is the length of the keys in bytes.
func (h ScramHash) Size() int { return h.new().Size() }

// ScramKeys is what a server keeps of one password (RFC 5802 §3). Whoever has it
// cannot log in with it but can guess passwords offline.
type ScramKeys struct {
	StoredKey []byte
	ServerKey []byte
}

// Limits of the iteration count: RFC 7677 §4 asks for at least 4096, and above
// the other a client may take it for an attack.
const (
	MinIterations = 4096
	MaxIterations = 10_000_000
)

// NewScramKeys derives the keys of a password. It costs iterations HMACs.
func NewScramKeys(h ScramHash, password string, salt []byte, iterations int) (ScramKeys, error) {
	if iterations < MinIterations || iterations > MaxIterations || len(salt) == 0 {
		return ScramKeys{}, fmt.Errorf("SCRAM keys with %d iterations and %d bytes of salt", iterations, len(salt))
	}
	salted, err := pbkdf2.Key(h.new, PreparePassword(password), salt, iterations, h.Size())
	if err != nil {
		return ScramKeys{}, fmt.Errorf("derive SCRAM keys: %w", err)
	}
	return ScramKeys{
		StoredKey: h.sum(h.hmac(salted, "Client Key")),
		ServerKey: h.hmac(salted, "Server Key"),
	}, nil
}

// PreparePassword brings a password into the form that SCRAM clients hash: SASLprep
// (RFC 4013) where it can be applied, else, as with emoji, which are newer than
// its tables, the password as it is. That is what clients do too.
func PreparePassword(password string) string {
	ascii := true
	for i := range len(password) {
		ascii = ascii && password[i] >= 0x20 && password[i] < 0x7f
	}
	if ascii || !utf8.ValidString(password) {
		return password
	}
	if prepared, err := stringprep.SASLprep.Prepare(password); err == nil && prepared != "" {
		return prepared
	}
	return password
}
