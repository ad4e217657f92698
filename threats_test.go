package tidemark

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// If this fails, THREATS.md promises something that no test shows.
func TestThreatsAreTested(t *testing.T) {
	text, err := os.ReadFile("THREATS.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)`|`([a-z0-9/-]+\\.txtar)`")
	rows := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| Attack") {
			continue
		}
		rows++
		cells := strings.Split(line, " | ")
		tests := named.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(tests) != strings.Count(cells[len(cells)-1], "`")/2 || len(tests) == 0 {
			t.Errorf("not all of this are names of tests: %s", cells[len(cells)-1])
		}
		for _, m := range tests {
			if m[3] != "" {
				if _, err := os.Stat(m[3]); err != nil {
					t.Error(err)
				}
			} else if !hasTest(t, m[1], m[2]) {
				t.Errorf("%s has no %s", m[1], m[2])
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d rows were found", rows)
	}
}

// hasTest says whether a test file in dir has a function of that name.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
