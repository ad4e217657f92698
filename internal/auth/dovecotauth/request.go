package dovecotauth

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/sasl"
)

// request is one AUTH and what follows it.
type request struct {
	id      string
	answers chan []byte // what came with CONT
	cancel  context.CancelFunc
}

// parameters are those of AUTH that count.
type parameters struct {
	secured  bool // the user's connection is encrypted
	remote   netip.AddrPort
	response []byte // nil where there was none
}

var (
	errLine = errors.New("line that the protocol does not know")
	errGone = errors.New("client gave up")
)

// begin starts a request: AUTH id mechanism name=value …
func (c *conn) begin(ctx context.Context, line []string) error {
	if len(line) < 2 {
		return errLine
	}
	id, mechanism := line[0], strings.ToUpper(line[1])
	if _, err := strconv.ParseUint(id, 10, 32); err != nil {
		return errLine
	}
	p, err := parseParameters(line[2:])
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests[id] != nil {
		return errors.New("number of a request that is still open")
	}
	if len(c.requests) >= maxRequests {
		return c.write("FAIL\t" + id + "\ttemp\n")
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &request{id: id, answers: make(chan []byte, 1), cancel: cancel}
	c.requests[id] = r
	c.group.Go(func() {
		defer cancel()
		user, err := c.run(ctx, r, mechanism, p)
		c.end(r, user, err)
	})
	return nil
}

func parseParameters(list []string) (p parameters, err error) {
	var addr netip.Addr
	var port uint64
	for _, item := range list {
		key, value, _ := strings.Cut(unescape(item), "=")
		switch key {
		case "secured":
			p.secured = true
		case "rip":
			addr, err = netip.ParseAddr(value)
		case "rport":
			port, err = strconv.ParseUint(value, 10, 16)
		case "resp":
			p.response, err = base64.StdEncoding.DecodeString(value)
		}
		if err != nil {
			return p, fmt.Errorf("%w: %s", errLine, key)
		}
	}
	if addr.IsValid() {
		p.remote = netip.AddrPortFrom(addr, uint16(port))
	}
	return p, nil
}

// unescape undoes the quoting of the signs that would end a parameter or a line.
func unescape(s string) string {
	return strings.NewReplacer(
		"\x010", "\x00", "\x011", "\x01", "\x01t", "\t", "\x01r", "\r", "\x01n", "\n", "\x01l", "\n",
	).Replace(s)
}

func escape(s string) string {
	return strings.NewReplacer("\x00", "\x010", "\x01", "\x011", "\t", "\x01t", "\r", "\x01r", "\n", "\x01n").Replace(s)
}

// peer is the user's end, as the client tells of it. Its TLS is the client's own
// matter, of which we know only whether it is there.
func (c *conn) peer(p parameters) imapserver.Peer {
	peer := imapserver.Peer{Addr: p.remote, ID: c.id}
	if p.secured {
		peer.TLS = &tls.ConnectionState{}
	}
	return peer
}

// run plays the mechanism to its end.
func (c *conn) run(ctx context.Context, r *request, mechanism string, p parameters) (string, error) {
	exchange, err := c.server.auth.Begin(ctx, c.peer(p), mechanism)
	if err != nil {
		return "", err
	}
	response := p.response
	for {
		challenge, done, err := exchange.Next(response)
		if err != nil {
			return "", err
		}
		if done && len(challenge) == 0 {
			return exchange.Identity().User, nil
		}
		if response, err = c.ask(ctx, r, challenge); err != nil {
			return "", err
		}
		if done {
			// Version 1.1 cannot send the server's last word with its OK. So it went as
			// a challenge, and the client's answer to it is empty.
			return exchange.Identity().User, nil
		}
	}
}

// ask sends a challenge and waits for the answer.
func (c *conn) ask(ctx context.Context, r *request, challenge []byte) ([]byte, error) {
	c.mu.Lock()
	err := c.write("CONT\t" + r.id + "\t" + base64.StdEncoding.EncodeToString(challenge) + "\n")
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case answer := <-r.answers:
		return answer, nil
	case <-timer.C:
		return nil, errGone
	case <-ctx.Done():
		return nil, errGone
	}
}

// end answers a request and forgets it.
func (c *conn) end(r *request, user string, err error) {
	answer := "OK\t" + r.id + "\tuser=" + escape(user) + "\n"
	if err != nil {
		answer = "FAIL\t" + r.id
		refusal, refused := errors.AsType[*imap.Error](err)
		switch {
		case refused:
			answer += "\treason=" + escape(refusal.Text)
		case !errors.Is(err, sasl.ErrSyntax) && !errors.Is(err, errGone):
			answer += "\ttemp"
			c.server.log.Error("login of another server's user not decided", "conn", c.id, "error", err)
		}
		answer += "\n"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.requests, r.id)
	if err := c.write(answer); err != nil {
		_ = c.nc.Close() // the reader notices and ends the rest
	}
}

// resume gives the answer to a challenge to its request: CONT id base64.
func (c *conn) resume(line []string) error {
	if len(line) < 1 {
		return errLine
	}
	answer := []byte{}
	if len(line) > 1 {
		var err error
		if answer, err = base64.StdEncoding.DecodeString(line[1]); err != nil {
			return fmt.Errorf("%w: CONT", errLine)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.requests[line[0]]
	if r == nil {
		return nil // it has ended meanwhile
	}
	select {
	case r.answers <- answer:
		return nil
	default:
		return errors.New("answer that nobody asked for")
	}
}

// cancel gives up a request.
func (c *conn) cancel(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.requests[id]; r != nil {
		r.cancel()
	}
}
