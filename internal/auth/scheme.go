package auth

import (
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt"
	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/md5crypt"
	"github.com/go-crypt/crypt/algorithm/scrypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"

	"tidemark/sasl"
)

// scheme is a way to hash passwords, by the name it has in Dovecot's files.
type scheme struct {
	verify func(encoded, password string) (bool, error)
	// weak ones can be undone by guessing quickly, or at once.
	weak bool
}

// schemes are all that are known.
var schemes = map[string]scheme{
	"ARGON2ID":      {verify: verifyCrypt},
	"ARGON2I":       {verify: verifyCrypt},
	"BLF-CRYPT":     {verify: verifyCrypt},
	"SHA512-CRYPT":  {verify: verifyCrypt},
	"SHA256-CRYPT":  {verify: verifyCrypt},
	"CRYPT":         {verify: verifyCrypt},
	"MD5-CRYPT":     {verifyCrypt, true},
	"PBKDF2":        {verify: verifyPBKDF2},
	"SCRAM-SHA-256": {verify: verifyScram(sasl.SHA256)},
	"SCRAM-SHA-1":   {verify: verifyScram(sasl.SHA1)},
	"SSHA":          {verifyDigest(sha1.Size, sha1.New, true), true},
	"SSHA256":       {verifyDigest(sha256.Size, sha256.New, true), true},
	"SSHA512":       {verifyDigest(sha512.Size, sha512.New, true), true},
	"SMD5":          {verifyDigest(md5.Size, md5.New, true), true},
	"SHA":           {verifyDigest(sha1.Size, sha1.New, false), true},
	"SHA1":          {verifyDigest(sha1.Size, sha1.New, false), true},
	"SHA256":        {verifyDigest(sha256.Size, sha256.New, false), true},
	"SHA512":        {verifyDigest(sha512.Size, sha512.New, false), true},
	"PLAIN-MD5":     {verifyDigest(md5.Size, md5.New, false), true},
	"LDAP-MD5":      {verifyDigest(md5.Size, md5.New, false), true},
	"PLAIN":         {verifyPlain, true},
	"CLEARTEXT":     {verifyPlain, true},
	"CLEAR":         {verifyPlain, true},
}

var errScheme = errors.New("password scheme not known")

// splitScheme takes {SCHEME} or {SCHEME.ENCODING} off a hash. Without one it is
// modular crypt form.
func splitScheme(stored string) (name, encoded string, err error) {
	rest, ok := strings.CutPrefix(stored, "{")
	if !ok {
		return "CRYPT", stored, nil
	}
	name, encoded, ok = strings.Cut(rest, "}")
	if !ok {
		return "", "", fmt.Errorf("%w: no closing brace", errScheme)
	}
	name, encoding, _ := strings.Cut(strings.ToUpper(name), ".")
	switch encoding {
	case "", "HEX", "B64", "BASE64": // digests show their encoding by their length
		return name, encoded, nil
	}
	return "", "", fmt.Errorf("%w: encoding of {%s}", errScheme, name)
}

// verifyHash says whether a password has the stored hash, of any scheme.
func verifyHash(stored, password string) (bool, error) {
	name, encoded, err := splitScheme(stored)
	if err != nil {
		return false, err
	}
	s, ok := schemes[name]
	if !ok {
		return false, fmt.Errorf("%w: {%s}", errScheme, name)
	}
	return s.verify(encoded, password)
}

// verifyCrypt checks modular crypt form, in which the hash says its kind.
func verifyCrypt(encoded, password string) (bool, error) {
	digest, err := decodeCrypt(encoded)
	if err != nil {
		return false, fmt.Errorf("stored password hash: %w", err)
	}
	return digest.MatchAdvanced(password)
}

// minCryptDigest is how many characters a digest in modular crypt form has at least: those
// of MD5, the shortest that is taken.
const minCryptDigest = 22

// decodeCrypt parses the kinds that Dovecot's {CRYPT} can be on present systems. What
// was cut off, as by a column of a database that is too narrow, is refused: of argon2 and
// scrypt so many octets are compared as there are, and one octet is like that of every
// 256th password.
func decodeCrypt(encoded string) (algorithm.Digest, error) {
	if len(encoded)-strings.LastIndexByte(encoded, '$')-1 < minCryptDigest {
		return nil, errors.New("it is no hash, or has been cut off")
	}
	if err := checkCost(encoded); err != nil {
		return nil, err
	}
	d := crypt.NewDecoder()
	for _, register := range []func(algorithm.DecoderRegister) error{
		argon2.RegisterDecoder, bcrypt.RegisterDecoder, shacrypt.RegisterDecoder,
		scrypt.RegisterDecoder, md5crypt.RegisterDecoderCommon,
	} {
		if err := register(d); err != nil {
			return nil, err
		}
	}
	return d.Decode(encoded)
}

