package auth

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"tidemark/sasl"
)

// If it fails, secrets are in the log.
func TestLogHasNoSecrets(t *testing.T) {
	h, passwords := newHouse(t, nil)
	for range 3 {
		h.try(t, "192.0.2.1", "alice", passwords["alice"])
		h.try(t, "192.0.2.1", "alice", "S3NTINEL")
		h.try(t, "192.0.2.1", "no\r\nbody"+strings.Repeat("x", 1000), "S3NTINEL")
		scramLogin(t, h, peer("192.0.2.1"), sasl.ScramSHA256, "alice", "S3NTINEL", sasl.ChannelBinding{})
	}
	log := h.log.String()
	if strings.Contains(log, "S3NTINEL") || strings.Contains(log, passwords["alice"]) || strings.Contains(log, "argon2id") {
		t.Errorf("log: %s", log)
	}
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "time=") || len(line) > 600 {
			t.Errorf("line %q", line)
		}
	}
}

// If it fails, a password that somebody has typed as the user name is in the log, or
// attempts under one name cannot be seen to belong together.
func TestUnknownNamesAreNotLogged(t *testing.T) {
	h, passwords := newHouse(t, nil)
	for i := range sprayNets + 1 {
		h.try(t, fmt.Sprintf("192.0.%d.1", i), passwords["alice"], "x")
	}
	scramLogin(t, h, peer("192.0.2.2"), sasl.ScramSHA256, passwords["alice"], "x", sasl.ChannelBinding{})
	log := h.log.String()
	if strings.Contains(log, passwords["alice"]) || !strings.Contains(log, "passwords are being guessed") {
		t.Errorf("log: %s", log)
	}
	names := map[string]int{}
	for _, m := range regexp.MustCompile(`unknown_user=(\w{12}) `).FindAllStringSubmatch(log, -1) {
		names[m[1]]++
	}
	if len(names) != 1 {
		t.Errorf("one name is logged as %v", names)
	}
	h.log.Reset()
	h.try(t, "192.0.2.1", "Alice", "wrong")
	if !strings.Contains(h.log.String(), "user=Alice ") {
		t.Errorf("log: %s", h.log.String())
	}
}
