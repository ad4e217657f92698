//go:build !cgo || !pam

package pamsource

import (
	"errors"
	"testing"
)

// If it fails, a program without PAM takes a configuration that asks for it, and then
// lets nobody in, or anybody.
func TestNotBuilt(t *testing.T) {
	if _, err := New(Options{Service: "imap"}); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("have %v", err)
	}
}
