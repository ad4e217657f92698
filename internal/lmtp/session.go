package lmtp

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-smtp"
	"golang.org/x/sync/errgroup"

	"tidemark/imap"
)

// session is one connection's transactions, one after the other. Its methods are
// called by go-smtp, never two at a time.
type session struct {
	server *Server
	wire   *wire
	helo   string
	log    *slog.Logger

	// The transaction at hand.
	begun      bool
	from       string
	utf8       bool
	size       int64 // as announced by SIZE, else 0
	accounts   map[string]Account
	recipients []*recipient
}

// recipient is one accepted RCPT.
type recipient struct {
	name    string // as go-smtp knows it
	address address
	account Account
	user    string
	mailbox string
}

func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	w := c.Conn().(*wire)
	log := s.config.Logger.With("peer", c.Conn().RemoteAddr().String())
	return &session{server: s, wire: w, helo: c.Hostname(), log: log}, nil
}

// Reset forgets the transaction.
func (s *session) Reset() {
	for _, a := range s.accounts {
		if err := a.Close(); err != nil {
			s.log.Error("lmtp: account not closed", "error", err)
		}
	}
	s.accounts = nil
	s.recipients = nil
	s.begun = false
}

// Logout ends the session.
func (s *session) Logout() error {
	s.Reset()
	return nil
}

// Mail begins a transaction.
func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	switch {
	case s.begun: // RFC 5321 §4.1.4
		return reply(503, smtp.EnhancedCode{5, 5, 1}, "MAIL was given already")
	case len(from) > maxPath || !isPrintable(from):
		return reply(501, smtp.EnhancedCode{5, 1, 7}, "Bad sender address syntax")
	case s.wire.size > s.server.config.MaxMessage:
		return replyTooBig
	}
	s.begun = true
	s.from = quotedPath(from)
	s.utf8 = opts.UTF8
	s.size = s.wire.size
	return nil
}

// isPrintable says whether s is UTF-8 without control characters.
func isPrintable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

// quotedPath returns a return path, from which go-smtp has taken the quotes, as
// it stands between angle brackets.
func quotedPath(path string) string {
	at := strings.LastIndexByte(path, '@')
	if at < 0 {
		return path
	}
	return address{path[:at], path[at+1:]}.String()
}

// Rcpt finds the account for a recipient and asks whether it would take the message.
func (s *session) Rcpt(name string, _ *smtp.RcptOptions) error {
	a, err := parseRecipient(s.wire.command)
	if err != nil {
		return reply(501, smtp.EnhancedCode{5, 1, 3}, "Bad recipient address syntax")
	}
	if len(s.server.domains) > 0 && !s.server.domains[a.Domain] && a.Domain != foldDomain(s.server.config.Hostname) {
		return reply(550, smtp.EnhancedCode{5, 1, 2}, "Mail for this domain is not taken here")
	}
	r := &recipient{name: name, address: a}
	if err := s.resolve(r); err != nil {
		return s.refuse(r, err)
	}
	if err := s.probe(r); err != nil {
		return s.refuse(r, err)
	}
	s.recipients = append(s.recipients, r)
	return nil
}

// resolve opens the account of the first candidate who exists.
func (s *session) resolve(r *recipient) error {
	for _, c := range r.address.candidates() {
		account, err := s.open(c.User)
		if errors.Is(err, ErrNoUser) {
			continue
		}
		if err != nil {
			return err
		}
		r.account, r.user, r.mailbox = account, c.User, c.Mailbox
		if r.mailbox == "" {
			r.mailbox = imap.Inbox
		}
		return nil
	}
	return ErrNoUser
}

// open opens a user's account, once for a transaction.
func (s *session) open(user string) (Account, error) {
	if a, ok := s.accounts[user]; ok {
		return a, nil
	}
	a, err := s.server.backend.OpenRecipient(s.server.deliveries, user)
	if err != nil {
		return nil, err
	}
	if s.accounts == nil {
		s.accounts = make(map[string]Account)
	}
	s.accounts[user] = a
	return a, nil
}

// probe begins an upload and gives it up, to learn whether there is room. A
// subaddress whose mailbox cannot be had means INBOX.
func (s *session) probe(r *recipient) error {
	up, err := r.account.NewUpload(s.server.deliveries, r.mailbox, s.size)
	if err != nil && r.mailbox != imap.Inbox && !isRoomError(err) {
		r.mailbox = imap.Inbox
		up, err = r.account.NewUpload(s.server.deliveries, r.mailbox, s.size)
	}
	if err != nil {
		return err
	}
	up.Abort()
	return nil
}

// Data is not called: go-smtp prefers LMTPData.
func (s *session) Data(io.Reader) error {
	return reply(451, smtp.EnhancedCode{4, 3, 0}, "Internal error")
}

// LMTPData reads a message and delivers it, with one reply a recipient. The
// library's reader is not used; see wire.
func (s *session) LMTPData(_ io.Reader, status smtp.StatusCollector) error {
	sp := newSpool(s.server.config.SpoolDir)
	defer sp.release()
	broken, err := s.wire.readMessage(s.server.config.MaxMessage, sp.add)
	if broken {
		s.log.Info("lmtp: connection ended within a message", "reason", err)
		return replyTemporary
	}
	s.wire.answering = true
	if err != nil {
		return s.refuseMessage(err)
	}
	t := trace{s.from, s.helo, s.wire.RemoteAddr(), s.utf8, newID(), time.Now()}
	s.deliverAll(sp, t, status)
	return nil
}

// deliverAll delivers to each recipient. One that was given twice gets the message
// once, and each RCPT its reply (RFC 2033 §4.2).
func (s *session) deliverAll(sp *spool, t trace, status smtp.StatusCollector) {
	var g errgroup.Group
	g.SetLimit(deliverers)
	results := make(map[string]func() error)
	for _, r := range s.recipients {
		key := r.address.String()
		if results[key] == nil {
			results[key] = sync.OnceValue(func() error { return s.deliver(r, sp, t) })
		}
		result := results[key]
		g.Go(func() error {
			status.SetStatus(r.name, result())
			return nil
		})
	}
	g.Wait()
}
