package imapserver

import (
	"context"
	"errors"

	"tidemark/imap"
	"tidemark/imapwire"
)

// outcome is how a command that worked ends.
type outcome struct {
	code imap.Code // the response code with its arguments; may be empty
	text string    // empty for "<command> completed"
	next state     // nil where the state stays

	// holdExpunges keeps EXPUNGE back although the command's row allows it: UID
	// SEARCH with sequence numbers (RFC 7162 §3.2.10.2).
	holdExpunges bool
	// then is called after the tagged answer has been sent. Its error ends the
	// connection.
	then func(context.Context) error
	// end is why the connection ends after the tagged answer, that of a command
	// that failed, too; nil where it goes on.
	end error
}

// replyDone sends the tagged OK of a command.
func (c *conn) replyDone(name string, out outcome) {
	text := out.text
	if text == "" {
		text = name + " completed"
	}
	c.put(imapwire.AppendTagged(c.buf(), c.tag, imap.OK, out.code, text))
}

// replyError is the one place where errors become answers. It returns an error
// only when the connection has to end.
func (c *conn) replyError(name string, err error) (imap.StatusKind, error) {
	if c.t.writeFailed != nil || isStreamEnd(err) {
		return imap.BYE, err
	}
	refusal, refused := errors.AsType[*imap.Error](err)
	ending := c.t.ending.Load()
	switch {
	case refused:
		c.log.Debug("command refused", "command", name, "error", err)
	case errors.Is(err, context.Canceled) && ending != nil:
		c.log.Debug("command interrupted", "command", name, "reason", ending)
		refusal = imap.Refuse(imap.CodeUnavailable, ending.text)
	default:
		refusal = c.fault(name, err)
	}
	c.put(imapwire.AppendTagged(c.buf(), c.tag, refusal.Kind, refusal.Code, refusal.Text))
	return refusal.Kind, nil
}

// fault logs an error of the server and returns what the client sees of it: an id
// that stands in the log.
func (c *conn) fault(name string, err error) *imap.Error {
	id := newConnID()
	if errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		c.log.Warn("command failed", "id", id, "command", name, "error", err)
		return imap.Refuse(imap.CodeUnavailable, "Temporarily unavailable "+id)
	}
	c.log.Error("command failed", "id", id, "command", name, "error", err)
	return imap.Refuse(imap.CodeServerBug, "Internal error "+id)
}

// isStreamEnd says whether err is the end of the connection, so that nothing is left
// to answer on.
func isStreamEnd(err error) bool {
	if _, broken := errors.AsType[*streamError](err); broken {
		return true
	}
	_, ended := errors.AsType[*bye](err)
	return ended
}

// streamError marks an error of the connection in a command that reads or writes
// more than its own line.
type streamError struct{ err error }

func (e *streamError) Error() string { return e.err.Error() }
func (e *streamError) Unwrap() error { return e.err }
