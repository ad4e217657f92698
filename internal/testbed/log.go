package testbed

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// Log takes what several goroutines write, and may be read meanwhile. The zero Log is
// empty.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed by the next Write; nil if nobody waits for it
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return l.text.Write(p)
}

// String returns all that has been written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Await waits until text has been written. It ends the test if it does not come.
func (l *Log) Await(t testing.TB, text string) {
	t.Helper()
	late := time.NewTimer(Patience)
	defer late.Stop()
	for {
		found, more := l.look(text)
		if found {
			return
		}
		select {
		case <-more:
		case <-late.C:
			t.Fatalf("%q does not come to be in the log:\n%s", text, l)
		}
	}
}

// look says whether text has been written, and returns a channel that the next Write closes.
func (l *Log) look(text string) (found bool, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more == nil {
		l.more = make(chan struct{})
	}
	return strings.Contains(l.text.String(), text), l.more
}
