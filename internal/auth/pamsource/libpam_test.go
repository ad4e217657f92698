//go:build cgo && pam

package pamsource

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"sync"
	"testing"

	"tidemark/imapserver"
	"tidemark/internal/auth"
)

// newSource uses the system's PAM with a service of its own, which has a script check
// passwords: that of ann is right, and zoe's account has expired.
func newSource(t *testing.T, password string) *Source {
	t.Helper()
	dir := t.TempDir()
	script := filepath.Join(dir, "check")
	service := ""
	for kind, options := range map[string]string{"auth": "expose_authtok ", "account": ""} {
		service += kind + " [success=1 default=ignore] pam_exec.so quiet " + options + script + "\n" +
			kind + " requisite pam_deny.so\n" + kind + " required pam_permit.so\n"
	}
	files := map[string]string{
		"check": fmt.Sprintf("#!/bin/sh\n[ $PAM_TYPE = account ] && { [ $PAM_USER != zoe ]; exit; }\n"+
			"[ \"$(tr -d '\\0')\" = %s ]\n", password),
		"imap":   service,
		"broken": "auth required pam_no_such_module.so\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	uids := map[string]string{"ann": "1000", "bob": "1001", "zoe": "1002", "root": "0", "daemon": "1", "nobody": "65534"}
	s, err := New(Options{Service: "imap", ConfigDir: dir, LookupUser: func(name string) (*user.User, error) {
		if uid, ok := uids[name]; ok {
			return &user.User{Uid: uid, Username: name}, nil
		}
		if name == "trouble" {
			return nil, errors.New("the name service is down")
		}
		return nil, user.UnknownUserError(name)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func login(t *testing.T, s *Source, name, password string) string {
	t.Helper()
	r, err := s.Lookup(t.Context(), name)
	if err == nil {
		err = s.CheckPassword(t.Context(), r, password)
	}
	for want, outcome := range map[error]string{
		nil: "ok", auth.ErrNoUser: "no user", auth.ErrWrongPassword: "wrong", imapserver.ErrUnavailable: "unavailable",
	} {
		if errors.Is(err, want) {
			return outcome
		}
	}
	return err.Error()
}

// If it fails, users of the system cannot log in, others can, or trouble of a module
// looks like a wrong password.
func TestPAM(t *testing.T) {
	password := rand.Text()
	s := newSource(t, password)
	for _, tt := range []struct{ name, password, want string }{
		{"ann", password, "ok"},
		{"ann", "wrong", "wrong"},
		{"ann", "", "wrong"},
		{"ann", password + "\x00", "wrong"},
		{"zoe", password, "wrong"},
		{"root", password, "no user"},
		{"daemon", password, "no user"},
		{"nobody", password, "no user"},
		{"carol", password, "no user"},
		{"trouble", password, "unavailable"},
	} {
		if got := login(t, s, tt.name, tt.password); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	s.opts.Service = "broken"
	if got := login(t, s, "ann", password); got != "unavailable" {
		t.Errorf("module that is not there: %s", got)
	}
}

// If it fails, checks at once get each other's answers.
func TestConcurrentChecks(t *testing.T) {
	password := rand.Text()
	s := newSource(t, password)
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() {
			given, want := password, "ok"
			if i%2 == 0 {
				given, want = "wrong", "wrong"
			}
			if got := login(t, s, "ann", given); got != want {
				t.Errorf("have %s, want %s", got, want)
			}
		})
	}
	group.Wait()
}

// If it fails, a service's name leads out of its directory.
func TestBadService(t *testing.T) {
	for _, service := range []string{"", "../imap", "a\x00b"} {
		if _, err := New(Options{Service: service}); err == nil {
			t.Errorf("%q accepted", service)
		}
	}
}
