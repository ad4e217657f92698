package dovecotauth

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/testbed"
	"tidemark/sasl"
)

// fake is an Authenticator that knows alice.
type fake struct{ password string }

func (fake) Mechanisms(p imapserver.Peer) []string {
	if p.TLS == nil {
		return nil
	}
	return []string{sasl.ScramSHA256, sasl.Plain, sasl.Login}
}

func (f fake) Login(context.Context, imapserver.Peer, string, string) (sasl.Identity, error) {
	return sasl.Identity{}, errors.New("not of this protocol")
}

func (f fake) Begin(_ context.Context, p imapserver.Peer, mechanism string) (sasl.Server, error) {
	if p.TLS == nil {
		return nil, imap.Refuse(imap.CodePrivacyRequired, "log in over TLS")
	}
	check := func(_, user, password string) (sasl.Identity, error) {
		switch {
		case user == "broken":
			return sasl.Identity{}, errors.New("storage is down")
		case user == "where":
			return sasl.Identity{User: p.Addr.String() + "\t\n"}, nil
		case user != "alice" || password != f.password:
			return sasl.Identity{}, imap.Refuse(imap.CodeAuthenticationFailed, "wrong")
		}
		return sasl.Identity{User: user}, nil
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(check), nil
	case sasl.Login:
		return sasl.NewLoginServer(check), nil
	case sasl.ScramSHA256:
		keys, err := sasl.NewScramKeys(sasl.SHA256, f.password, []byte("salt"), 4096)
		return sasl.NewScramServer(sasl.ScramConfig{
			Lookup: func(string) (sasl.ScramUser, error) {
				return sasl.ScramUser{Salt: []byte("salt"), Iterations: 4096, Keys: []sasl.ScramKeys{keys}}, nil
			},
			Authorize: func(_, user string, _ int) (sasl.Identity, error) { return sasl.Identity{User: user}, nil },
		}), err
	}
	return nil, imap.Refuse(imap.CodeCannot, "no such mechanism")
}

// client is a scripted client.
type client struct {
	t     *testing.T
	nc    net.Conn
	lines *bufio.Reader
}

func start(t *testing.T) (dial func() *client) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(testbed.SocketDir(t), "auth"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- New(fake{password: "secret"}, slog.New(slog.DiscardHandler)).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func() *client {
		nc, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		if err := nc.SetDeadline(time.Now().Add(testbed.Patience)); err != nil {
			t.Fatal(err)
		}
		return &client{t, nc, bufio.NewReader(nc)}
	}
}

