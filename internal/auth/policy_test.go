package auth

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// If it fails, passwords are set that cannot be used, or good ones refused.
func TestPolicy(t *testing.T) {
	p := Policy{MinLength: 8}
	for password, ok := range map[string]bool{
		"eightlet": true, "seven77": false, "": false, "ünïcödéß": true, "üüüüüüü": false, "with space": true,
		"nul\x00nul\x00": false, "two\nlines": false, "bad \xff utf8": false,
		strings.Repeat("x", maxPassword): true, strings.Repeat("x", maxPassword+1): false,
	} {
		if err := p.Check(password); (err == nil) != ok || err != nil && !errors.Is(err, ErrPolicy) {
			t.Errorf("%.20q: %v", password, err)
		}
	}
	if err := (Policy{}).Check(""); err == nil {
		t.Error("empty password accepted")
	}
}

// If it fails, passwords that everybody knows are accepted.
func TestCompromised(t *testing.T) {
	var passwords, hashes []string
	for i := range 500 {
		passwords = append(passwords, fmt.Sprintf("password %d", i))
		count := strings.Repeat("7", i%5)
		hashes = append(hashes, fmt.Sprintf("%X:%s", sha1.Sum([]byte(passwords[i])), count))
	}
	slices.Sort(hashes)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"plain":         strings.Join(passwords, "\n") + "\n",
		"hashes":        strings.Join(hashes, "\n") + "\n",
		"hashes, CRLF":  strings.Join(hashes, "\r\n"),
		"lower, no end": strings.ToLower(strings.Join(hashes, "\n")),
	} {
		p := Policy{MinLength: 1, Compromised: filepath.Join(dir, name)}
		if err := os.WriteFile(p.Compromised, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, password := range passwords {
			if err := p.Check(password); !errors.Is(err, ErrPolicy) {
				t.Fatalf("%s: %q: %v", name, password, err)
			}
		}
		for i := range 200 {
			if err := p.Check(fmt.Sprintf("other %d", i)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	if err := (Policy{Compromised: filepath.Join(dir, "missing")}).Check("x"); err == nil || errors.Is(err, ErrPolicy) {
		t.Errorf("missing file: %v", err)
	}
}
