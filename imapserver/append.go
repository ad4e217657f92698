package imapserver

import (
	"context"
	"errors"
	"io"
	"sync"

	"tidemark/imap"
	"tidemark/imapwire"
)

// copySize is how much of a message is held on its way from the socket to the
// upload.
const copySize = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// append is APPEND (RFC 9051 §6.3.12), with several messages RFC 3502. Each message
// goes to its upload as it comes; all become part of the mailbox at the end or none.
func (a *authenticated) append(ctx context.Context, cmd *imap.Append) (outcome, error) {
	var msgs []AppendMessage
	defer func() {
		for _, m := range msgs {
			m.Upload.Abort() // does nothing to those that were taken
		}
	}()
	for {
		item, more, err := a.dec.NextAppend()
		if err != nil {
			return outcome{}, a.syntaxAnswer(err)
		}
		if !more {
			break
		}
		upload, err := a.beginUpload(ctx, cmd.Mailbox, item)
		if err != nil {
			return outcome{}, a.refuseAppend(err)
		}
		msgs = append(msgs, AppendMessage{Upload: upload, Flags: item.Flags, InternalDate: item.Time})
		if err := a.receive(upload); err != nil {
			return outcome{}, a.refuseAppend(err)
		}
	}
	result, err := a.account.Append(ctx, cmd.Mailbox, msgs)
	if err != nil {
		return outcome{}, err
	}
	a.correctName(cmd.Mailbox, cmd.Supplied)
	return outcome{code: imapwire.CodeAppendUID(result.UIDValidity, result.UIDs)}, nil
}

// beginUpload asks the backend whether it will take a message before the client is
// asked for it.
func (a *authenticated) beginUpload(ctx context.Context, mailbox string, item imap.AppendItem) (Upload, error) {
	if item.Size == 0 {
		// RFC 3502 §6.3.11: this is how a client gives the APPEND up.
		return nil, &imap.Error{Kind: imap.NO, Text: "Empty message"}
	}
	if err := checkFlags(item.Flags); err != nil {
		return nil, err
	}
	return a.account.NewUpload(ctx, mailbox, item.Size)
}

// receive copies a message from the client to upload.
func (a *authenticated) receive(upload Upload) error {
	literal, err := a.dec.AcceptLiteral()
	if err != nil {
		return &streamError{err}
	}
	buf := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := literal.Read(buf[:])
		if n > 0 {
			if _, err := upload.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			if a.dec.Buffered() == 0 {
				quickAck(a.t.socket)
			}
			return nil
		}
		if err != nil {
			return &streamError{err}
		}
	}
}

// refuseAppend throws away what is left of an APPEND that failed with err.
func (a *authenticated) refuseAppend(err error) error {
	if isStreamEnd(err) {
		return err
	}
	if discardErr := a.dec.DiscardAppend(); discardErr != nil {
		return a.syntaxAnswer(discardErr)
	}
	return err
}

// syntaxAnswer makes an error of the decoder, in the middle of a command, one that
// replyError knows.
func (c *conn) syntaxAnswer(err error) error {
	syntax, ok := errors.AsType[*imapwire.SyntaxError](err)
	switch {
	case !ok:
		return &streamError{err}
	case syntax.Fatal:
		return &bye{syntax.Code, syntax.Text, "command too large"}
	default:
		return &imap.Error{Kind: syntax.Status, Code: syntax.Code, Text: syntax.Text}
	}
}
