package imapserver

import (
	"context"
	"errors"
	"slices"
	"time"

	"tidemark/imap"
	"tidemark/imapwire"
	"tidemark/sasl"
)

// errPrivacy refuses a login where the password could be read on the way. It is given
// before any password is asked for (RFC 9051 §6.2.3).
var errPrivacy = imap.Refuse(imap.CodePrivacyRequired, "Use TLS to log in")

// mechanisms are the SASL mechanisms that the client can log in with.
func (c *conn) mechanisms() []string {
	return c.srv.opts.Authenticator.Mechanisms(c.peer)
}

// greet sends the greeting. It is never PREAUTH, which would keep a client from
// STARTTLS.
func (c *conn) greet() {
	code := imapwire.CodeCapability(c.capabilityList())
	c.put(imapwire.AppendUntagged(c.buf(), imap.OK, code, "Ready"))
}

// login is LOGIN (RFC 9051 §6.2.3).
func (g *greeted) login(ctx context.Context, cmd *imap.Login) (outcome, error) {
	if len(g.mechanisms()) == 0 {
		return outcome{}, errPrivacy
	}
	g.srv.guests.beginLogin(g.conn)
	id, err := g.srv.opts.Authenticator.Login(ctx, g.peer, cmd.User, cmd.Password)
	if err != nil {
		return outcome{}, g.loginFailed(err)
	}
	return g.enter(ctx, "LOGIN", id)
}

// authenticate is AUTHENTICATE (RFC 9051 §6.2.2).
func (g *greeted) authenticate(ctx context.Context, cmd *imap.Authenticate) (outcome, error) {
	mechanisms := g.mechanisms()
	if len(mechanisms) == 0 {
		return outcome{}, errPrivacy
	}
	if !slices.Contains(mechanisms, cmd.Mechanism) {
		return outcome{}, imap.Refuse(imap.CodeCannot, "Mechanism is not available")
	}
	g.srv.guests.beginLogin(g.conn)
	server, err := g.srv.opts.Authenticator.Begin(ctx, g.peer, cmd.Mechanism)
	if err != nil {
		return outcome{}, g.loginFailed(err)
	}
	var response []byte
	if cmd.HasInitial {
		response = append([]byte{}, cmd.Initial...) // empty and none are told apart
	}
	if err := g.exchange(server, response); err != nil {
		return outcome{}, g.loginFailed(err)
	}
	return g.enter(ctx, cmd.Mechanism, server.Identity())
}

// exchange carries challenges and responses between the mechanism and the client.
func (g *greeted) exchange(server sasl.Server, response []byte) error {
	for {
		challenge, done, err := server.Next(response)
		if err != nil {
			return err
		}
		if done && len(challenge) == 0 {
			return nil
		}
		g.put(imapwire.AppendChallenge(g.buf(), challenge))
		if err := g.t.flush(); err != nil {
			return &streamError{err}
		}
		if response, err = g.readResponse(); err != nil {
			return err
		}
		if done {
			// The last challenge carried the server's own proof; IMAP has no place for it
			// in the tagged answer, so that the client confirms it with an empty line
			// (RFC 4422 §5, "optional additional data").
			return nil
		}
	}
}

// readResponse reads a line of the exchange. "*" gives it up (RFC 9051 §6.2.2).
func (g *greeted) readResponse() ([]byte, error) {
	response, err := g.dec.ReadSASLLine()
	syntax, malformed := errors.AsType[*imapwire.SyntaxError](err)
	switch {
	case err == nil:
		return response, nil
	case malformed && !syntax.Fatal:
		return nil, &imap.Error{Kind: syntax.Status, Code: syntax.Code, Text: syntax.Text}
	default:
		return nil, &streamError{err}
	}
}

// loginFailed counts a failed login, of which the authenticator has written down what
// there is to know, and returns what the client is told. A response that makes no
// sense, or none at all, is not a guess.
func (g *greeted) loginFailed(err error) error {
	refusal, refused := errors.AsType[*imap.Error](err)
	switch {
	case isStreamEnd(err):
		return err
	case errors.Is(err, sasl.ErrSyntax):
		return imap.Bad("Malformed authentication response")
	case !refused:
		g.srv.metrics.logins.WithLabelValues("error").Inc()
		return err
	case refusal.Kind == imap.BAD:
		return err
	}
	g.failures++
	g.srv.metrics.logins.WithLabelValues("failed").Inc()
	return err
}

// enter opens the account of a client that has proved who it is.
func (g *greeted) enter(ctx context.Context, mechanism string, id sasl.Identity) (outcome, error) {
	if err := g.srv.guests.login(g.conn, id); err != nil {
		g.srv.metrics.logins.WithLabelValues("limited").Inc()
		g.log.Info("login refused", "user", clip(id.User), "mechanism", mechanism, "error", err)
		return outcome{}, err
	}
	account, err := g.srv.opts.Backend.OpenAccount(ctx, id)
	if err != nil {
		g.srv.guests.logout(g.conn)
		return outcome{}, err
	}
	g.srv.metrics.logins.WithLabelValues("ok").Inc()
	g.srv.metrics.sessions.Inc()
	c := g.conn
	c.log = c.log.With("user", clip(id.User))
	c.loggedIn = true
	c.t.loginEnd = time.Time{}
	c.dec.SetLimits(c.srv.limits.AfterLogin)
	c.state = &authenticated{conn: c, id: id, account: account}
	// With the new capabilities in the answer the client need not ask for them
	// (RFC 9051 §6.2.3).
	return outcome{code: imapwire.CodeCapability(c.capabilityList()), text: "Logged in"}, nil
}

// clip bounds what a client sent before it goes into the log.
func clip(s string) string {
	const most = 200 // octets
	if len(s) > most {
		return s[:most]
	}
	return s
}
