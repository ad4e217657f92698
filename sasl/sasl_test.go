package sasl

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

var errWrong = errors.New("wrong password")

func checkAlice(authzid, user, password string) (Identity, error) {
	if user != "alice" || password != "pass word" {
		return Identity{}, errWrong
	}
	if authzid == "" {
		authzid = user
	}
	return Identity{User: authzid, Auth: user}, nil
}

// exchange plays client against server and returns how the server ended it.
func exchange(c Client, s Server) (Identity, error) {
	response, err := c.Start()
	if err != nil {
		return Identity{}, err
	}
	for range 10 {
		challenge, done, err := s.Next(response)
		if err != nil {
			return Identity{}, err
		}
		if done {
			if len(challenge) > 0 {
				_, err = c.Next(challenge)
			}
			return s.Identity(), err
		}
		if response, err = c.Next(challenge); err != nil {
			return Identity{}, fmt.Errorf("client: %w", err)
		}
		if response == nil {
			response = []byte{}
		}
	}
	return Identity{}, errors.New("the exchange does not end")
}

// If it fails, one of our clients cannot log in to one of our servers, or gets in with
// a wrong password.
func TestClientsAgainstServers(t *testing.T) {
	token := func(user, token string) (Identity, error) {
		if token != "good-token" {
			return Identity{}, fmt.Errorf("%w: expired", ErrToken)
		}
		return Identity{User: user, Auth: user}, nil
	}
	hint := OAuthHint{Scope: "mail", Configuration: "https://id.example/.well-known/openid-configuration"}
	external := func(authzid string) (Identity, error) { return checkAlice(authzid, "alice", "pass word") }
	tests := []struct {
		name   string
		client Client
		server Server
		want   Identity
		err    error
	}{
		{"plain", NewPlainClient("", "alice", "pass word"), NewPlainServer(checkAlice), Identity{"alice", "alice"}, nil},
		{"plain as another", NewPlainClient("bob", "alice", "pass word"), NewPlainServer(checkAlice), Identity{"bob", "alice"}, nil},
		{"plain wrong", NewPlainClient("", "alice", "other"), NewPlainServer(checkAlice), Identity{}, errWrong},
		{"plain empty", NewPlainClient("", "alice", ""), NewPlainServer(checkAlice), Identity{}, ErrSyntax},
		{"login", NewLoginClient("alice", "pass word"), NewLoginServer(checkAlice), Identity{"alice", "alice"}, nil},
		{"login wrong", NewLoginClient("alice", "x"), NewLoginServer(checkAlice), Identity{}, errWrong},
		{"login empty", NewLoginClient("alice", ""), NewLoginServer(checkAlice), Identity{}, ErrSyntax},
		{"external", NewExternalClient(""), NewExternalServer(external), Identity{"alice", "alice"}, nil},
		{"oauthbearer", NewOAuthBearerClient("a=b,c", "good-token", "h", 993), NewOAuthBearerServer(token, hint), Identity{"a=b,c", "a=b,c"}, nil},
		{"oauthbearer bad", NewOAuthBearerClient("alice", "old", "h", 993), NewOAuthBearerServer(token, hint), Identity{}, ErrToken},
		{"xoauth2", NewXOAuth2Client("alice", "good-token"), NewXOAuth2Server(token, hint), Identity{"alice", "alice"}, nil},
		{"xoauth2 bad", NewXOAuth2Client("alice", "old"), NewXOAuth2Server(token, hint), Identity{}, ErrToken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := exchange(tt.client, tt.server)
			if !errors.Is(err, tt.err) || id != tt.want {
				t.Errorf("got %+v, %v; want %+v, %v", id, err, tt.want, tt.err)
			}
		})
	}
}