func verifyPlain(encoded, password string) (bool, error) {
	// Of equal length, so that the comparison does not tell the stored one's.
	have, want := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(encoded))
	return subtle.ConstantTimeCompare(have[:], want[:]) == 1, nil
}

// verifyDigest checks a bare hash of password and salt, which follows the hash.
func verifyDigest(size int, new func() hash.Hash, salted bool) func(encoded, password string) (bool, error) {
	return func(encoded, password string) (bool, error) {
		raw, err := hex.DecodeString(encoded)
		if err != nil || len(raw) < size {
			raw, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
		}
		if err != nil || len(raw) < size || !salted && len(raw) != size {
			return false, errors.New("stored password hash: neither hexadecimal nor base64 of the right length")
		}
		h := new()
		h.Write([]byte(password))
		h.Write(raw[size:])
		return subtle.ConstantTimeCompare(h.Sum(nil), raw[:size]) == 1, nil
	}
}

// verifyPBKDF2 checks Dovecot's form $1$salt$rounds$hash, PBKDF2 with SHA-1.
func verifyPBKDF2(encoded, password string) (bool, error) {
	salt, rounds, want, err := parsePBKDF2(encoded)
	if err != nil {
		return false, fmt.Errorf("stored password hash: %w", err)
	}
	have, err := pbkdf2.Key(sha1.New, password, salt, rounds, sha1.Size)
	return subtle.ConstantTimeCompare(have, want) == 1, err
}

func parsePBKDF2(encoded string) (salt []byte, rounds int, want []byte, err error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 5 || parts[0] != "" || parts[1] != "1" {
		return nil, 0, nil, errors.New("not $1$salt$rounds$hash")
	}
	if rounds, err = strconv.Atoi(parts[3]); err != nil || rounds < 1 {
		return nil, 0, nil, errors.New("the number of rounds is none")
	}
	if want, err = hex.DecodeString(parts[4]); err != nil || len(want) != sha1.Size {
		return nil, 0, nil, errors.New("the hash is not hexadecimal of the right length")
	}
	return []byte(parts[2]), rounds, want, atMost("the number of rounds", float64(rounds), maxPBKDF2Rounds)
}

// verifyScram checks a password against SCRAM keys.
func verifyScram(h sasl.ScramHash) func(encoded, password string) (bool, error) {
	return func(encoded, password string) (bool, error) {
		r, err := parseScram(encoded, h)
		if err != nil {
			return false, err
		}
		have, err := sasl.NewScramKeys(h, password, r.Salt, r.Iterations)
		return subtle.ConstantTimeCompare(have.StoredKey, r.keys(h).StoredKey) == 1, err
	}
}

// parseScram reads Dovecot's form of SCRAM keys: iterations,salt,stored key,server
// key, all but the first in base64.
func parseScram(encoded string, h sasl.ScramHash) (*ScramRecord, error) {
	parts := strings.Split(encoded, ",")
	if len(parts) != 4 {
		return nil, errors.New("stored SCRAM keys: not iterations,salt,stored key,server key")
	}
	iterations, err := strconv.Atoi(parts[0])
	if err != nil || iterations < sasl.MinIterations || iterations > sasl.MaxIterations {
		return nil, errors.New("stored SCRAM keys: iterations out of range")
	}
	var raw [3][]byte
	for i := range raw {
		if raw[i], err = base64.StdEncoding.DecodeString(parts[i+1]); err != nil {
			return nil, fmt.Errorf("stored SCRAM keys: %w", err)
		}
	}
	keys := &sasl.ScramKeys{StoredKey: raw[1], ServerKey: raw[2]}
	if len(raw[0]) == 0 || len(keys.StoredKey) != h.Size() || len(keys.ServerKey) != h.Size() {
		return nil, errors.New("stored SCRAM keys: wrong length")
	}
	r := &ScramRecord{Salt: raw[0], Iterations: iterations}
	if h == sasl.SHA1 {
		r.SHA1 = keys
	} else {
		r.SHA256 = keys
	}
	return r, nil
}

// checkScheme says whether a hash is one that verifyHash can be asked about. What
// it cannot see without a password is left to that.
func checkScheme(stored string) error {
	name, encoded, err := splitScheme(stored)
	if err != nil {
		return err
	}
	if _, ok := schemes[name]; !ok {
		return fmt.Errorf("%w: {%s}", errScheme, name)
	}
	switch name {
	case "SCRAM-SHA-256":
		_, err = parseScram(encoded, sasl.SHA256)
	case "SCRAM-SHA-1":
		_, err = parseScram(encoded, sasl.SHA1)
	case "ARGON2ID", "ARGON2I", "BLF-CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "CRYPT", "MD5-CRYPT":
		_, err = decodeCrypt(encoded)
	case "PBKDF2":
		_, _, _, err = parsePBKDF2(encoded)
	}
	return err
}
