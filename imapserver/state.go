package imapserver

import (
	"tidemark/imap"
	"tidemark/sasl"
)

// state is where a connection stands (RFC 9051 §3). A handler's parameter is one of
// the three types below and says what it needs; the logout state is the end of
// conn.run.
type state interface {
	// close gives back what the state holds.
	close()
}

// greeted is a connection that has not logged in.
type greeted struct {
	*conn
}

func (*greeted) close() {}

// authenticated is a connection that has logged in.
type authenticated struct {
	*conn
	id      sasl.Identity
	account Account
	enabled features
}

func (a *authenticated) close() {
	a.srv.metrics.sessions.Dec()
	if err := a.account.Close(); err != nil {
		a.log.Error("closing an account", "error", err)
	}
}

// features are what a client has switched on, by ENABLE or by using it.
type features struct {
	rev2      bool // IMAP4rev2 and not IMAP4rev1 (RFC 9051 §6.3.1)
	utf8      bool // UTF8=ACCEPT (RFC 6855 §3)
	condStore bool // RFC 7162 §3.1
	qresync   bool // RFC 7162 §3.2.3; includes condStore
}

// utf8Names says whether mailbox names are sent as UTF-8.
func (f features) utf8Names() bool { return f.rev2 || f.utf8 }

// selected is a connection with a mailbox open.
type selected struct {
	*authenticated
	mailbox Mailbox

	// base is the version whose positions are the client's sequence numbers. tip is
	// the version up to which it has been told of flags; it is ahead of base while
	// expunges that are due may not be sent.
	base, tip View

	recent imap.NumSet // UIDs that are \Recent in this session; rev1 only
	saved  imap.NumSet // UIDs of "$" (RFC 5182)

	told   told // by the command in progress
	behind bool // HIGHESTMODSEQ was told as less than the MODSEQs that were (RFC 7162 §6)
}

// told is what a command's untagged answers have said, as far as its tagged answer
// must follow from it.
type told struct {
	expunges bool // EXPUNGE or VANISHED
	modSeqs  bool // MODSEQ in a FETCH
}

func (s *selected) close() {
	s.closeMailbox()
	s.authenticated.close()
}

// closeMailbox ends the selected state; the authenticated one goes on.
func (s *selected) closeMailbox() {
	if err := s.mailbox.Close(); err != nil {
		s.log.Error("closing a mailbox", "error", err)
	}
}
