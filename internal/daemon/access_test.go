package daemon

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"tidemark/internal/testbed"
)

// If this fails, the settings for proxies and blocked networks have no effect, or
// everybody behind a proxy is one address to the limits and the log.
func TestProxiedClients(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "blocked")
	if err := os.WriteFile(blocked, []byte("203.0.113.0/24\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := testConfig(t, "imap.proxy_from=127.0.0.0/8", "imap.block_list="+blocked, "log.level=debug")
	var log testbed.Log
	started, stop := startWithLog(t, c, &log)
	greeting := func(client string) string {
		nc, err := net.Dial("tcp", started.IMAP[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if err := nc.SetDeadline(time.Now().Add(testbed.Patience)); err != nil {
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
	log.Await(t, "remote=198.51.100.7:4000")
	if err := stop(); err != nil {
		t.Error(err)
	}
}
