// Package access stands between the sockets and the servers: it turns away clients
// from blocked networks, and learns from proxies who their clients are.
package access

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/prometheus/client_golang/prometheus"
)

// pollInterval is how often the block list is looked at.
const pollInterval = 10 * time.Second

// headerTime is how long a proxy may take for its header, which it has before it
// connects. While it lasts the server knows nothing of the connection.
const headerTime = 3 * time.Second

// Options are the settings of New.
type Options struct {
	// Proxies are the networks whose connections begin with a PROXY header, version 2.
	// From there it is required, from elsewhere it is not taken.
	Proxies []netip.Prefix
	// BlockList is a file of networks, one a line; empty for none.
	BlockList string

	Log        *slog.Logger          // nil for slog.Default
	Registerer prometheus.Registerer // nil for no metrics
}

// Gate decides whose connections a listener gets. Its methods may be called
// concurrently.
type Gate struct {
	opts    Options
	blocked atomic.Pointer[blockList]
	refused prometheus.Counter
	bad     prometheus.Counter
}

// New returns a gate. It fails if the block list cannot be read.
func New(opts Options) (*Gate, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	g := &Gate{
		opts: opts,
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidemark_blocked_connections_total", Help: "Connections closed because of the block list."}),
		bad: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidemark_proxy_header_failures_total", Help: "Connections of proxies without a usable PROXY header."}),
	}
	g.blocked.Store(&blockList{})
	if err := g.load(true); err != nil {
		return nil, err
	}
	if opts.Registerer != nil {
		opts.Registerer.MustRegister(g.refused, g.bad)
	}
	return g, nil
}

// Run reads the block list when it changes, until ctx ends.
func (g *Gate) Run(ctx context.Context) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = g.load(false) // it was logged, and the old list stays
		}
	}
}

// Reload reads the block list now. On an error, which is logged too, the list that
// was in force stays.
func (g *Gate) Reload() error { return g.load(true) }

// Listener returns l without the connections that the gate refuses. A connection of
// a proxy reads its header when it is first used, RemoteAddr included.
func (g *Gate) Listener(l net.Listener) net.Listener { return &listener{l, g} }

type listener struct {
	net.Listener
	gate *Gate
}

// Accept returns the next connection that is not refused.
func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		addr := addrOf(nc.RemoteAddr())
		if slices.ContainsFunc(l.gate.opts.Proxies, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return l.gate.proxied(nc), nil
		}
		if !l.gate.refuses(addr) {
			return nc, nil
		}
		_ = nc.Close() // nothing was said on it
	}
}

// refuses says whether addr is blocked, and counts it then.
func (g *Gate) refuses(addr netip.Addr) bool {
	if !g.blocked.Load().contains(addr) {
		return false
	}
	g.refused.Inc()
	g.opts.Log.Debug("connection refused", "remote", addr, "reason", "block list")
	return true
}

var (
	errVersion = errors.New("PROXY header is not of version 2")
	errBlocked = errors.New("client is blocked")
)

// proxied returns a connection that begins with a PROXY header. Without a good one,
// or for a client that is blocked, every use of it fails.
func (g *Gate) proxied(nc net.Conn) net.Conn {
	proxy := nc.RemoteAddr()
	check := func(h *proxyproto.Header) error {
		switch {
		case h.Version != 2:
			g.bad.Inc()
			g.opts.Log.Warn("PROXY header not taken", "proxy", proxy.String(), "error", errVersion)
			return errVersion
		case !h.Command.IsLocal() && g.refuses(addrOf(h.SourceAddr)):
			return errBlocked
		}
		return nil
	}
	return &conn{proxyproto.NewConn(nc,
		proxyproto.WithPolicy(proxyproto.REQUIRE),
		proxyproto.SetReadHeaderTimeout(headerTime),
		proxyproto.ValidateHeader(check))}
}

// conn is a connection of a proxy.
type conn struct{ *proxyproto.Conn }

// CloseWrite closes the sending side.
func (c *conn) CloseWrite() error {
	tcp, ok := c.TCPConn()
	if !ok {
		return errors.ErrUnsupported
	}
	return tcp.CloseWrite()
}

// SyscallConn implements syscall.Conn.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	raw, ok := c.Raw().(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return raw.SyscallConn()
}

func addrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