// If it fails, clients that send no initial response get no prompt, or an exchange can
// be continued after its end.
func TestNoInitialResponse(t *testing.T) {
	servers := map[string]struct {
		server Server
		prompt string
	}{
		"plain":    {NewPlainServer(checkAlice), ""},
		"login":    {NewLoginServer(checkAlice), "Username:"},
		"external": {NewExternalServer(nil), ""},
		"oauth":    {NewOAuthBearerServer(nil, OAuthHint{}), ""},
		"scram":    {NewScramServer(ScramConfig{}), ""},
	}
	for name, s := range servers {
		challenge, done, err := s.server.Next(nil)
		if string(challenge) != s.prompt || done || err != nil {
			t.Errorf("%s: got %q, %v, %v", name, challenge, done, err)
		}
	}
	ended := NewPlainServer(checkAlice)
	if _, done, err := ended.Next([]byte("\x00alice\x00pass word")); !done || err != nil {
		t.Fatal(done, err)
	}
	if _, _, err := ended.Next([]byte("\x00alice\x00pass word")); !errors.Is(err, ErrSyntax) {
		t.Errorf("second response: %v", err)
	}
}

// If it fails, malformed responses are taken for credentials.
func TestMalformed(t *testing.T) {
	plain := []string{"", "alice", "\x00alice", "\x00alice\x00", "\x00\x00secret", "\x00alice\x00a\x00b", "\x00alice\x00\xff"}
	for _, r := range plain {
		if _, _, err := NewPlainServer(checkAlice).Next([]byte(r)); !errors.Is(err, ErrSyntax) {
			t.Errorf("PLAIN %q: %v", r, err)
		}
	}
	bearer := []string{"", "\x01", "n,,", "n,,\x01", "n,,\x01auth=Bearer x", "n,,\x01auth=Bearer x\x01", "p=tls-exporter,,\x01auth=Bearer x\x01\x01",
		"n,a=,\x01auth=Bearer x\x01\x01", "n,a=b=,\x01auth=Bearer x\x01\x01", "n,,\x01auth=Basic x\x01\x01", "n,,\x01auth=Bearer \x01\x01",
		"n,,\x01auth=Bearer x y\x01\x01", "n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01", "n,,\x01=x\x01\x01", "n,,\x01\x01"}
	for _, r := range bearer {
		if _, _, err := NewOAuthBearerServer(nil, OAuthHint{}).Next([]byte(r)); !errors.Is(err, ErrSyntax) {
			t.Errorf("OAUTHBEARER %q: %v", r, err)
		}
	}
	for _, r := range []string{"", "user=a", "user=a\x01", "user=a\x01auth=Bearer\x01\x01", "a\x01auth=Bearer x\x01\x01"} {
		if _, _, err := NewXOAuth2Server(nil, OAuthHint{}).Next([]byte(r)); !errors.Is(err, ErrSyntax) {
			t.Errorf("XOAUTH2 %q: %v", r, err)
		}
	}
}

// If it fails, a client with an expired token is not told where to get a new one
// (RFC 7628 §3.2.2).
func TestOAuthChallenge(t *testing.T) {
	refuse := func(string, string) (Identity, error) { return Identity{}, ErrToken }
	s := NewOAuthBearerServer(refuse, OAuthHint{Scope: "imap", Configuration: "https://id.example/c"})
	challenge, done, err := s.Next([]byte("n,a=user@example.com,\x01host=server.example.com\x01port=993\x01" +
		"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"))
	want := `{"status":"invalid_token","scope":"imap","openid-configuration":"https://id.example/c"}`
	if string(challenge) != want || done || err != nil {
		t.Fatalf("got %s, %v, %v", challenge, done, err)
	}
	if _, _, err = s.Next([]byte("\x01")); !errors.Is(err, ErrToken) {
		t.Errorf("end: %v", err)
	}
	if _, _, err = s.Next([]byte("\x01")); !errors.Is(err, ErrSyntax) {
		t.Errorf("after the end: %v", err)
	}
}

// If it fails, one person has two accounts, or a name reaches into another's.
func TestPrepareName(t *testing.T) {
	good := map[string]string{
		"alice": "alice", "Alice@Example.ORG": "alice@example.org", " alice ": "alice",
		"J\u00fcrgen": "j\u00fcrgen", "Ju\u0308rgen": "j\u00fcrgen", "\uff21lice": "alice", "a.b+c": "a.b+c",
	}
	for in, want := range good {
		if got, err := PrepareName(in); got != want || err != nil {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
	bad := []string{"", " ", "a b", "../alice", "a/b", `a\b`, "a*", "a%", "a\x00", "a\r\nb", "\xff", "a\u200bb", "a\uff0fb", strings.Repeat("a", 256)}
	for _, in := range bad {
		if got, err := PrepareName(in); !errors.Is(err, ErrName) {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
}
