package daemon

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// If this fails, an operator whose store is damaged is not told where and what to do,
// or the server ends as if it had been a slip in the configuration.
func TestDamagedStore(t *testing.T) {
	c := testConfig(t)
	o := storageOptions{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	s, err := openStorage(c, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	manifests, err := filepath.Glob(filepath.Join(c.InDataDir("store"), "keys", "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatal("no manifest:", err)
	}
	for _, file := range manifests {
		if err := os.WriteFile(file, []byte("no manifest"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = openStorage(c, o); err == nil {
		s.Close()
	}
	if !errors.Is(err, ErrStorageFailed) {
		t.Fatalf("a damaged store: %v", err)
	}
	for _, want := range []string{"MANIFEST-", "nothing in it was changed", "backup"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	t.Log(err)
}
