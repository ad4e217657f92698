package sasl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

// Client is the client's side of one exchange.
type Client interface {
	// Mechanism is the name to give to AUTHENTICATE.
	Mechanism() string
	// Start returns the initial response, nil where the server begins.
	Start() ([]byte, error)
	// Next answers a challenge. A challenge that comes with the server's success
	// is to be given to Next too, so that the server can be checked.
	Next(challenge []byte) ([]byte, error)
}

// fixedClient sends one response and is then only told how it went.
type fixedClient struct {
	mechanism string
	response  string
	onFailure string // the answer to a challenge, which only tells of a failure
}

func (c *fixedClient) Mechanism() string           { return c.mechanism }
func (c *fixedClient) Start() ([]byte, error)      { return []byte(c.response), nil }
func (c *fixedClient) Next([]byte) ([]byte, error) { return []byte(c.onFailure), nil }

// NewPlainClient returns the client's side of PLAIN.
func NewPlainClient(authzid, user, password string) Client {
	return &fixedClient{mechanism: Plain, response: authzid + "\x00" + user + "\x00" + password}
}

// NewExternalClient returns the client's side of EXTERNAL.
func NewExternalClient(authzid string) Client {
	return &fixedClient{mechanism: External, response: authzid}
}

// NewOAuthBearerClient returns the client's side of OAUTHBEARER (RFC 7628).
func NewOAuthBearerClient(user, token, host string, port int) Client {
	header := "n,"
	if user != "" {
		header += "a=" + encodeScramName(user)
	}
	pairs := fmt.Sprintf(",\x01host=%s\x01port=%d\x01auth=Bearer %s\x01\x01", host, port, token)
	return &fixedClient{mechanism: OAuthBearer, response: header + pairs, onFailure: "\x01"}
}

// NewXOAuth2Client returns the client's side of XOAUTH2.
func NewXOAuth2Client(user, token string) Client {
	return &fixedClient{mechanism: XOAuth2, response: "user=" + user + "\x01auth=Bearer " + token + "\x01\x01"}
}

// NewLoginClient returns the client's side of LOGIN.
func NewLoginClient(user, password string) Client {
	return &loginClient{answers: []string{user, password}}
}

type loginClient struct{ answers []string }

func (c *loginClient) Mechanism() string      { return Login }
func (c *loginClient) Start() ([]byte, error) { return nil, nil }

func (c *loginClient) Next([]byte) ([]byte, error) {
	if len(c.answers) == 0 {
		return nil, fmt.Errorf("%w: LOGIN asks for more than a name and a password", ErrSyntax)
	}
	answer := c.answers[0]
	c.answers = c.answers[1:]
	return []byte(answer), nil
}

// ChannelBinding is a TLS channel as a SCRAM client binds it. The zero value is
// no binding.
type ChannelBinding struct {
	Type string // TLSExporter or TLSServerEndPoint
	Data []byte
}

// NewScramClient returns the client's side of SCRAM; with a binding, of its -PLUS
// form. plusMissing says that the client could bind but was not offered to.
func NewScramClient(h ScramHash, user, password string, cb ChannelBinding, plusMissing bool) (Client, error) {
	generator, mechanism := scram.SHA256, ScramSHA256
	if h == SHA1 {
		generator, mechanism = scram.SHA1, ScramSHA1
	}
	client, err := generator.NewClientUnprepped(user, PreparePassword(password), "")
	if err != nil {
		return nil, fmt.Errorf("SCRAM client: %w", err)
	}
	client.WithMinIterations(MinIterations)
	c := &scramClient{mechanism: mechanism}
	switch {
	case len(cb.Data) > 0:
		c.mechanism += "-PLUS"
		c.conversation = client.NewConversationWithChannelBinding(
			scram.ChannelBinding{Type: scram.ChannelBindingType(cb.Type), Data: cb.Data})
	case plusMissing:
		c.conversation = client.NewConversationAdvertisingChannelBinding()
	default:
		c.conversation = client.NewConversation()
	}
	return c, nil
}

type scramClient struct {
	mechanism    string
	conversation *scram.ClientConversation
}

func (c *scramClient) Mechanism() string { return c.mechanism }

func (c *scramClient) Start() ([]byte, error) {
	first, err := c.conversation.Step("")
	return []byte(first), err
}

// Next fails at the last step if the server could not prove that it knows the
// user's keys.
func (c *scramClient) Next(challenge []byte) ([]byte, error) {
	if c.conversation.Done() {
		return nil, errors.New("SCRAM exchange is over")
	}
	// The library has no upper bound, and a hostile server could name a count that
	// keeps us busy for hours.
	if _, count, found := strings.Cut(string(challenge), ",i="); found {
		count, _, _ = strings.Cut(count, ",")
		if n, err := strconv.Atoi(count); err != nil || n > MaxIterations {
			return nil, fmt.Errorf("%w: SCRAM iteration count", ErrSyntax)
		}
	}
	answer, err := c.conversation.Step(string(challenge))
	if err != nil {
		return nil, fmt.Errorf("SCRAM: %w", err)
	}
	return []byte(answer), nil
}

func encodeScramName(s string) string {
	return strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s)
}
