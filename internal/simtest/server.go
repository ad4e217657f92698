package simtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/text/encoding/ianaindex"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/mail"
	"tidemark/internal/store/embedded"
	"tidemark/internal/transcript"
	"tidemark/sasl"
)

// Server is a whole server in this process: the protocol on loopback, the rules,
// and the embedded engine on a file system in memory that can lose power.
type Server struct {
	t        tester
	log      *slog.Logger
	fs       *vfs.MemFS
	password string
	tls      *tls.Config
	pool     *x509.CertPool
	rng      *mathrand.Rand
	options  Options
	parts
}

// parts are what a restart makes anew.
type parts struct {
	engine *embedded.Engine
	mail   *mail.Service
	imap   *imapserver.Server
	secure net.Listener
	plain  net.Listener
	served chan error
}

// tester is what a Server needs of a test: *testing.T has it, and *rapid.T.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

// Options are what a test may want otherwise.
type Options struct {
	// Authenticator decides about logins with Password; nil for one that lets in every
	// user with it.
	Authenticator imapserver.Authenticator
	Password      string // empty for a random one

	Logger  *slog.Logger          // nil for the test's output, errors only
	Metrics prometheus.Registerer // nil for none
	Limits  imapserver.Limits

	EarlyFlags bool // see imapserver.Options
}

// Start starts a server without users. The test's end stops it. seed decides
// what a crash loses.
func Start(t testing.TB, seed uint64) *Server {
	t.Helper()
	return StartWith(t, seed, Options{})
}

// StartWith is Start with options. With Metrics the server cannot be restarted.
func StartWith(t testing.TB, seed uint64, o Options) *Server {
	t.Helper()
	s := prepare(t.Output(), t, seed)
	s.options = o
	if o.Password != "" {
		s.password = o.Password
	}
	if o.Logger != nil {
		s.log = o.Logger
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// prepare makes a Server that does not run. Errors of the server are logged to log.
func prepare(log io.Writer, t tester, seed uint64) *Server {
	s := &Server{
		t:        t,
		log:      slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError})),
		fs:       vfs.NewCrashableMem(),
		password: rand.Text(),
		rng:      mathrand.New(mathrand.NewPCG(seed, 0)),
	}
	s.makeCertificate()
	return s
}

// Target says how clients reach the server now.
func (s *Server) Target() transcript.Target {
	return transcript.Target{
		Addr:      s.secure.Addr().String(),
		Plain:     s.plain.Addr().String(),
		TLSConfig: &tls.Config{RootCAs: s.pool, ServerName: "localhost"},
		Login:     func(user string) (string, string) { return user, s.password },
	}
}

// AddUser makes a user with an empty account.
func (s *Server) AddUser(name string) {
	s.t.Helper()
	if err := s.mail.CreateUser(context.Background(), name, nil); err != nil {
		s.t.Fatalf("making user %s: %v", name, err)
	}
}

// Check has the store verify itself and fails the test for each problem.
func (s *Server) Check() {
	s.t.Helper()
	_, err := s.mail.Check(context.Background(), "", func(p mail.Problem) {
		s.t.Errorf("check: %s: %s", p.User, p.Text)
	})
	if err != nil {
		s.t.Errorf("check: %v", err)
	}
}

// Restart stops in good order and starts again on the same files.
func (s *Server) Restart() {
	s.stop()
	s.start()
}

// Crash loses power: of what was not synced some of the blocks and directory
// entries survive, by chance.
func (s *Server) Crash() {
	after := s.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: s.rng.IntN(3) * 50, RNG: s.rng})
	s.stop()
	s.fs = after
	s.start()
}

func (s *Server) start() {
	log := s.log
	engine, err := embedded.Open("/data", embedded.Options{
		FS: s.fs, Logger: log, CacheSize: 4 << 20, MemTableSize: 1 << 20, MinFree: -1, Ballast: -1, RunTwice: true,
	})
	if err != nil {
		s.t.Fatalf("opening the store: %v", err)
	}
	service := mail.New(mail.Options{Engine: engine, Logger: log})
	s.parts = parts{
		engine: engine,
		mail:   service,
		imap: imapserver.New(imapserver.Options{
			Backend:       service,
			Authenticator: s.authenticator(),
			Logger:        log,
			Limits:        s.options.Limits,
			EarlyFlags:    s.options.EarlyFlags,
			Metrics:       s.options.Metrics,
			TLS:           func() *tls.Config { return s.tls },
			Name:          "Tidemark",
			Charsets:      charset,
		}),
		secure: s.listen(),
		plain:  s.listen(),
		served: make(chan error, 2),
	}
	p := s.parts
	go func() { p.served <- p.imap.Serve(context.Background(), p.secure, true) }()
	go func() { p.served <- p.imap.Serve(context.Background(), p.plain, false) }()
}

func (s *Server) authenticator() imapserver.Authenticator {
	if s.options.Authenticator != nil {
		return s.options.Authenticator
	}
	return gate{s.password}
}

func (s *Server) listen() net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	return ln
}

func (s *Server) stop() {
	if err := s.imap.Shutdown(context.Background()); err != nil {
		s.t.Errorf("shutdown: %v", err)
	}
	for range cap(s.served) {
		if err := <-s.served; !errors.Is(err, imapserver.ErrServerClosed) {
			s.t.Errorf("serve: %v", err)
		}
	}
	s.mail.Close()
	if err := s.engine.Close(); err != nil {
		s.t.Errorf("closing the store: %v", err)
	}
}

func (s *Server) makeCertificate() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"localhost"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	s.pool = x509.NewCertPool()
	s.pool.AddCert(cert)
	s.tls = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		NextProtos:   []string{"imap"},
	}
}

// charset knows the charsets that a search may be in.
func charset(name string) (decode func([]byte) (string, error), ok bool) {
	enc, err := ianaindex.MIME.Encoding(name)
	if err != nil || enc == nil {
		return nil, false
	}
	return func(b []byte) (string, error) {
		text, err := enc.NewDecoder().Bytes(b)
		return string(text), err
	}, true
}

// gate lets in every user that exists, with one password, over TLS only.
type gate struct{ password string }

func (g gate) Mechanisms(p imapserver.Peer) []string {
	if p.TLS == nil {
		return nil
	}
	return []string{sasl.Plain}
}

func (g gate) Begin(ctx context.Context, p imapserver.Peer, mechanism string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(authzid, user, password string) (sasl.Identity, error) {
		if authzid != "" && authzid != user {
			return sasl.Identity{}, errLogin
		}
		return g.Login(ctx, p, user, password)
	}), nil
}

var errLogin = &imap.Error{Kind: imap.NO, Code: imap.CodeAuthenticationFailed, Text: "wrong user name or password"}

func (g gate) Login(_ context.Context, _ imapserver.Peer, user, password string) (sasl.Identity, error) {
	if password != g.password || user == "nobody" {
		return sasl.Identity{}, fmt.Errorf("login of %q: %w", user, errLogin)
	}
	return sasl.Identity{User: user, Auth: user}, nil
}
