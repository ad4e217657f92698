package imapserver

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"tidemark/imap"
	"tidemark/imapwire"
)

// answerContent answers for messages whose content is asked for, one by one.
func (f *fetcher) answerContent(ctx context.Context, batch []fetchRow) error {
	details := make([]Details, len(batch))
	for i := range batch {
		details[i] = batch[i].details
	}
	i := -1
	for msg, err := range f.mailbox.Messages(ctx, details) {
		i++
		r := &batch[i]
		if err == nil {
			err = f.answerMessage(ctx, r, msg)
		}
		switch {
		case isExpungeIssued(err):
			f.gone = true
			continue
		case err != nil && (isStreamEnd(err) || ctx.Err() != nil):
			return err
		case err != nil:
			f.failMessage(err)
			continue
		}
		if f.seeing && r.present && !r.row.Flags.Has(imap.FlagSeen) {
			f.seen.Add(uint32(r.row.UID))
		}
	}
	return nil
}

// failMessage notes that a message could not be answered for. One damaged message does
// not keep the others from the client; the tagged answer is about the first.
func (f *fetcher) failMessage(err error) {
	if f.failed == nil {
		f.failed = err
		return
	}
	if _, refused := errors.AsType[*imap.Error](err); !refused {
		f.fault("FETCH", err)
	}
}

func isExpungeIssued(err error) bool {
	refusal, ok := errors.AsType[*imap.Error](err)
	return ok && refusal.Code == imap.CodeExpungeIssued
}

// answerMessage sends the response for one message, and closes it. Everything that can fail is done
// before its first octet is written, except for reading the content itself: its
// size has been promised then, and a failure ends the connection.
func (f *fetcher) answerMessage(ctx context.Context, r *fetchRow, msg Message) error {
	defer func() {
		if err := msg.Close(); err != nil {
			f.log.Error("closing a message", "error", err)
		}
	}()
	parts, err := f.openParts(msg)
	if err != nil {
		return err
	}
	if !f.summaries {
		return f.sendMessage(ctx, r, parts, nil)
	}
	// The summary is valid during the call only, and nothing is written in it.
	head := make([][]byte, len(f.items))
	found := false
	err = f.mailbox.Summaries(ctx, []Details{r.details}, func(_ int, sum Summary) error {
		if found = sum != nil; found {
			for i := range f.items {
				if !needsContent(f.items[i].Kind) {
					head[i] = f.appendItem(nil, &f.items[i], r, sum)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !found {
		f.gone = true
		return nil
	}
	return f.sendMessage(ctx, r, parts, head)
}

// part is the content that answers one item; nil where the message has none.
type part struct {
	content Content
	offset  int64
	length  int64
}

// openParts opens the contents that the items ask for, in their order.
func (f *fetcher) openParts(msg Message) ([]part, error) {
	parts := make([]part, len(f.items))
	for i := range f.items {
		item := &f.items[i]
		if !needsContent(item.Kind) {
			continue
		}
		content, err := openItem(msg, item)
		if err != nil {
			return nil, err
		}
		if content != nil {
			parts[i] = cut(content, item.Partial)
		}
	}
	return parts, nil
}

func needsContent(kind imap.FetchKind) bool {
	switch kind {
	case imap.FetchBodySection, imap.FetchRFC822, imap.FetchRFC822Header, imap.FetchRFC822Text,
		imap.FetchBinary, imap.FetchBinarySize:
		return true
	}
	return false
}

func openItem(msg Message, item *imap.FetchItem) (Content, error) {
	switch item.Kind {
	case imap.FetchRFC822:
		return msg.Section(imap.Section{})
	case imap.FetchRFC822Header:
		return msg.Section(imap.Section{Text: imap.SectionHeader})
	case imap.FetchRFC822Text:
		return msg.Section(imap.Section{Text: imap.SectionBody})
	case imap.FetchBinary, imap.FetchBinarySize:
		return msg.Binary(item.Section.Part)
	default:
		return msg.Section(item.Section)
	}
}

// cut returns the part of content that a partial asks for: what lies beyond the end is
// empty (RFC 9051 §6.4.5).
func cut(content Content, partial *imap.Partial) part {
	p := part{content: content, length: content.Size()}
	if partial != nil {
		p.offset = int64(min(partial.Offset, uint64(p.length)))
		p.length = int64(min(partial.Length, uint64(p.length-p.offset)))
	}
	return p
}

// sendMessage writes the response. head has the items that come from a summary, where
// there are any.
func (f *fetcher) sendMessage(ctx context.Context, r *fetchRow, parts []part, head [][]byte) error {
	b := imapwire.AppendFetchStart(f.buf(), r.seq)
	for i := range f.items {
		item := &f.items[i]
		if i > 0 {
			b = append(b, ' ')
		}
		switch {
		case needsContent(item.Kind):
			if err := ctx.Err(); err != nil {
				return &streamError{context.Cause(ctx)} // in the middle of a response
			}
			f.put(imapwire.AppendFetchLabel(b, item))
			if err := f.sendPart(item, parts[i]); err != nil {
				return err
			}
			b = f.buf()
		case head != nil:
			b = append(b, head[i]...)
		default:
			b = f.appendItem(b, item, r, nil)
		}
	}
	f.put(imapwire.AppendFetchEnd(b))
	return f.writeError()
}

// sendPart writes the content of one item after its label.
func (f *fetcher) sendPart(item *imap.FetchItem, p part) error {
	b := append(f.buf(), ' ')
	switch {
	case item.Kind == imap.FetchBinarySize && p.content == nil:
		f.put(append(b, '0'))
		return f.writeError()
	case item.Kind == imap.FetchBinarySize:
		f.put(strconv.AppendInt(b, p.length, 10))
		return f.writeError()
	case p.content == nil:
		f.put(append(b, "NIL"...))
		return f.writeError()
	case item.Kind == imap.FetchBinary:
		// A literal8, since decoded content may have NUL (RFC 3516 §4.2).
		f.put(imapwire.AppendLiteral8Header(b, p.length))
	default:
		f.put(imapwire.AppendLiteralHeader(b, p.length))
	}
	sent := f.t.total()
	err := p.content.WriteRange(&f.t, p.offset, p.length)
	if err == nil && f.t.total()-sent != p.length {
		err = fmt.Errorf("content of %d octets was written as %d", p.length, f.t.total()-sent)
	}
	if f.t.writeFailed == nil && err != nil {
		return f.tornLiteral(err)
	}
	return f.writeError()
}

// tornLiteral ends the connection in the middle of a literal: there is no way to take
// its announced size back.
func (f *fetcher) tornLiteral(err error) error {
	id := newConnID()
	f.log.Error("message content failed while it was sent", "id", id, "error", err)
	f.t.buf = nil
	return &bye{reason: "damaged content " + id}
}
