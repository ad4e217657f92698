package daemon

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tidemark/internal/config"
	"tidemark/internal/testbed"
)

func TestMain(m *testing.M) {
	testbed.Main(m,
		// The library for ACME and the authority of the tests have these for the whole
		// process, or until they see that the file of a lock is gone.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"),
	)
}

// testConfig is a configuration on free ports in a directory of its own.
func testConfig(t *testing.T, set ...string) *config.Config {
	t.Helper()
	c, err := config.Load("", append([]string{
		"server.data_dir=" + testbed.SocketDir(t), "server.hostname=localhost", "imap.tls_listen=127.0.0.1:0", "imap.starttls_listen=127.0.0.1:0",
		"metrics.listen=127.0.0.1:0",
	}, set...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start runs a server until stop is called, which returns the error of Run.
func start(t *testing.T, c *config.Config) (started Started, stop func() error) {
	t.Helper()
	return startWithLog(t, c, io.Discard)
}

// startWithLog is start with a log.
func startWithLog(t *testing.T, c *config.Config, log io.Writer) (started Started, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan Started, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{
			Config: c, Log: log,
			Ready: func(s Started) error { ready <- s; return nil },
		})
	}()
	stop = func() error { cancel(); return <-ended }
	select {
	case started = <-ready:
		return started, stop
	case err := <-ended:
		cancel()
		t.Fatalf("server ended: %v", err)
		return started, nil
	}
}

// dialTLS connects as a mail program does that trusts the self-signed certificate.
func dialTLS(t *testing.T, s Started) net.Conn {
	t.Helper()
	pem, err := os.ReadFile(s.SelfSigned)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	conn, err := tls.Dial("tcp", s.IMAPS[0].String(), &tls.Config{RootCAs: roots, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(testbed.Patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// If this fails, a client is cut off without a word when the server stops, or
// something of the server goes on running.
func TestStopSaysGoodbye(t *testing.T) {
	started, stop := start(t, testConfig(t))
	conn := dialTLS(t, started)
	lines := bufio.NewReader(conn)
	if line, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, "* OK") {
		t.Fatalf("greeting %q, %v", line, err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if line, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, "* BYE") {
		t.Errorf("at the end %q, %v", line, err)
	}
}

// If this fails, a server or command whose disk hangs at the start does not end before it is
// killed.
func TestBugStopWhileOpening(t *testing.T) {
	c := testConfig(t)
	if err := os.Mkdir(c.InDataDir("store"), 0o700); err != nil {
		t.Fatal(err)
	}
	// Opening it hangs until there is a writer, and reading it until the writer ends.
	format := filepath.Join(c.InDataDir("store"), "FORMAT")
	if err := syscall.Mkfifo(format, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func(context.Context) error{
		"server": func(ctx context.Context) error { return Run(ctx, Options{Config: c, Log: io.Discard}) },
		"command": func(ctx context.Context) error {
			_, _, err := OpenService(ctx, ServiceOptions{Config: c, Warnings: io.Discard})
			if !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx) }()
		w, err := os.OpenFile(format, os.O_WRONLY, 0) // waits for the reader
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

// If this fails, systemd waits for the server, or takes it for dead while it stops.
func TestServiceManagerIsTold(t *testing.T) {
	c := testConfig(t)
	socket := filepath.Join(string(c.Server.DataDir), "notify.sock")
	l, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	_, stop := start(t, c)
	expect := func(want string) {
		t.Helper()
		if err := l.SetReadDeadline(time.Now().Add(testbed.Patience)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 256)
		n, _, err := l.ReadFrom(buf)
		if err != nil || string(buf[:n]) != want {
			t.Errorf("told %q, %v; want %q", buf[:n], err, want)
		}
	}
	expect("READY=1")
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	expect("STOPPING=1")
}

// If this fails, monitoring sees nothing.
func TestMetricsAndHealth(t *testing.T) {
	started, stop := start(t, testConfig(t))
	for path, want := range map[string]string{"/metrics": "go_goroutines", "/healthz": "ok"} {
		resp, err := http.Get("http://" + started.Metrics[0].String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v", path, resp.Status, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// If this fails, a failed start leaves a socket, a lock or a goroutine behind.
func TestFailedStartLeavesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := testConfig(t, "metrics.listen="+taken.Addr().String())
	err = Run(t.Context(), Options{Config: c, Log: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "metrics.listen") {
		t.Errorf("Run: %v", err)
	}
	c.Metrics.Listen = nil
	if _, err := os.Stat(filepath.Join(string(c.Server.DataDir), "lmtp.sock")); err == nil {
		t.Error("the LMTP socket is still there")
	}
	_, stop := start(t, c)
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// If this fails, two servers write to one store.
func TestOneServerForADirectory(t *testing.T) {
	c := testConfig(t)
	lock, err := lockDir(string(c.Server.DataDir))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it does not wait
	err = Run(ctx, Options{Config: c, Log: io.Discard})
	if _, ok := errors.AsType[*InUseError](err); !ok || !strings.Contains(err.Error(), "process ") {
		t.Errorf("Run: %v", err)
	}
}

// If this fails, a server cannot start after a crash, or takes a socket or file that is
// somebody else's.
func TestListenUnix(t *testing.T) {
	path := filepath.Join(string(testConfig(t).Server.DataDir), "s")
	first, err := listenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := listenUnix(path, 0o600); err == nil {
		t.Error("took a socket that is in use")
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	second, err := listenUnix(path, 0o660)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenUnix(path, 0o600); err == nil {
		t.Error("replaced a file that is not a socket")
	}
}

// If this fails, root leaves files that the server cannot write.
func TestForeignOwner(t *testing.T) {
	dir := t.TempDir()
	if owner := foreignOwner(dir); owner != nil {
		t.Errorf("own directory: %v", owner)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, 65534, 65533); err != nil {
			t.Fatal(err)
		}
		if owner := foreignOwner(dir); owner == nil || owner.Uid != 65534 || owner.Gid != 65533 {
			t.Errorf("another's directory: %v", owner)
		}
	}
}

// If this fails, clients can take the descriptors that the store needs, or there is no
// room for clients where the limit is low.
func TestDescriptorsForClients(t *testing.T) {
	for limit, want := range map[uint64]int{0: 0, 1024: 512, 4000: 2000, 20_000: 18_000, 1 << 40: 1_000_000} {
		if have := descriptorsForClients(limit); have != want {
			t.Errorf("limit %d: %d, want %d", limit, have, want)
		}
	}
}

// If this fails, a load balancer sends people to a server whose storage is gone.
func TestProbe(t *testing.T) {
	s, err := openStorage(testConfig(t), storageOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.probe(); err != nil {
		t.Errorf("open store: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.probe(); err == nil {
		t.Error("a closed store counts as well")
	}
}
