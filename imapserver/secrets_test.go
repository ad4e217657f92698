package imapserver_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tidemark/internal/auth"
	"tidemark/internal/simtest"
	"tidemark/internal/testbed"
	"tidemark/internal/transcript"
	"tidemark/sasl"
)

// everybody is a source that knows every user, all with one password.
type everybody struct{ hash string }

func (everybody) Name() string              { return "everybody" }
func (everybody) Scram(sasl.ScramHash) bool { return false }
func (e everybody) Decoy() string           { return e.hash }
func (e everybody) Lookup(_ context.Context, user string) (*auth.Record, error) {
	return &auth.Record{Name: user, Hash: e.hash}, nil
}

// If this fails, passwords can be read in the log or on the page of metrics by whoever
// can read these.
func TestSecretsStayInside(t *testing.T) {
	sentinel, wrong := "Sentinel"+rand.Text(), "Mistyped"+rand.Text()
	var log testbed.Log
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	registry := prometheus.NewRegistry()
	hasher := auth.NewHasher()
	hash, err := hasher.Hash(t.Context(), sentinel)
	if err != nil {
		t.Fatal(err)
	}
	authenticator, err := auth.New(auth.Options{
		Sources: []auth.Source{everybody{hash}}, Hasher: hasher, Log: logger, Registerer: registry,
		Guard: auth.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	options := simtest.Options{Authenticator: authenticator, Password: sentinel, Logger: logger}
	runAllTranscripts(t, options)
	options.Metrics = registry
	loginBadly(t, simtest.StartWith(t, 1, options).Target(), sentinel, wrong)

	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if strings.Count(log.String(), "msg=login ") < 50 || !strings.Contains(log.String(), "level=DEBUG") ||
		!strings.Contains(page.Body.String(), "tidemark_imap_logins_total") {
		t.Error("nothing was looked at")
	}
	for name, text := range map[string]string{"log": log.String(), "metrics": page.Body.String()} {
		for _, secret := range []string{sentinel, wrong} {
			for _, form := range spellings(secret) {
				if at := strings.Index(text, form); at >= 0 {
					t.Errorf("%q in the %s: %.200q", form, name, text[max(0, at-100):])
				}
			}
		}
	}
}

// If this fails, a client can write lines into the log that look like the server's
// own, or hide what it did from whoever reads them on a terminal.
func TestLogCannotBeForged(t *testing.T) {
	const forged = "x\r\ntime=1999-01-01 level=INFO msg=login user=root \x1b[2J\x00\u202e\"}"
	var log testbed.Log
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	hasher := auth.NewHasher()
	authenticator, err := auth.New(auth.Options{
		Sources: []auth.Source{everybody{hasher.Decoy()}}, Hasher: hasher, Log: logger,
		Guard: auth.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	target := simtest.StartWith(t, 1, simtest.Options{Authenticator: authenticator, Logger: logger}).Target()
	literal := func(s string) string { return fmt.Sprintf("{%d+}\r\n%s", len(s), s) }
	for _, s := range []string{forged, strings.ReplaceAll(forged, "\x00", ""), strings.Repeat(forged, 5)} {
		for _, line := range []string{
			"a LOGIN " + literal(s) + " x", "a ID (\"name\" " + literal(s) + ")", "a ID (\"name\" \"x\" \"version\" " + literal(s) + ")",
			"a AUTHENTICATE PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+s+"\x00x")), s, "a " + s, "a SELECT " + literal(s),
		} {
			sayAll(t, target, []string{line})
		}
	}
	if !strings.Contains(log.String(), `level=INFO msg=login user=root`) {
		t.Error("none of it came to the log")
	}
	for line := range strings.Lines(log.String()) {
		if !strings.HasPrefix(line, "time=20") || len(line) > 4096 {
			t.Errorf("line %.200q", line)
		}
		if strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\x00\x1b\r\u202e") {
			t.Errorf("raw characters in %.200q", line)
		}
	}
}

// spellings are the forms in which a password crosses the wire. Base64 groups octets
// by three, so that what stands before a password decides about its form.
func spellings(secret string) []string {
	forms := []string{secret, strings.ToLower(secret), strings.ToUpper(secret)}
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + secret))
		// Without what depends on the octets around it.
		forms = append(forms, text[4:len(text)-4])
	}
	return forms
}

func runAllTranscripts(t *testing.T, options simtest.Options) {
	t.Helper()
	for _, script := range transcripts(t) {
		t.Run(script.Name, func(t *testing.T) {
			server := simtest.StartWith(t, 1, options)
			for _, user := range script.Users {
				server.AddUser(user)
			}
			// What the answers should be is the business of TestTranscripts.
			_ = script.Run(t.Context(), server.Target(), script.Modes[0])
		})
	}
}

// loginBadly sends the passwords in ways that are refused.
func loginBadly(t *testing.T, target transcript.Target, passwords ...string) {
	t.Helper()
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, p := range passwords {
		for _, lines := range [][]string{
			{"a LOGIN nobody-here " + p},
			{`a LOGIN alice "` + p + ``},
			{"a LOGIN alice " + p + " " + p},
			{"a LOGIN {5}", "alice " + p},
			{p},
			{p + " LOGIN alice x"},
			{"a " + p + " x"},
			{"a AUTHENTICATE PLAIN " + encode("\x00alice\x00"+p)},
			{"a AUTHENTICATE PLAIN " + encode("\x00alice\x00"+p) + "!"},
			{"a AUTHENTICATE PLAIN " + encode("alice "+p)},
			{"a AUTHENTICATE " + p},
			{"a AUTHENTICATE LOGIN", encode("alice"), encode(p)},
			{"a AUTHENTICATE LOGIN", encode("alice"), p},
			{"a ID (\"password\" \"" + p + "\")"},
			{"GET /" + p + " HTTP/1.1"},
		} {
			sayAll(t, target, lines)
		}
	}
}

// sayAll sends lines, each after an answer of whatever kind.
func sayAll(t *testing.T, target transcript.Target, lines []string) {
	t.Helper()
	c, err := transcript.Dial(t.Context(), target, false, testbed.Patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, line := range append(lines, "z LOGOUT") {
		if _, err := c.Read(); err != nil {
			return // it has hung up, which is an answer
		}
		if _, err := c.Write([]byte(line + "\r\n")); err != nil {
			return
		}
	}
	for err == nil {
		_, err = c.Read()
	}
}
