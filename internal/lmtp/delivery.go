package lmtp

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"

	"tidemark/imap"
	"tidemark/imapserver"
)

// deliver stores the message for one recipient and returns the reply. It says 250
// only for a message that is durable.
func (s *session) deliver(r *recipient, sp *spool, t trace) (answer error) {
	defer func() {
		// One account's fault must not take the other recipients with it.
		if p := recover(); p != nil {
			s.log.Error("lmtp: delivery panicked", "id", t.id, "user", r.user, "panic", fmt.Sprint(p))
			answer = replyTemporary
		}
	}()
	head := t.appendHeader(nil, s.server.config.Hostname, r.address.String())
	mailbox := r.mailbox
	err := s.store(r, mailbox, head, sp)
	if err != nil && mailbox != imap.Inbox && !isRoomError(err) {
		// The mailbox has gone since RCPT.
		mailbox = imap.Inbox
		err = s.store(r, mailbox, head, sp)
	}
	if err != nil {
		return s.refuse(r, err)
	}
	s.server.metrics.count(250, 1)
	s.server.metrics.took.Observe(time.Since(t.time).Seconds())
	s.log.Info("lmtp: delivered", "id", t.id, "user", r.user, "mailbox", mailbox,
		"from", clip(t.from), "octets", sp.size, "took", time.Since(t.time))
	return reply(250, smtp.EnhancedCode{2, 1, 5}, "Delivered "+t.id)
}

func (s *session) store(r *recipient, mailbox string, head []byte, sp *spool) error {
	ctx := s.server.deliveries
	up, err := r.account.NewUpload(ctx, mailbox, int64(len(head))+sp.size)
	if err != nil {
		return err
	}
	defer up.Abort() // does nothing once Append has taken it
	if _, err := up.Write(head); err != nil {
		return err
	}
	if err := sp.copyTo(up); err != nil {
		return err
	}
	_, err = r.account.Append(ctx, mailbox, []imapserver.AppendMessage{{Upload: up}})
	return err
}

// The replies that are given in more than one place.
var (
	replyTooBig = reply(552, smtp.EnhancedCode{5, 3, 4}, "Message is too large")
	// A mailbox has no limit of its own, so that it is always the disk that is full
	// (RFC 3463 §3.4: X.3.1), and not the mailbox (§3.3: X.2.2).
	replyFull      = reply(452, smtp.EnhancedCode{4, 3, 1}, "Mail system is full")
	replyTemporary = reply(451, smtp.EnhancedCode{4, 3, 0}, "Temporary trouble, try again later")
)

func reply(code int, enhanced smtp.EnhancedCode, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}

// refuse returns the reply to a recipient for whom err stands in the way, and
// logs what an operator may want to know.
func (s *session) refuse(r *recipient, err error) error {
	answer := recipientReply(err)
	s.server.metrics.count(answer.Code, 1)
	if answer == replyTemporary {
		s.log.Error("lmtp: recipient deferred", "to", clip(r.address.String()), "error", err)
	} else {
		s.log.Info("lmtp: recipient refused", "to", clip(r.address.String()), "code", answer.Code, "reason", err)
	}
	return answer
}

// recipientReply turns an error of Backend or Account into a reply. Whatever may
// pass is temporary, so that the MTA keeps the message.
func recipientReply(err error) *smtp.SMTPError {
	refusal, refused := errors.AsType[*imap.Error](err)
	switch {
	case errors.Is(err, ErrNoUser):
		return reply(550, smtp.EnhancedCode{5, 1, 1}, "No such user")
	case errors.Is(err, ErrDisabled):
		return reply(550, smtp.EnhancedCode{5, 2, 1}, "Mailbox is disabled")
	case !refused:
		return replyTemporary
	}
	switch refusal.Code {
	case imap.CodeOverQuota:
		return replyFull
	case imap.CodeTooBig:
		return replyTooBig
	case imap.CodeCannot:
		return reply(554, smtp.EnhancedCode{5, 6, 0}, "Message cannot be stored")
	}
	return replyTemporary
}

// isRoomError says whether err is about the size of the message, which another
// mailbox of the same account would refuse as well.
func isRoomError(err error) bool {
	refusal, ok := errors.AsType[*imap.Error](err)
	return ok && (refusal.Code == imap.CodeOverQuota || refusal.Code == imap.CodeTooBig)
}

// refuseMessage returns the reply, for all recipients, to a message that could
// not be taken in.
func (s *session) refuseMessage(err error) error {
	answer := messageReply(err)
	s.server.metrics.count(answer.Code, len(s.recipients))
	if answer == replyTemporary {
		s.log.Error("lmtp: message deferred", "from", clip(s.from), "error", err)
	} else {
		s.log.Info("lmtp: message refused", "from", clip(s.from), "reason", err)
	}
	return answer
}

func messageReply(err error) *smtp.SMTPError {
	switch {
	case errors.Is(err, errTooBig):
		return replyTooBig
	case errors.Is(err, syscall.ENOSPC): // of the spool
		return replyFull
	case errors.Is(err, errBare):
		return reply(550, smtp.EnhancedCode{5, 6, 11}, "Message has a bare CR or LF")
	case errors.Is(err, errNUL):
		return reply(550, smtp.EnhancedCode{5, 6, 0}, "Message has a NUL octet")
	}
	return replyTemporary
}

// clip cuts a string of the peer to what a log line should hold.
func clip(s string) string {
	return s[:min(len(s), 200)]
}
