package daemon

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"tidemark/internal/auth"
	"tidemark/internal/config"
	"tidemark/internal/lmtp"
	"tidemark/internal/testbed"
	"tidemark/sasl"
)

// If this fails, users of a database cannot log in or get mail by each of their names,
// or its failure looks like a wrong password.
func TestUsersOfADatabase(t *testing.T) {
	file, password := filepath.Join(t.TempDir(), "users.db"), rand.Text()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		"CREATE TABLE users (address TEXT, account TEXT, hash TEXT)",
		"INSERT INTO users VALUES ('ann@example.org', 'ann', '{PLAIN}" + password + "')",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	c := testConfig(t, "auth.sources=store,sql", "auth.allow_weak_hashes=true", "sql.kind=sqlite", "sql.address="+file, "sql.timeout=1m",
		"sql.query=SELECT hash AS password, account AS name FROM users WHERE address = :user OR account = :user",
		"sql.update=UPDATE users SET hash = :hash WHERE account = :user OR address = :user")
	started, stop := start(t, c)
	if answer := deliver(t, started, "ann@example.org"); !strings.HasPrefix(answer, "250 ") {
		t.Errorf("delivery: %s", answer)
	}
	if answer := deliver(t, started, "nobody@example.org"); !strings.HasPrefix(answer, "550 ") {
		t.Errorf("delivery to nobody: %s", answer)
	}
	for _, name := range []string{"ann@example.org", "ann"} {
		s := newSession(t, dialTLS(t, started))
		if answer := s.say("LOGIN " + name + " " + password); !strings.HasPrefix(answer, "a OK") {
			t.Fatal(answer)
		}
		if _, err := fmt.Fprint(s, "b STATUS INBOX (MESSAGES)\r\n"); err != nil {
			t.Fatal(err)
		}
		if line := s.await("* STATUS"); !strings.Contains(line, "MESSAGES 1") {
			t.Errorf("%s: %s", name, line)
		}
	}
	var hash string
	if err := db.QueryRowContext(t.Context(), "SELECT hash FROM users").Scan(&hash); err != nil || !strings.HasPrefix(hash, "{ARGON2ID}") {
		t.Errorf("hash %.12s, %v", hash, err)
	}
	wrong := newSession(t, dialTLS(t, started))
	if answer := wrong.say("LOGIN ann x"); !strings.HasPrefix(answer, "a NO [AUTHENTICATIONFAILED]") {
		t.Error(answer)
	}
	if _, err := db.ExecContext(t.Context(), "DROP TABLE users"); err != nil {
		t.Fatal(err)
	}
	if answer := wrong.say("LOGIN ann " + password); !strings.HasPrefix(answer, "a NO [UNAVAILABLE]") {
		t.Error(answer)
	}
	if answer := deliver(t, started, "ann"); !strings.HasPrefix(answer, "4") {
		t.Errorf("delivery without the database: %s", answer)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// deliver sends a message by LMTP and returns the answer to RCPT, or if that was
// positive, to the message.
func deliver(t *testing.T, started Started, recipient string) string {
	t.Helper()
	conn, err := net.Dial("unix", started.LMTP[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(testbed.Patience)); err != nil {
		t.Fatal(err)
	}
	s := newSession(t, conn)
	answer := s.await("220 ")
	for _, line := range []string{"LHLO test", "MAIL FROM:<sender@example.org>", "RCPT TO:<" + recipient + ">", "DATA", "Subject: x\r\n\r\nx\r\n."} {
		if _, err := fmt.Fprintf(s, "%s\r\n", line); err != nil {
			t.Fatal(err)
		}
		for answer = "-"; len(answer) < 4 || answer[3] == '-'; {
			if answer, err = s.lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		if answer[0] > '3' {
			break
		}
	}
	return answer
}

// startProvider is an OpenID provider. token makes one for a user.
func startProvider(t *testing.T) (provider *httptest.Server, token func(user string) string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signing := jose.JSONWebKey{Key: key, KeyID: "k", Algorithm: string(jose.ES256)}
	answers := map[string]any{"/keys": jose.JSONWebKeySet{Keys: []jose.JSONWebKey{signing.Public()}}}
	provider = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(answers[r.URL.Path])
	}))
	t.Cleanup(provider.Close)
	answers["/.well-known/openid-configuration"] = map[string]string{"issuer": provider.URL, "jwks_uri": provider.URL + "/keys"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: signing}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return provider, func(user string) string {
		t.Helper()
		claims, err := json.Marshal(map[string]any{"iss": provider.URL, "aud": "imap", "exp": time.Now().Add(time.Hour).Unix(), "email": user})
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// If this fails, users of an OpenID provider cannot log in, get no mail, or are not
// told where to get a token.
func TestUsersOfAProvider(t *testing.T) {
	provider, token := startProvider(t)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: provider.Certificate().Raw}
	if err := os.WriteFile(authority, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	c := testConfig(t, "oidc.issuer="+provider.URL, "oidc.audience=imap", "oidc.new_users=true", "oidc.ca_file="+authority, "oidc.timeout=1m")
	started, stop := start(t, c)
	const user = "ann@example.org"
	if answer := deliver(t, started, user); !strings.HasPrefix(answer, "550 ") {
		t.Errorf("before the first login: %s", answer)
	}
	s := newSession(t, dialTLS(t, started))
	bad := base64.StdEncoding.EncodeToString([]byte("n,a=" + user + ",\x01auth=Bearer abc\x01\x01"))
	if _, err := fmt.Fprintf(s, "a AUTHENTICATE OAUTHBEARER %s\r\n", bad); err != nil {
		t.Fatal(err)
	}
	challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(strings.TrimPrefix(s.await("+ "), "+ ")))
	want := `"openid-configuration":"` + provider.URL + `/.well-known/openid-configuration"`
	if err != nil || !strings.Contains(string(challenge), want) {
		t.Errorf("challenge %s, %v", challenge, err)
	}
	if _, err := fmt.Fprint(s, "AQ==\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer := s.await("a "); !strings.HasPrefix(answer, "a NO [AUTHENTICATIONFAILED]") {
		t.Error(answer)
	}
	good := base64.StdEncoding.EncodeToString([]byte("user=" + user + "\x01auth=Bearer " + token(user) + "\x01\x01"))
	if answer := s.say("AUTHENTICATE XOAUTH2 " + good); !strings.HasPrefix(answer, "a OK") {
		t.Error(answer)
	}
	if answer := deliver(t, started, user); !strings.HasPrefix(answer, "250 ") {
		t.Errorf("after the first login: %s", answer)
	}
	if answer := newSession(t, dialTLS(t, started)).say("LOGIN " + user + " x"); !strings.HasPrefix(answer, "a NO [AUTHENTICATIONFAILED]") {
		t.Errorf("by password: %s", answer)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// presuming is a source like a directory server that is not searched.
type presuming struct{ mailboxes }

func (presuming) Lookup(_ context.Context, user string) (*auth.Record, error) {
	return &auth.Record{Name: user, Presumed: true}, nil
}

// If this fails, mail for names that are nobody's makes accounts, or users whom only
// their directory server knows get none.
func TestMailForPresumedUsers(t *testing.T) {
	st, err := openStorage(testConfig(t), storageOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	a := &accounts{st.mail, []auth.Source{presuming{}, mailboxes{st.mail}}}
	if _, err := a.OpenRecipient(t.Context(), "ann"); !errors.Is(err, lmtp.ErrNoUser) {
		t.Errorf("before the first login: %v", err)
	}
	if _, err := a.OpenAccount(t.Context(), sasl.Identity{User: "ann", Auth: "ann"}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.OpenRecipient(t.Context(), "Ann"); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// If this fails, a source that cannot work is found out by the users, or an address of
// a database is shown with the password in it.
func TestMistakesInSources(t *testing.T) {
	dir := t.TempDir()
	empty, two := filepath.Join(dir, "empty"), filepath.Join(dir, "two")
	for file, text := range map[string]string{empty: "\n", two: "a\nb\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for want, set := range map[string][]string{
		"ldap: a search needs a base":              {"ldap.urls=ldap://127.0.0.1"},
		"ldap.bind_password_file: ":                {"ldap.urls=ldap://127.0.0.1", "ldap.bind_password_file=" + empty},
		"ldap.ca_file: ":                           {"ldap.urls=ldap://127.0.0.1", "ldap.ca_file=" + empty},
		"sql: query: ":                             {"sql.kind=sqlite", "sql.query=SELECT 1"},
		"sql.password_file: ":                      {"sql.kind=mysql", "sql.password_file=" + two},
		"sql: the database's address has a passwo": {"sql.kind=mysql", "sql.address=me:secret@tcp(x)/y", "sql.query=SELECT :user"},
		"auth.pam_service: ":                       {"auth.pam_service=a/b"},
		"oidc: no audience":                        {"oidc.issuer=https://id.example.org"},
		"oidc.client_secret_file: ":                {"oidc.issuer=https://id.example.org", "oidc.client_secret_file=" + dir},
	} {
		c := testConfig(t, set...)
		err := Run(t.Context(), Options{Config: c, Log: new(testbed.Log), Reload: func() (*config.Config, error) { return c, nil }})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("want %q, have %v", want, err)
		}
	}
}
