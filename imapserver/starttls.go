package imapserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"tidemark/imap"
	"tidemark/imapwire"
)

// mayStartTLS says whether STARTTLS is offered.
func (c *conn) mayStartTLS() bool {
	return c.srv.opts.TLS != nil && c.peer.TLS == nil
}

// startTLS is STARTTLS (RFC 9051 §6.2.1).
func (g *greeted) startTLS(context.Context, imap.Simple) (outcome, error) {
	if !g.mayStartTLS() {
		return outcome{}, imap.Bad("TLS is not available or active already")
	}
	return outcome{text: "Begin TLS negotiation now", then: func(context.Context) error {
		// What came in clear after the command could be run as if it had come inside
		// TLS. An honest client waits for the answer, so there is nothing to keep.
		if g.dec.Buffered() != 0 || g.t.hasAhead() {
			return &bye{reason: "octets after STARTTLS"}
		}
		if err := g.t.flush(); err != nil {
			return err
		}
		if err := g.handshake(); err != nil {
			return err
		}
		g.bad = 0
		g.newDecoder()
		return nil
	}}, nil
}

// handshake puts TLS over the connection.
func (c *conn) handshake() error {
	t := tls.Server(&tlsSocket{Conn: c.t.socket}, c.srv.opts.TLS())
	if err := c.t.socket.SetDeadline(time.Now().Add(c.srv.limits.HandshakeTime)); err != nil {
		return err
	}
	if b := c.t.ending.Load(); b != nil { // looked at after the deadline was set, as in await
		return &bye{reason: b.reason} // nothing can be said in the middle of a handshake
	}
	if err := c.shakeHands(t); err != nil {
		c.srv.metrics.handshakes.WithLabelValues("failed").Inc()
		return &bye{reason: fmt.Sprintf("TLS handshake: %.200s", err.Error())}
	}
	if err := c.t.disarm(); err != nil {
		return err
	}
	state := t.ConnectionState()
	c.srv.metrics.handshakes.WithLabelValues("ok").Inc()
	c.t.conn = t
	c.peer.TLS = &state
	return nil
}

// shakeHands runs the handshake in a goroutine of its own: it needs some 16 KB of stack, which
// the session's own goroutine would keep for as long as its client idles.
func (c *conn) shakeHands(t *tls.Conn) error {
	done := make(chan error)
	go func() {
		var err error
		defer func() {
			if p := recover(); p != nil {
				err = c.contain(p)
			}
			done <- err
		}()
		err = t.Handshake()
	}()
	return <-done
}

// newDecoder begins to decode what comes from the connection as that of a stranger.
func (c *conn) newDecoder() {
	limits := c.srv.limits.BeforeLogin
	if len(c.mechanisms()) == 0 {
		// "+" would be to ask for the password of a LOGIN that is going to be refused.
		limits.Literals = 0
	}
	c.dec = imapwire.NewDecoder(&c.t, limits, c.askForLiteral)
	c.dec.Charsets = c.srv.opts.Charsets
}
