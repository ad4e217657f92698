package imapserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"time"

	"tidemark/imap"
	"tidemark/imapwire"
)

// conn is one connection. Its goroutine owns all of it; others may only call
// t.wakeMail and t.stop.
type conn struct {
	srv   *Server
	log   *slog.Logger
	t     transport
	dec   *imapwire.Decoder
	peer  Peer
	state state

	tag      string // of the command in progress
	commands int    // answered so far
	failures int    // of logins
	bad      int    // malformed commands in a row
	loggedIn bool

	paced      int // commands since pacedSince
	pacedSince time.Time

	yielded time.Time // when the session last let others run
}

func (s *Server) newConn(nc net.Conn) *conn {
	c := &conn{
		srv: s,
		peer: Peer{
			Addr:  addrPort(nc.RemoteAddr()),
			Local: addrPort(nc.LocalAddr()),
			ID:    newConnID(),
		},
		t: transport{
			socket:     nc,
			conn:       nc,
			readStall:  s.limits.ReadStall,
			writeStall: s.limits.WriteStall,
			loginLeft:  s.limits.LoginBytes,
		},
	}
	c.log = s.log.With("conn", c.peer.ID, "remote", c.peer.Addr)
	c.state = &greeted{c}
	return c
}

// bye is returned as an error to end the connection after an untagged BYE. An
// empty text ends it without one.
type bye struct {
	code   imap.Code
	text   string // for the client
	reason string // for the log
}

func (b *bye) Error() string { return b.reason }

// run serves the connection from its first octet to its end.
func (c *conn) run(ctx context.Context, implicitTLS bool) {
	started := time.Now()
	c.srv.metrics.connections.Inc()
	err := c.converse(ctx, implicitTLS)
	c.farewell(err)
	c.t.release()

	m := c.srv.metrics
	m.connections.Dec()
	m.octets.WithLabelValues("in").Add(float64(c.t.in))
	m.octets.WithLabelValues("out").Add(float64(c.t.out))
	c.logEnd(err, time.Since(started))
}

// logEnd writes down how a connection ended. Those that never logged in are only told
// of for debugging: a flood of them must not become a flood of lines.
func (c *conn) logEnd(err error, duration time.Duration) {
	level, event := slog.LevelDebug, "connection ended"
	if c.loggedIn {
		level, event = slog.LevelInfo, "session ended"
	}
	c.log.Log(context.Background(), level, event, "reason", err.Error(), "duration", duration,
		"commands", c.commands, "octets_in", c.t.in, "octets_out", c.t.out)
}

// converse greets the client and answers its commands until the connection ends,
// and returns why.
func (c *conn) converse(ctx context.Context, implicitTLS bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = c.contain(p)
		}
	}()
	defer func() { c.state.close() }()
	if implicitTLS {
		if err := c.handshake(); err != nil {
			return err
		}
	}
	c.t.loginEnd = time.Now().Add(c.srv.limits.LoginTime)
	c.pacedSince = time.Now()
	c.newDecoder()
	c.log.Debug("connection accepted", "tls", c.peer.TLS != nil)
	c.greet()
	for {
		if err := c.next(ctx); err != nil {
			return err
		}
	}
}

// contain turns a panic into the end of this one connection.
func (c *conn) contain(p any) error {
	id := newConnID()
	c.srv.metrics.panics.Inc()
	c.log.Error("panic in a session", "id", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	c.t.buf = nil // perhaps half an answer
	return &bye{imap.CodeServerBug, "Internal error " + id, "panic " + id}
}

// farewell tells the client why the connection ends, where there is a way to.
func (c *conn) farewell(err error) {
	b, ok := errors.AsType[*bye](err)
	switch {
	case ok:
	case errors.Is(err, errStalled):
		b = &bye{"", "Too slow", ""}
	case errors.Is(err, errLoginLimit):
		b = &bye{"", "Too much before login", ""}
	default:
		return
	}
	if b.text != "" {
		c.put(imapwire.AppendUntagged(c.buf(), imap.BYE, b.code, b.text))
	}
	c.t.finish()
	c.hangUp()
}

// lingerTime and lingerOctets bound how long a finished connection is read from.
const (
	lingerTime   = time.Second
	lingerOctets = 64 << 10
)

// hangUp closes the sending side and reads what the client still sends, for a
// moment: closing a socket with unread octets resets the connection, and the
// client would lose the last answer.
func (c *conn) hangUp() {
	half, ok := c.t.socket.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.t.ending.Load() != nil {
		return
	}
	if c.t.socket.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, c.t.socket, lingerOctets) // its end is what is waited for
	}
}

