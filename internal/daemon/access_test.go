package daemon

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// If this fails, the settings for proxies and blocked networks have no effect, or
// everybody behind a proxy is one address to the limits and the log.
func TestProxiedClients(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "blocked")
	if err := os.WriteFile(blocked, []byte("203.0.113.0/24\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := testConfig(t, "imap.proxy_from=127.0.0.0/8", "imap.block_list="+blocked, "log.level=debug")
	ctx, cancel := context.WithCancel(t.Context())
	var log logBuffer
	ready, ended := make(chan Started, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{Config: c, Log: &log, Ready: func(s Started) error { ready <- s; return nil }})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var started Started
	select {
	case started = <-ready:
	case <-time.After(30 * time.Second):
		t.Fatal("not ready")
	}
	greeting := func(client string) string {
		nc, err := net.Dial("tcp", started.IMAP[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		source, err := net.ResolveTCPAddr("tcp", client)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := proxyproto.HeaderProxyFromAddrs(2, source, nc.RemoteAddr()).WriteTo(nc); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(nc).ReadString('\n') // empty if it was closed
		return line
	}
	if got := greeting("198.51.100.7:4000"); !strings.HasPrefix(got, "* OK") {
		t.Errorf("client of a proxy: %q", got)
	}
	if got := greeting("203.0.113.9:4000"); got != "" {
		t.Errorf("blocked client of a proxy: %q", got)
	}
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(log.String(), "remote=198.51.100.7:4000") {
		if time.Now().After(deadline) {
			t.Fatalf("the client's address is not in the log:\n%s", log.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}
