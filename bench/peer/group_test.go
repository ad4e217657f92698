package peer

import (
	"os"
	"testing"
	"time"
)

// If this fails, the processor time of a server whose name has spaces or parentheses is
// read from the wrong fields.
func TestParseStat(t *testing.T) {
	line := "42 (a) b (c)) S 7 42 42 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 100"
	p, ok := parseStat(line)
	if want := (process{pid: 42, parent: 7, cpu: 1100 * time.Millisecond}); !ok || p != want {
		t.Errorf("%+v, %t; want %+v", p, ok, want)
	}
	for _, broken := range []string{"", "42", "42 (x) S", "x (y) S 7 42 42 0 -1 4194560 100 0 0 0 11 22 33 44"} {
		if p, ok := parseStat(broken); ok {
			t.Errorf("%q was taken for %+v", broken, p)
		}
	}
}

// If this fails, servers seem to need no memory.
func TestMemory(t *testing.T) {
	g := &group{root: os.Getpid()}
	n, err := g.memory()
	if err != nil || n < 1<<20 {
		t.Errorf("%d octets, %v", n, err)
	}
}