func (c *client) send(lines string) {
	c.t.Helper()
	if _, err := c.nc.Write([]byte(lines)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) line() string {
	c.t.Helper()
	line, err := c.lines.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

// handshake sends what Postfix sends and reads to the end of the greeting.
func (c *client) handshake() (greeting []string) {
	c.t.Helper()
	c.send("VERSION\t1\t1\nCPID\t4711\n")
	for len(greeting) < 100 {
		line := c.line()
		greeting = append(greeting, line)
		if line == "DONE" {
			break
		}
	}
	return greeting
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// If it fails, Postfix does not get to know which mechanisms there are.
func TestHandshake(t *testing.T) {
	greeting := start(t)().handshake()
	want := []string{
		"VERSION\t1\t1", "MECH\tSCRAM-SHA-256\tmutual-auth", "MECH\tPLAIN\tplaintext", "MECH\tLOGIN\tplaintext",
		"SPID\t", "CUID\t1", "COOKIE\t", "DONE",
	}
	if len(greeting) != len(want) {
		t.Fatalf("greeting %q", greeting)
	}
	for i, w := range want {
		if !strings.HasPrefix(greeting[i], w) {
			t.Errorf("line %d: %q, want %q", i, greeting[i], w)
		}
	}
}

// If it fails, mail programs cannot log in to send mail, or strangers can.
func TestRequests(t *testing.T) {
	c := start(t)()
	c.handshake()
	for i, tt := range []struct{ request, want string }{
		{"PLAIN\tservice=smtp\tnologin\tlip=::1\trip=192.0.2.1\tsecured\tresp=" + b64("\x00alice\x00secret"), "OK\t%d\tuser=alice"},
		{"plain\tservice=smtp\tsecured\tresp=" + b64("\x00alice\x00secret"), "OK\t%d\tuser=alice"},
		{"PLAIN\tservice=smtp\tsecured\tresp=" + b64("\x00alice\x00wrong"), "FAIL\t%d\treason=wrong"},
		{"PLAIN\tservice=smtp\tsecured\tresp=" + b64("nonsense"), "FAIL\t%d"},
		{"PLAIN\tservice=smtp\tresp=" + b64("\x00alice\x00secret"), "FAIL\t%d\treason=log in over TLS"},
		{"CRAM-MD5\tservice=smtp\tsecured", "FAIL\t%d\treason=no such mechanism"},
		{"PLAIN\tservice=smtp\tsecured\tresp=" + b64("\x00broken\x00x"), "FAIL\t%d\ttemp"},
		{"PLAIN\tservice=smtp\tsecured\trip=192.0.2.1\trport=99\tresp=" + b64("\x00where\x00x"), "OK\t%d\tuser=192.0.2.1:99\x01t\x01n"},
	} {
		c.send(fmt.Sprintf("AUTH\t%d\t%s\n", i, tt.request))
		if got, want := c.line(), fmt.Sprintf(tt.want, i); got != want {
			t.Errorf("%q: got %q, want %q", tt.request, got, want)
		}
	}
}

// If it fails, mechanisms with several steps do not work, or requests get each
// other's answers.
func TestOverlappingRequests(t *testing.T) {
	c := start(t)()
	c.handshake()
	c.send("AUTH\t1\tLOGIN\tservice=smtp\tsecured\n")
	if got, want := c.line(), "CONT\t1\t"+b64("Username:"); got != want {
		t.Fatalf("got %q", got)
	}
	c.send("AUTH\t2\tPLAIN\tservice=smtp\tsecured\n")
	if got := c.line(); got != "CONT\t2\t" {
		t.Fatalf("got %q", got)
	}
	c.send("CONT\t1\t" + b64("alice") + "\n")
	if got, want := c.line(), "CONT\t1\t"+b64("Password:"); got != want {
		t.Fatalf("got %q", got)
	}
	c.send("CONT\t2\t" + b64("\x00alice\x00wrong") + "\n")
	if got := c.line(); got != "FAIL\t2\treason=wrong" {
		t.Fatalf("got %q", got)
	}
	c.send("CONT\t1\t" + b64("secret") + "\n")
	if got := c.line(); got != "OK\t1\tuser=alice" {
		t.Fatalf("got %q", got)
	}
	c.send("AUTH\t3\tLOGIN\tservice=smtp\tsecured\nCANCEL\t3\nCONT\t99\t\nSOMETHING\tnew\n")
	if got := c.line(); got != "CONT\t3\t"+b64("Username:") && got != "FAIL\t3" {
		t.Fatalf("got %q", got)
	}
}

// If it fails, SCRAM clients of the other server cannot check us.
func TestScram(t *testing.T) {
	c := start(t)()
	c.handshake()
	s, err := sasl.NewScramClient(sasl.SHA256, "alice", "secret", sasl.ChannelBinding{}, false)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.Start()
	if err != nil {
		t.Fatal(err)
	}
	c.send("AUTH\t1\tSCRAM-SHA-256\tservice=smtp\tsecured\tresp=" + b64(string(response)) + "\n")
	for range 2 {
		challenge, ok := strings.CutPrefix(c.line(), "CONT\t1\t")
		raw, err := base64.StdEncoding.DecodeString(challenge)
		if !ok || err != nil {
			t.Fatalf("challenge %q, %v", challenge, err)
		}
		if response, err = s.Next(raw); err != nil {
			t.Fatal(err)
		}
		c.send("CONT\t1\t" + b64(string(response)) + "\n")
	}
	if got := c.line(); got != "OK\t1\tuser=alice" {
		t.Errorf("got %q", got)
	}
}

// If it fails, a confused client is answered with anything but the end.
func TestConfusedClients(t *testing.T) {
	dial := start(t)
	for _, lines := range []string{
		"VERSION\t2\t0\n", "AUTH\n", "AUTH\tx\tPLAIN\n", "AUTH\t1\n", "AUTH\t1\tPLAIN\tresp=?\n", "AUTH\t1\tPLAIN\trip=nowhere\n", "CONT\n", "CONT\t1\t?\n",
		"AUTH\t1\tLOGIN\tsecured\nAUTH\t1\tLOGIN\tsecured\n", "AUTH\t1\tPLAIN\tresp=" + strings.Repeat("A", maxLine) + "\n",
	} {
		c := dial()
		c.handshake()
		_, _ = c.nc.Write([]byte(lines)) // the server may hang up before it has read all
		for range 3 {
			if _, err := c.lines.ReadString('\n'); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%.40q: not dismissed", lines)
				}
				break
			}
		}
	}
}

// FuzzHandle: no line may end the server.
func FuzzHandle(f *testing.F) {
	f.Add("AUTH\t1\tPLAIN\tservice=smtp\tsecured\tresp=AGFsaWNlAHNlY3JldA==\nCONT\t1\tAA==")
	f.Add("AUTH\t1\tLOGIN\tsecured\trip=::1\trport=1\nCONT\t1\tYWxpY2U=\nCANCEL\t1")
	f.Fuzz(func(t *testing.T, text string) {
		ours, theirs := net.Pipe()
		go func() {
			_, _ = bufio.NewReader(theirs).WriteTo(discard{})
		}()
		c := &conn{server: New(fake{}, slog.New(slog.DiscardHandler)), nc: ours, requests: map[string]*request{}}
		ctx, cancel := context.WithCancel(t.Context())
		for line := range strings.Lines(text) {
			if c.handle(ctx, strings.Split(strings.TrimSuffix(line, "\n"), "\t")) != nil {
				break
			}
		}
		cancel()
		c.group.Wait()
		ours.Close()
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
