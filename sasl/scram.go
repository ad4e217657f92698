package sasl

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrRejected is wrapped by the errors of an exchange whose form was right but whose
// proof was not: the password was wrong, or the channel is not the client's.
var ErrRejected = errors.New("authentication rejected")

// ScramUser is what a SCRAM server must know of the user that a client names.
type ScramUser struct {
	Salt       []byte
	Iterations int
	// Keys are the passwords that are good, all derived with Salt and Iterations:
	// the user's own and app passwords. It may be empty, nobody then gets in.
	Keys []ScramKeys
}

// ScramConfig is the server's side of SCRAM (RFC 5802, RFC 7677).
type ScramConfig struct {
	Hash ScramHash

	// Plus makes it the -PLUS mechanism, in which the client must bind the TLS
	// channel. PlusOffered says that the -PLUS mechanism was among those announced; a
	// client that believes otherwise has been lied to (RFC 5802 §6).
	Plus        bool
	PlusOffered bool
	// Binding returns the channel's data for a channel binding type, nil for a type
	// that cannot be had here.
	Binding func(kind string) []byte

	// Lookup returns the user's salt and keys. For a user that does not exist it
	// must return a salt too, the same each time. Its error ends the exchange.
	Lookup func(user string) (ScramUser, error)
	// Authorize is called when the client has proved to know Keys[key].
	Authorize func(authzid, user string, key int) (Identity, error)
}

// Types of channel binding: RFC 9266 and RFC 5929 §4.
const (
	TLSExporter       = "tls-exporter"
	TLSServerEndPoint = "tls-server-end-point"
)

// NewScramServer returns the server's side of one of the SCRAM mechanisms. A
// library for it exists and is used for the client's side; it knows only one
// password a user.
func NewScramServer(c ScramConfig) Server {
	return &scramServer{config: c, random: rand.Text}
}

type scramServer struct {
	config  ScramConfig
	random  func() string // our part of the nonce
	state   scramState
	user    ScramUser
	first   clientFirst
	nonce   string
	message string // the server-first-message
	id      Identity
}

type scramState int

const (
	scramStart scramState = iota
	scramFirst
	scramFinal
	scramEnded
)

func (s *scramServer) Next(response []byte) ([]byte, bool, error) {
	switch s.state {
	case scramStart, scramFirst:
		if response == nil && s.state == scramStart {
			s.state = scramFirst
			return nil, false, nil
		}
		s.state = scramEnded
		challenge, err := s.begin(response)
		if err != nil {
			return nil, false, err
		}
		s.state = scramFinal
		return challenge, false, nil
	case scramFinal:
		s.state = scramEnded
		challenge, err := s.finish(response)
		return challenge, err == nil, err
	default:
		return nil, false, fmt.Errorf("%w: response after the end", ErrSyntax)
	}
}

func (s *scramServer) Identity() Identity { return s.id }

// begin answers the client-first-message with the server-first-message.
func (s *scramServer) begin(response []byte) ([]byte, error) {
	first, err := parseClientFirst(response)
	if err != nil {
		return nil, err
	}
	if err := s.checkBinding(first); err != nil {
		return nil, err
	}
	user, err := s.config.Lookup(first.user)
	if err != nil {
		return nil, err
	}
	s.first, s.user = first, user
	s.nonce = first.nonce + s.random()
	s.message = "r=" + s.nonce +
		",s=" + base64.StdEncoding.EncodeToString(user.Salt) +
		",i=" + strconv.Itoa(user.Iterations)
	return []byte(s.message), nil
}

// checkBinding compares what the client says about channel binding with what the
// mechanism is about (RFC 5802 §6).
func (s *scramServer) checkBinding(f clientFirst) error {
	switch {
	case s.config.Plus != (f.binding != ""):
		return fmt.Errorf("%w: channel binding does not go with the mechanism", ErrSyntax)
	case f.flag == 'y' && s.config.PlusOffered:
		return fmt.Errorf("%w: the client was not told of the -PLUS mechanism", ErrRejected)
	case s.config.Plus && len(s.config.Binding(f.binding)) == 0:
		return fmt.Errorf("%w: channel binding of unsupported type", ErrRejected)
	}
	return nil
}

// finish checks the client-final-message and returns the server-final-message.
func (s *scramServer) finish(response []byte) ([]byte, error) {
	final, err := parseClientFinal(response)
	if err != nil {
		return nil, err
	}
	bound := []byte(s.first.header)
	if s.config.Plus {
		bound = append(bound, s.config.Binding(s.first.binding)...)
	}
	if subtle.ConstantTimeCompare(final.binding, bound) != 1 {
		return nil, fmt.Errorf("%w: the channel is not the client's", ErrRejected)
	}
	if subtle.ConstantTimeCompare([]byte(final.nonce), []byte(s.nonce)) != 1 {
		return nil, fmt.Errorf("%w: nonce", ErrRejected)
	}
	message := s.first.bare + "," + s.message + "," + final.withoutProof
	key := s.matchProof(message, final.proof)
	if key < 0 {
		return nil, fmt.Errorf("%w: proof", ErrRejected)
	}
	if s.id, err = s.config.Authorize(s.first.authzid, s.first.user, key); err != nil {
		return nil, err
	}
	signature := s.config.Hash.hmac(s.user.Keys[key].ServerKey, message)
	return []byte("v=" + base64.StdEncoding.EncodeToString(signature)), nil
}

