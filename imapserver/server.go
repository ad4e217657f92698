package imapserver

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tidemark/imap"
	"tidemark/imapwire"
)

// Options are what a Server is made of. Backend and Authenticator must be given.
type Options struct {
	Backend       Backend
	Authenticator Authenticator

	// Logger takes one structured event for each thing that happens. Nil discards.
	Logger *slog.Logger

	// TLS returns the settings for the next handshake, so that certificates can be
	// replaced while the server runs. Nil means that STARTTLS is not offered and
	// no listener can have implicit TLS.
	TLS func() *tls.Config

	Limits Limits

	// EarlyFlags lets changes of flags be answered before they are durable, to clients
	// that are not told MODSEQs. A power cut may then undo what a client was told.
	EarlyFlags bool

	// Name and Version are what ID tells (RFC 2971). An empty one is left out.
	Name, Version string

	// Charsets knows the charsets of SEARCH beyond US-ASCII and UTF-8; it may be
	// nil. The decoder it returns turns a string into UTF-8.
	Charsets func(name string) (decode func([]byte) (string, error), ok bool)

	// Metrics registers the server's metrics; it may be nil.
	Metrics prometheus.Registerer
}

// Server serves IMAP on any number of listeners.
type Server struct {
	opts    Options
	limits  Limits
	log     *slog.Logger
	metrics *metrics
	guests  *registry

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	stopping  bool

	wg sync.WaitGroup // one for each connection
}

// New returns a server that listens nowhere yet.
func New(opts Options) *Server {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	limits := opts.Limits.withDefaults()
	return &Server{
		opts:      opts,
		limits:    limits,
		log:       log,
		metrics:   newMetrics(opts.Metrics),
		guests:    newRegistry(limits),
		listeners: make(map[net.Listener]struct{}),
	}
}

// ErrServerClosed is returned by Serve after Shutdown.
var ErrServerClosed = errors.New("server closed")

// Serve accepts connections from ln until Shutdown is called or ctx ends, and then
// returns ErrServerClosed. With implicitTLS each begins with a TLS handshake
// (RFC 8314 §3.2); otherwise they begin in clear and are offered STARTTLS. Serve
// closes ln. Connections go on until Shutdown.
func (s *Server) Serve(ctx context.Context, ln net.Listener, implicitTLS bool) error {
	if !s.addListener(ln) {
		return errors.Join(ErrServerClosed, ln.Close())
	}
	defer s.closeListener(ln)
	defer context.AfterFunc(ctx, func() { s.closeListener(ln) })()

	// Connections outlive the listener: Shutdown ends them in order.
	ctx = context.WithoutCancel(ctx)
	for pause := time.Duration(0); ; {
		nc, err := ln.Accept()
		if err == nil {
			pause = 0
			s.start(ctx, nc, implicitTLS)
			continue
		}
		if !isShortage(err) {
			if s.isOpen(ln) {
				return err
			}
			return ErrServerClosed
		}
		// Out of descriptors or memory: sessions that end will give some back.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.log.Warn("cannot accept connections", "error", err, "retry", pause)
		time.Sleep(pause)
	}
}

func isShortage(err error) bool {
	for _, e := range [...]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (s *Server) addListener(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopping {
		s.listeners[ln] = struct{}{}
	}
	return !s.stopping
}

func (s *Server) isOpen(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, open := s.listeners[ln]
	return open
}

func (s *Server) closeListener(ln net.Listener) {
	s.mu.Lock()
	_, open := s.listeners[ln]
	delete(s.listeners, ln)
	s.mu.Unlock()
	if open {
		if err := ln.Close(); err != nil {
			s.log.Debug("closing a listener", "error", err)
		}
	}
}

// start serves nc in a goroutine of its own.
func (s *Server) start(ctx context.Context, nc net.Conn, implicitTLS bool) {
	if serve := s.receive(ctx, nc, implicitTLS); serve != nil {
		go serve()
	}
}

// ServeConn serves one connection and returns when it has ended. It closes nc.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn, implicitTLS bool) {
	if serve := s.receive(ctx, nc, implicitTLS); serve != nil {
		serve()
	}
}

// receive counts a connection and returns what serves it, or refuses it; nil after
// Shutdown. It waits for nothing and is called in the order in which connections
// came: of many at once, those within the limits are then the first.
func (s *Server) receive(ctx context.Context, nc net.Conn, implicitTLS bool) (serve func()) {
	if !s.register() {
		closeQuietly(nc)
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	c := s.newConn(nc)
	refusal := s.guests.arrive(c, cancel)
	return func() {
		defer s.wg.Done()
		defer closeQuietly(nc)
		defer cancel()
		if refusal != "" {
			s.refuse(c, implicitTLS, refusal)
			return
		}
		defer s.guests.leave(c)
		c.run(ctx, implicitTLS)
	}
}

// register makes Shutdown wait for one more connection, unless it has begun.
func (s *Server) register() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopping {
		s.wg.Add(1)
	}
	return !s.stopping
}

// refuse ends a connection that is one too many. With implicit TLS it says nothing: a
// handshake costs far more than the connection costs whoever made it. Nobody waits for
// the client to take the answer: refused connections are counted nowhere, so they must
// not last.
func (s *Server) refuse(c *conn, implicitTLS bool, text string) {
	s.metrics.refused.Inc()
	s.log.Debug("connection refused", "conn", c.peer.ID, "remote", c.peer.Addr, "reason", text)
	if !implicitTLS {
		c.put(imapwire.AppendUntagged(c.buf(), imap.BYE, imap.CodeLimit, text))
		_ = c.t.flush() // the connection is over either way
		c.t.release()
	}
}

// Shutdown stops accepting, lets running commands finish, tells every client BYE
// and returns when all connections have ended. What still runs after
// Limits.ShutdownGrace, or when ctx ends, is cancelled, and cut off a second later
// where its connection has not ended by then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	listeners := make([]net.Listener, 0, len(s.listeners))
	for ln := range s.listeners {
		listeners = append(listeners, ln)
	}
	s.mu.Unlock()
	for _, ln := range listeners {
		s.closeListener(ln)
	}
	s.guests.stopAll()

	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(s.limits.ShutdownGrace):
	case <-ctx.Done():
	}
	s.guests.cancelAll()
	select {
	case <-done:
	case <-time.After(byeTime):
		s.guests.cutAll()
		<-done
	}
	return ctx.Err()
}

// EndSessions ends all sessions of a user, and those in which the user acts as another,
// each with BYE after the command that runs. Call it after a user has been disabled
// or deleted, or has got another password: no session goes on, or begins, by what was
// good before. It returns how many sessions there were; reason is for the log.
func (s *Server) EndSessions(user, reason string) int { return s.guests.end(user, reason) }

// newConnID returns what names a connection in the log: unguessable, so that the
// id in a BYE says nothing of how busy the server is.
func newConnID() string { return rand.Text()[:12] }

func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// closeQuietly closes a connection. What goes wrong then is of no use to anybody.
func closeQuietly(nc net.Conn) { _ = nc.Close() }
