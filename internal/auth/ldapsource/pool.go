package ldapsource

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/sync/semaphore"
)

// maxIdle is how long a connection waits for its next use. Servers and firewalls
// forget about connections, some without a word.
const maxIdle = time.Minute

// servers are where the directory can be reached.
type servers struct {
	urls      []*url.URL
	tls       *tls.Config
	plaintext bool
	timeout   time.Duration
	working   atomic.Int64 // the index of the server that was reached last
}

func newServers(opts Options) (*servers, error) {
	urls, err := parseURLs(opts.URLs)
	if err != nil {
		return nil, err
	}
	config := opts.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	return &servers{urls: urls, tls: config, plaintext: opts.Plaintext, timeout: opts.Timeout}, nil
}

// dial connects to the first server that answers.
func (s *servers) dial(ctx context.Context) (*ldap.Conn, error) {
	first := int(s.working.Load())
	var errs []error
	for i := range s.urls {
		n := (first + i) % len(s.urls)
		conn, err := s.dialURL(ctx, s.urls[n])
		if err == nil {
			s.working.Store(int64(n))
			return conn, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", s.urls[n].Redacted(), err))
	}
	return nil, errors.Join(errs...)
}

func (s *servers) dialURL(ctx context.Context, u *url.URL) (*ldap.Conn, error) {
	config := s.tls.Clone()
	if config.ServerName == "" {
		config.ServerName = u.Hostname()
	}
	// A share of the time for each, so that there is some left for the next.
	dialer := &net.Dialer{Timeout: s.timeout / time.Duration(len(s.urls)+1)}
	conn, err := ldap.DialURL(u.String(), ldap.DialWithDialer(dialer), ldap.DialWithTLSConfig(config))
	if err != nil {
		return nil, err
	}
	conn.SetTimeout(s.timeout)
	if u.Scheme == "ldap" && !s.plaintext {
		defer closeWith(ctx, conn)()
		if err := conn.StartTLS(config); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("StartTLS: %w", err)
		}
	}
	return conn, nil
}

// pool keeps connections for the next use.
type pool struct {
	dial  func(context.Context) (*ldap.Conn, error)
	slots *semaphore.Weighted

	mu     sync.Mutex
	closed bool
	idle   []idleConn // the one used last is last
}

type idleConn struct {
	conn  *ldap.Conn
	since time.Time
}

func newPool(size int, dial func(context.Context) (*ldap.Conn, error)) *pool {
	return &pool{dial: dial, slots: semaphore.NewWeighted(int64(size))}
}

// use calls f with a connection, within the timeout. f is called again if it turns
// out that the server has closed a connection since its last use.
func (p *pool) use(ctx context.Context, timeout time.Duration, f func(*ldap.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("wait for a connection: %w", err)
	}
	defer p.slots.Release(1)
	for {
		conn, reused := p.take()
		if !reused {
			var err error
			if conn, err = p.dial(ctx); err != nil {
				return err
			}
		}
		err := p.run(ctx, conn, f)
		if err == nil || !reused || ctx.Err() != nil || !isBroken(conn, err) {
			return err
		}
	}
}

// run calls f, which is cut short when ctx ends, and keeps the connection if it is
// still good.
func (p *pool) run(ctx context.Context, conn *ldap.Conn, f func(*ldap.Conn) error) error {
	stop := closeWith(ctx, conn)
	err := f(conn)
	if !stop() {
		return fmt.Errorf("%w: %w", context.Cause(ctx), errOrClosed(err))
	}
	if isBroken(conn, err) {
		_ = conn.Close()
		return err
	}
	p.put(conn)
	return err
}

// closeWith closes the connection when ctx ends, unless stop is called before; stop
// then returns true.
func closeWith(ctx context.Context, conn *ldap.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.Close() })
}

// errOrClosed gives an answer that came together with the end of its time a reason
// not to be used.
func errOrClosed(err error) error {
	if err == nil {
		return errors.New("the connection was closed")
	}
	return err
}

// isBroken says whether a connection is of no more use. After an answer of the
// server that is an error it still is.
func isBroken(conn *ldap.Conn, err error) bool {
	return conn.IsClosing() || ldap.IsErrorAnyOf(err, ldap.ErrorNetwork, ldap.ErrorUnexpectedMessage,
		ldap.ErrorUnexpectedResponse, ldap.LDAPResultUnavailable, ldap.LDAPResultBusy, ldap.LDAPResultProtocolError)
}

func (p *pool) take() (conn *ldap.Conn, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		last := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if time.Since(last.since) < maxIdle && !last.conn.IsClosing() {
			return last.conn, true
		}
		_ = last.conn.Close()
	}
	return nil, false
}

func (p *pool) put(conn *ldap.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = conn.Close()
		return
	}
	p.idle = append(p.idle, idleConn{conn, time.Now()})
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, i := range p.idle {
		_ = i.conn.Close()
	}
	p.idle = nil
}
