package access

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"tidemark/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// start listens through a gate and returns where, and the connections it lets in.
func start(t *testing.T, g *Gate) (addr string, accepted <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = g.Listener(l)
	conns, ended := make(chan net.Conn, 16), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns <- nc
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l.Addr().String(), conns
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(testbed.Patience)); err != nil {
		t.Fatal(err)
	}
	return nc
}

func newGate(t *testing.T, o Options) *Gate {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func blockFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blocked")
	write(t, path, text)
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// header is a PROXY header for a client at source.
func header(t *testing.T, version byte, source string) string {
	t.Helper()
	client, server := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(source)), &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 993}
	h := proxyproto.HeaderProxyFromAddrs(version, client, server)
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// If this fails, penalties and limits hit the proxy instead of its clients, a client
// can choose the address that it is seen under, or blocked networks come in through a
// proxy.
func TestProxyHeader(t *testing.T) {
	blocked := blockFile(t, "203.0.113.0/24\n")
	tests := []struct {
		name    string
		proxies []netip.Prefix
		sent    string
		remote  string // empty if nothing can be read
		read    string
	}{
		{"from a proxy", []netip.Prefix{loopback}, header(t, 2, "198.51.100.7:4000") + "a noop\r\n", "198.51.100.7:4000", "a noop\r\n"},
		{"IPv6", []netip.Prefix{loopback}, header(t, 2, "[2001:db8::7]:4000") + "x", "[2001:db8::7]:4000", "x"},
		{"version 1", []netip.Prefix{loopback}, header(t, 1, "198.51.100.7:4000") + "x", "", ""},
		{"no header", []netip.Prefix{loopback}, "a login alice secret\r\n", "", ""},
		{"blocked client", []netip.Prefix{loopback}, header(t, 2, "203.0.113.9:4000") + "x", "", ""},
		{"not from a proxy", nil, header(t, 2, "198.51.100.7:4000"), "127.0.0.1", header(t, 2, "198.51.100.7:4000")},
		{
			"other proxy", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, header(t, 2, "198.51.100.7:4000"),
			"127.0.0.1", header(t, 2, "198.51.100.7:4000"),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr, accepted := start(t, newGate(t, Options{Proxies: tt.proxies, BlockList: blocked}))
			client := dial(t, addr)
			if _, err := io.WriteString(client, tt.sent); err != nil {
				t.Fatal(err)
			}
			nc := <-accepted
			defer nc.Close()
			remote := nc.RemoteAddr().String()
			if tt.remote != "" && remote != tt.remote && !strings.HasPrefix(remote, tt.remote+":") {
				t.Errorf("seen as %s", remote)
			}
			got := make([]byte, len(tt.read)+1)
			n, err := io.ReadAtLeast(nc, got, max(len(tt.read), 1))
			if string(got[:n]) != tt.read || (err != nil) != (tt.remote == "") {
				t.Errorf("read %q, %v", got[:n], err)
			}
			if _, err := io.WriteString(nc, "* OK\r\n"); (err != nil) != (tt.remote == "") {
				t.Errorf("write: %v", err)
			}
		})
	}
}

// If this fails, the last answer on a connection through a proxy is lost.
func TestCloseWrite(t *testing.T) {
	addr, accepted := start(t, newGate(t, Options{Proxies: []netip.Prefix{loopback}}))
	client := dial(t, addr)
	if _, err := io.WriteString(client, header(t, 2, "198.51.100.7:4000")); err != nil {
		t.Fatal(err)
	}
	nc := <-accepted
	defer nc.Close()
	if _, err := io.WriteString(nc, "* BYE\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); string(got) != "* BYE\r\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// If this fails, an address that was put on the list still gets in, or one that was
// taken off it does not.
func TestBlockListIsReloaded(t *testing.T) {
	path := blockFile(t, "# nobody yet\n")
	g := newGate(t, Options{BlockList: path})
	addr, accepted := start(t, g)
	open := func() bool {
		client := dial(t, addr)
		closed := make(chan struct{})
		go func() { defer close(closed); _, _ = client.Read(make([]byte, 1)) }()
		select {
		case nc := <-accepted:
			nc.Close()
			<-closed
			return true
		case <-closed:
			return false
		}
	}
	if !open() {
		t.Fatal("refused by an empty list")
	}
	write(t, path, "127.0.0.1 # a pest\n")
	if err := g.load(false); err != nil {
		t.Fatal(err)
	}
	if open() {
		t.Error("a blocked address was let in")
	}
	write(t, path, "127.0.0.1/40\n")
	if err := g.Reload(); err == nil || !strings.Contains(err.Error(), `line 1: "127.0.0.1/40"`) {
		t.Errorf("broken list: %v", err)
	}
	if open() {
		t.Error("a broken list opened the gate")
	}
	write(t, path, "")
	if err := g.Reload(); err != nil || !open() {
		t.Errorf("refused after it was taken off the list: %v", err)
	}
}

// If this fails, the list blocks other networks than those that stand in it.
func TestBlockList(t *testing.T) {
	b, err := parseBlockList([]byte("\n# comment\n10.1.2.3/8\n192.0.2.7\r\n2001:db8::/32\t# documentation\n::ffff:198.51.100.1\n"))
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{
		"10.255.0.1": true, "11.0.0.1": false, "192.0.2.7": true, "192.0.2.8": false,
		"2001:db8:1::1": true, "2001:db9::1": false, "198.51.100.1": true,
	} {
		if b.contains(netip.MustParseAddr(addr)) != want {
			t.Errorf("%s: blocked is %v", addr, !want)
		}
	}
	if b.contains(netip.Addr{}) {
		t.Error("a local program is blocked")
	}
	if _, err := New(Options{BlockList: "/nonexistent", Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("a missing list was not noticed")
	}
}

// If this fails, Run does not end with its context.
func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	newGate(t, Options{}).Run(ctx)
}

// If this fails, a block list can take the server down.
func FuzzBlockList(f *testing.F) {
	f.Add("10.0.0.0/8\n# x\n::1")
	f.Add("fe80::1%eth0\n0.0.0.0/0")
	f.Fuzz(func(t *testing.T, text string) {
		if b, err := parseBlockList([]byte(text)); err == nil {
			b.contains(netip.MustParseAddr("192.0.2.1"))
		}
	})
}