// next waits for the next command and answers it.
func (c *conn) next(ctx context.Context) error {
	if b := c.t.ending.Load(); b != nil {
		return b
	}
	if c.dec.Buffered() == 0 {
		if err := c.waitForCommand(); err != nil {
			return err
		}
	}
	tag, cmd, err := c.dec.ReadCommand()
	if err != nil {
		err = c.refuseMalformed(err)
	} else {
		c.bad = 0
		c.tag = tag
		err = c.execute(ctx, cmd)
	}
	if err != nil {
		return err
	}
	c.commands++
	c.pace(ctx)
	// A client that has sent more already gets its answers together.
	if c.dec.Buffered() == 0 || len(c.t.buf) >= outputSize {
		return c.t.flush()
	}
	return c.t.writeFailed
}

// pace holds back a client that sends more commands in a second than it may. The clock
// is looked at only when as many have come.
func (c *conn) pace(ctx context.Context) {
	if c.paced++; c.paced < c.srv.limits.CommandRate {
		return
	}
	if wait := time.Second - time.Since(c.pacedSince); wait > 0 && c.t.flush() == nil {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	c.paced, c.pacedSince = 0, time.Now()
}

// turn is how long a session may keep its processor before it lets others run. Where a
// client has its next command ready at once, no read waits, and the scheduler would turn to
// others after 10 ms only. To yield for each command costs more than a NOOP.
const turn = 500 * time.Microsecond

// waitForCommand waits for input while holding no buffer.
func (c *conn) waitForCommand() error {
	if err := c.t.flush(); err != nil {
		return err
	}
	c.t.release()
	c.dec.Release()
	now := time.Now()
	if now.Sub(c.yielded) > turn {
		c.yielded = now
		runtime.Gosched()
	}
	inactivity := c.srv.limits.Inactivity
	woken, err := c.t.await(now.Add(inactivity), inactivity/slackShare, false)
	if err != nil {
		return err
	}
	if woken == wokenByTimeout {
		return c.timedOut()
	}
	return nil
}

// timedOut is the end of a client that has said nothing for too long.
func (c *conn) timedOut() error {
	if !c.t.loginEnd.IsZero() {
		return &bye{"", "Too long without a login", "login time is over"}
	}
	return &bye{"", "Logged out for inactivity", "inactivity"}
}

// refuseMalformed answers a command that could not be decoded.
func (c *conn) refuseMalformed(err error) error {
	syntax, ok := errors.AsType[*imapwire.SyntaxError](err)
	if !ok {
		return err
	}
	if syntax.Kind == imapwire.KindHTTP {
		// A browser was led here by somebody (the ALPACA attack); an answer might be
		// taken for a page or a script.
		return &bye{"", "", "HTTP request"}
	}
	c.log.Debug("malformed command", "error", syntax)
	stranger := !c.t.loginEnd.IsZero()
	if stranger && syntax.Kind == imapwire.KindLimit && syntax.Status == imap.NO && len(c.mechanisms()) == 0 {
		syntax.Code, syntax.Text = errPrivacy.Code, errPrivacy.Text // see newDecoder
	}
	c.put(syntax.AppendAnswer(c.buf()))
	switch {
	case syntax.Fatal: // its answer was the BYE
		return &bye{"", "", "command too large"}
	case stranger && syntax.Kind == imapwire.KindLimit && syntax.Status == imap.BAD:
		return &bye{imap.CodeTooBig, "Command too large", "command too large"}
	case syntax.Kind == imapwire.KindCharset:
		if s, ok := c.state.(*selected); ok && syntax.Save {
			s.saved = nil // RFC 5182 §2.1
		}
		return nil
	}
	c.bad++
	if c.bad >= c.srv.limits.BadCommands || stranger && c.bad >= c.srv.limits.StrangerBadCommands {
		return &bye{"", "Too many malformed commands", "malformed commands"}
	}
	return c.countCommand()
}

// countCommand ends the connection of a client that sends many commands without
// logging in.
func (c *conn) countCommand() error {
	if !c.t.loginEnd.IsZero() && c.commands >= c.srv.limits.LoginCommands {
		return &bye{"", "Too many commands before login", "commands before login"}
	}
	return nil
}

// askForLiteral is called by the decoder before it reads a synchronising literal.
func (c *conn) askForLiteral() error {
	c.put(imapwire.AppendContinue(c.buf(), "Ready"))
	return c.t.flush()
}

// buf returns the output buffer, to be appended to and given back with put.
func (c *conn) buf() []byte {
	c.t.borrow()
	return c.t.buf
}

// put takes the output buffer back and writes it when it is full. After an error
// of the connection it drops what comes: whoever writes much looks at
// c.t.writeFailed.
func (c *conn) put(b []byte) {
	c.t.buf = b
	_ = c.t.spill() // kept in writeFailed
}
