package peer

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// NewTidemark returns a Tidemark that runs the given binary, with extra settings of the
// form section.key=value.
func NewTidemark(binary string, opts Options, extra []string) (*Server, error) {
	addrs, err := freeAddrs(2)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(opts.Dir, "tidemark")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	version, err := output(binary, "version")
	if err != nil {
		return nil, err
	}
	users := filepath.Join(opts.Dir, "tidemark-users")
	if err := writeScramFile(users, opts.FileUsers); err != nil {
		return nil, err
	}
	settings := append([]string{
		"server.data_dir=" + dir,
		"server.hostname=localhost",
		"imap.tls_listen=" + addrs[0],
		"imap.starttls_listen=[]",
		"lmtp.listen=" + addrs[1],
		fmt.Sprintf(`tls.certificates=[{cert = %q, key = %q}]`, opts.Cert, opts.Key),
		"tls.min_version=1.3",
		"auth.passwd_file=" + users,
		"auth.trusted_networks=127.0.0.0/8",
		"limits.sessions_per_user=100000",
		"limits.sessions_per_user_and_address=100000",
		"limits.unauthenticated=1000000",
		"limits.unauthenticated_per_address=1000000",
		"log.level=warn",
	}, extra...)
	s := &Server{
		Name: "Tidemark", Version: strings.TrimPrefix(version, "tidemark "),
		IMAPS: addrs[0], LMTP: addrs[1], opts: opts, dir: dir,
	}
	s.command = withSettings(binary, settings, "serve")
	s.with = asArguments
	s.ready = func(s *Server) error {
		if err := s.accepts(s.IMAPS, s.LMTP); err != nil {
			return err
		}
		return addUsers(binary, settings, opts.Users, dir)
	}
	return s, nil
}

func withSettings(binary string, settings []string, command ...string) []string {
	return slices.Concat([]string{binary}, command, asArguments(settings))
}

func asArguments(settings []string) []string {
	var args []string
	for _, set := range settings {
		args = append(args, "--set", set)
	}
	return args
}

// addUsers makes the users through the running server the first time.
func addUsers(binary string, settings []string, users []User, dir string) error {
	done := filepath.Join(dir, "bench-users")
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	var g errgroup.Group
	g.SetLimit(4)
	for _, u := range users {
		g.Go(func() error {
			args := withSettings(binary, settings, "user", "add", u.Name, "--password-stdin")
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Stdin = strings.NewReader(u.Password + "\n")
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("user add: %w: %s", err, out)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return os.WriteFile(done, nil, 0o600)
}

// scramRounds is the least that RFC 7677 §4 allows.
const scramRounds = 4096

// writeScramFile writes a passwd-file with the keys of SCRAM-SHA-256 (RFC 5802 §3), which
// Tidemark takes where it would refuse plain passwords.
func writeScramFile(file string, users []User) error {
	var text bytes.Buffer
	for _, u := range users {
		salt := []byte(rand.Text())
		salted, err := pbkdf2.Key(sha256.New, u.Password, salt, scramRounds, sha256.Size)
		if err != nil {
			return err
		}
		stored := sha256.Sum256(keyed(salted, "Client Key"))
		b64 := base64.StdEncoding.EncodeToString
		fmt.Fprintf(&text, "%s:{SCRAM-SHA-256}%d,%s,%s,%s\n",
			u.Name, scramRounds, b64(salt), b64(stored[:]), b64(keyed(salted, "Server Key")))
	}
	return os.WriteFile(file, text.Bytes(), 0o600)
}

func keyed(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
