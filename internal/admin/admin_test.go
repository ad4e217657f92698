package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"tidemark/internal/testbed"
)

// fakeService answers from fixed values and writes down what it was asked.
type fakeService struct {
	Service
	calls []string
	err   error
}

func (f *fakeService) note(call ...string) error {
	f.calls = append(f.calls, strings.Join(call, " "))
	return f.err
}

func (f *fakeService) Users(context.Context) ([]User, error) {
	return []User{{Name: "ann"}, {Name: "bob", Disabled: true}}, f.note("users")
}

func (f *fakeService) AddUserHash(_ context.Context, name, hash string) error {
	return f.note("add hash", name, hash)
}

func (f *fakeService) SetHash(_ context.Context, name, hash string) error {
	return f.note("hash", name, hash)
}

func (f *fakeService) AddUser(_ context.Context, name, password string) error {
	return f.note("add", name, password)
}

func (f *fakeService) SetDisabled(_ context.Context, name string, disabled bool) error {
	return f.note("disable", name, map[bool]string{true: "yes", false: "no"}[disabled])
}

func (f *fakeService) RenameMailbox(_ context.Context, user, from, to string) error {
	return f.note("rename", user, from, to)
}

func (f *fakeService) Mailboxes(_ context.Context, user string) ([]Mailbox, error) {
	return []Mailbox{{Name: "INBOX", Messages: 3, UIDNext: 9}}, f.note("mailboxes", user)
}

func (f *fakeService) Check(_ context.Context, user string, report func(Problem)) (CheckResult, error) {
	report(Problem{User: "ann", Text: "one"})
	report(Problem{User: "bob", Text: "two"})
	return CheckResult{Accounts: 2, Problems: 2}, f.note("check", user)
}

// serve starts an administration server on a socket and returns its client.
func serve(t *testing.T, s Service, log io.Writer) *Client {
	t.Helper()
	socket := filepath.Join(testbed.SocketDir(t), "admin.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: NewHandler(s, slog.New(slog.NewTextHandler(log, nil)))}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	c, err := Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// If this fails, a command does something else through a running server than
// without one.
func TestClientCallsService(t *testing.T) {
	f := &fakeService{}
	var log bytes.Buffer
	c, ctx := serve(t, f, &log), t.Context()

	users, err := c.Users(ctx)
	if want, _ := f.Users(ctx); err != nil || !reflect.DeepEqual(users, want) {
		t.Errorf("Users: %v, %v", users, err)
	}
	mailboxes, err := c.Mailboxes(ctx, "ann")
	if want, _ := f.Mailboxes(ctx, "ann"); err != nil || !reflect.DeepEqual(mailboxes, want) {
		t.Errorf("Mailboxes: %v, %v", mailboxes, err)
	}
	var problems []string
	result, err := c.Check(ctx, "ann", func(p Problem) { problems = append(problems, p.User+" "+p.Text) })
	if err != nil || result.Problems != 2 || !reflect.DeepEqual(problems, []string{"ann one", "bob two"}) {
		t.Errorf("Check: %v, %v, %v", result, problems, err)
	}

	f.calls = nil
	for _, err := range []error{
		c.AddUser(ctx, "ann", "s3cret pass"),
		c.SetDisabled(ctx, "bob", true),
		c.RenameMailbox(ctx, "ann", "a/b", "ü/../c"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{"add ann s3cret pass", "disable bob yes", "rename ann a/b ü/../c"}
	if !reflect.DeepEqual(f.calls, want) {
		t.Errorf("calls %q, want %q", f.calls, want)
	}
	if !strings.Contains(log.String(), "ann") || strings.Contains(log.String(), "s3cret") {
		t.Errorf("log: %s", &log)
	}
}

// If this fails, a refusal reaches the command without its reason.
func TestErrorsCrossTheSocket(t *testing.T) {
	f := &fakeService{err: errorf(Exists, "user %q exists", "ann")}
	c := serve(t, f, io.Discard)
	err := c.AddUser(t.Context(), "ann", "x")
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != Exists || e.Text != `user "ann" exists` {
		t.Errorf("have %v", err)
	}
	if _, err := c.Check(t.Context(), "", func(Problem) {}); !reflect.DeepEqual(err, f.err) {
		t.Errorf("Check: have %v", err)
	}
	f.err = errors.New("broken")
	if err := c.AddUser(t.Context(), "ann", "x"); err == nil || err.Error() != "broken" {
		t.Errorf("have %v", err)
	}
}

// If this fails, a command believes that a server runs where there is only its dead
// socket.
func TestDeadSocket(t *testing.T) {
	socket := filepath.Join(testbed.SocketDir(t), "admin.sock")
	if _, err := Dial(t.Context(), socket); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if _, err := Dial(t.Context(), socket); !errors.Is(err, ErrNotRunning) {
		t.Errorf("dead socket: %v", err)
	}
}

// If this fails, monitoring takes a sick server for a sound one.
func TestHealth(t *testing.T) {
	for want, sick := range map[int]error{http.StatusOK: nil, http.StatusServiceUnavailable: errors.New("storage failed")} {
		w := httptest.NewRecorder()
		NewMonitorHandler(prometheus.NewRegistry(), func() error { return sick }).ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
		if w.Code != want || sick != nil && !strings.Contains(w.Body.String(), sick.Error()) {
			t.Errorf("%v: %d %s", sick, w.Code, w.Body)
		}
	}
}
