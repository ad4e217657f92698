package daemon

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// If this fails, an operator looks for an event in the log that has got another name.
func TestHandbookNamesEvents(t *testing.T) {
	page, err := os.ReadFile("../../docs/handbook.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "| Event | Level | Meaning |")
	events := regexp.MustCompile("(?m)^\\| `(.*?)` \\|").FindAllStringSubmatch(table, -1)
	if !found || len(events) == 0 {
		t.Fatal("no table of events")
	}
	source := sourceText(t, "../../imapserver", "..")
	for _, e := range events {
		if !strings.Contains(source, `"`+e[1]+`"`) {
			t.Errorf("nothing logs %q", e[1])
		}
	}
}

// sourceText is all Go source below the directories but that of tests.
func sourceText(t *testing.T, dirs ...string) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			b.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}
