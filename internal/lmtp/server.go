package lmtp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/emersion/go-smtp"
)

// Server takes mail over LMTP on any number of listeners.
type Server struct {
	backend  Backend
	config   Config
	domains  map[string]bool
	replies  map[string]string // see corrections
	metrics  *metrics
	protocol *smtp.Server

	// deliveries is cancelled when Shutdown has waited long enough.
	deliveries context.Context
	cancel     context.CancelFunc

	mu      sync.Mutex
	wires   map[*wire]struct{}
	closing bool
}

// NewServer makes a server that delivers to b.
func NewServer(b Backend, c Config) *Server {
	c = c.withDefaults()
	s := &Server{
		backend: b,
		config:  c,
		domains: make(map[string]bool, len(c.Domains)),
		replies: corrections(c.MaxMessage),
		metrics: newMetrics(c.Metrics),
		wires:   make(map[*wire]struct{}),
	}
	for _, d := range c.Domains {
		s.domains[foldDomain(d)] = true
	}
	s.deliveries, s.cancel = context.WithCancel(context.Background())
	p := smtp.NewServer(smtp.BackendFunc(s.newSession))
	p.LMTP = true
	p.Domain = c.Hostname
	p.MaxRecipients = c.MaxRecipients
	p.MaxLineLength = 0 // the wire has its own limit, for commands alone
	p.EnableSMTPUTF8 = true
	p.ErrorLog = slog.NewLogLogger(c.Logger.Handler(), slog.LevelError)
	s.protocol = p
	return s
}

// Serve takes connections from l until Shutdown, after which it returns nil. It
// closes l.
func (s *Server) Serve(l net.Listener) error {
	if err := s.protocol.Serve(&listener{l, s}); err != nil {
		return fmt.Errorf("lmtp: %w", err)
	}
	return nil
}

// Shutdown takes no new connections, ends those that are between messages, and
// waits for the others to have their message delivered and answered. When ctx
// ends it stops waiting: what is not answered by then the MTA will send again.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.cancel()
	s.mu.Lock()
	s.closing = true
	for w := range s.wires {
		w.drain()
	}
	s.mu.Unlock()

	err := s.protocol.Shutdown(ctx)
	if ctx.Err() == nil {
		return err
	}
	s.cancel()
	s.mu.Lock()
	for w := range s.wires {
		w.Conn.Close()
	}
	s.mu.Unlock()
	return err
}

// admit takes a new connection into the books, or says why not.
func (s *Server) admit(c net.Conn) (*wire, error) {
	w := newWire(c, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, errClosing
	}
	if len(s.wires) >= s.config.MaxConnections {
		return nil, errTooMany
	}
	s.wires[w] = struct{}{}
	return w, nil
}

func (s *Server) forget(w *wire) {
	s.mu.Lock()
	delete(s.wires, w)
	s.mu.Unlock()
}

var (
	errClosing = errors.New("server is shutting down")
	errTooMany = errors.New("too many connections")
)

// listener hands go-smtp connections that are wires.
type listener struct {
	net.Listener
	server *Server
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		w, err := l.server.admit(c)
		if err == nil {
			return w, nil
		}
		l.server.config.Logger.Warn("lmtp connection refused", "peer", c.RemoteAddr().String(), "reason", err)
		// A fresh socket has room for one line, so this does not block.
		fmt.Fprintf(c, "421 4.3.2 %s %v\r\n", l.server.config.Hostname, err)
		c.Close()
	}
}
