package message

import "tidemark/imap"

// Section finds BODY[s] in the message whose root is p (RFC 9051 §6.4.5.1). The
// octets are those of ext; with filter set they still have to go through
// FilterHeader. ok is false where there is no such part, which is sent as NIL.
func (p *Part) Section(s imap.Section) (ext Extent, filter, ok bool) {
	msg, body := p, p
	if len(s.Part) > 0 {
		if body = p.Find(s.Part); body == nil {
			return Extent{}, false, false
		}
		// Behind a part number HEADER and TEXT are those of the message within.
		msg = body.Message
	}
	switch s.Text {
	case imap.SectionAll:
		if len(s.Part) == 0 {
			return p.Extent(), false, true
		}
		return body.Body, false, true
	case imap.SectionMIME:
		return body.Header, false, len(s.Part) > 0
	}
	if msg == nil {
		return Extent{}, false, false
	}
	switch s.Text {
	case imap.SectionHeader:
		return msg.Header, false, true
	case imap.SectionHeaderFields, imap.SectionHeaderFieldsNot:
		return msg.Header, true, true
	case imap.SectionBody:
		return msg.Body, false, true
	}
	return Extent{}, false, false
}

// Find returns the part with the given number in the message whose root is p, nil
// if there is none. Without a number it is p. Of a message that is not multipart,
// part 1 is the message's own body, so that the result can be p itself.
func (p *Part) Find(number []uint32) *Part {
	whole := true // p stands for a message, and not yet for that message's body
	for _, n := range number {
		if !whole && p.Message != nil {
			p, whole = p.Message, true
		}
		switch {
		case p.IsMultipart():
			if n == 0 || uint64(n) > uint64(len(p.Parts)) {
				return nil
			}
			p = p.Parts[n-1]
		case !whole || n != 1:
			return nil
		}
		whole = false
	}
	return p
}
