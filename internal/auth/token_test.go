package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"tidemark/sasl"
)

// tokens knows one token.
type tokens struct{}

func (tokens) VerifyToken(_ context.Context, token string) (string, error) {
	switch token {
	case "good":
		return "Alice", nil
	case "of-nobody":
		return "nobody", nil
	case "down":
		return "", errors.New("provider is down")
	}
	return "", sasl.ErrToken
}

// If it fails, a token lets in another user than its own, or a bad one lets in anybody.
func TestTokens(t *testing.T) {
	h, _ := newHouse(t, func(o *Options) { o.Tokens = tokens{} })
	for i, tt := range []struct{ user, token, want string }{
		{"alice", "good", "ok"}, {"", "good", "ok"}, {"bob", "good", "not master"},
		{"alice", "bad", "failed"}, {"nobody", "of-nobody", "failed"}, {"alice", "down", "authenticate: provider is down"},
	} {
		s, err := h.Begin(t.Context(), peer(fmt.Sprintf("192.0.%d.1", i)), sasl.XOAuth2)
		if err != nil {
			t.Fatal(err)
		}
		_, done, err := s.Next([]byte("user=" + tt.user + "\x01auth=Bearer " + tt.token + "\x01\x01"))
		if err == nil && !done {
			_, _, err = s.Next([]byte{})
		}
		if got := outcome(err); got != tt.want {
			t.Errorf("%s, %s: %s, want %s", tt.user, tt.token, got, tt.want)
		}
	}
	if strings.Contains(h.log.String(), "good") {
		t.Error("a token is in the log")
	}
}