// matchProof returns the index of the key that the proof was made with, or -1.
// Each key is tried, whether an earlier one matched or not.
func (s *scramServer) matchProof(message string, proof []byte) int {
	h := s.config.Hash
	match := -1
	for i, k := range s.user.Keys {
		signature := h.hmac(k.StoredKey, message)
		if len(proof) != len(signature) {
			continue
		}
		clientKey := make([]byte, len(proof))
		subtle.XORBytes(clientKey, proof, signature)
		if subtle.ConstantTimeCompare(h.sum(clientKey), k.StoredKey) == 1 {
			match = i
		}
	}
	return match
}

// clientFirst is a client-first-message (RFC 5802 §7).
type clientFirst struct {
	header  string // gs2-header
	flag    byte   // n, y or p
	binding string // the channel binding's type with p
	authzid string
	bare    string // client-first-message-bare
	user    string
	nonce   string
}

func parseClientFirst(response []byte) (clientFirst, error) {
	bad := func(what string) (clientFirst, error) {
		return clientFirst{}, fmt.Errorf("%w: SCRAM %s", ErrSyntax, what)
	}
	if !utf8.Valid(response) || bytes.IndexByte(response, 0) >= 0 {
		return bad("message is not UTF-8")
	}
	parts := strings.SplitN(string(response), ",", 3)
	if len(parts) < 3 {
		return bad("header")
	}
	f := clientFirst{header: parts[0] + "," + parts[1] + ",", bare: parts[2]}
	switch kind, isBound := strings.CutPrefix(parts[0], "p="); {
	case isBound && kind != "":
		f.flag, f.binding = 'p', kind
	case parts[0] == "n" || parts[0] == "y":
		f.flag = parts[0][0]
	default:
		return bad("binding flag")
	}
	var ok bool
	if parts[1] != "" {
		name, found := strings.CutPrefix(parts[1], "a=")
		if f.authzid, ok = decodeScramName(name); !found || !ok {
			return bad("authorisation identity")
		}
	}
	// A mandatory extension ("m=") would stand before the name; we know none
	// (RFC 5802 §5.1). Optional ones after the nonce are ignored.
	fields := strings.SplitN(f.bare, ",", 3)
	if len(fields) < 2 {
		return bad("user and nonce")
	}
	name, found := strings.CutPrefix(fields[0], "n=")
	if f.user, ok = decodeScramName(name); !found || !ok {
		return bad("user")
	}
	if f.nonce, found = strings.CutPrefix(fields[1], "r="); !found || !isNonce(f.nonce) {
		return bad("nonce")
	}
	return f, nil
}

// clientFinal is a client-final-message (RFC 5802 §7).
type clientFinal struct {
	binding      []byte
	nonce        string
	proof        []byte
	withoutProof string
}

func parseClientFinal(response []byte) (clientFinal, error) {
	bad := func(what string) (clientFinal, error) {
		return clientFinal{}, fmt.Errorf("%w: SCRAM %s", ErrSyntax, what)
	}
	text := string(response)
	// The proof is the last attribute, after any extensions.
	at := strings.LastIndex(text, ",p=")
	if at < 0 {
		return bad("proof")
	}
	f := clientFinal{withoutProof: text[:at]}
	var err error
	if f.proof, err = base64.StdEncoding.DecodeString(text[at+3:]); err != nil {
		return bad("proof")
	}
	fields := strings.SplitN(f.withoutProof, ",", 3)
	if len(fields) < 2 {
		return bad("binding and nonce")
	}
	binding, found := strings.CutPrefix(fields[0], "c=")
	if f.binding, err = base64.StdEncoding.DecodeString(binding); !found || err != nil {
		return bad("binding")
	}
	if f.nonce, found = strings.CutPrefix(fields[1], "r="); !found {
		return bad("nonce")
	}
	return f, nil
}

// isNonce says whether s is printable ASCII without a comma (RFC 5802 §7).
func isNonce(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e || s[i] == ',' {
			return false
		}
	}
	return s != ""
}

// decodeScramName undoes the quoting of a saslname: =2C is a comma and =3D an equals
// sign, and no other equals sign may be there (RFC 5802 §5.1).
func decodeScramName(s string) (string, bool) {
	var b strings.Builder
	for {
		text, rest, quoted := strings.Cut(s, "=")
		b.WriteString(text)
		if !quoted {
			return b.String(), b.Len() > 0
		}
		switch {
		case strings.HasPrefix(rest, "2C"):
			b.WriteByte(',')
		case strings.HasPrefix(rest, "3D"):
			b.WriteByte('=')
		default:
			return "", false
		}
		s = rest[2:]
	}
}
