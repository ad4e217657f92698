package message

import "tidemark/imap"

// envelopeReader gathers an ENVELOPE from the fields of a header section as they come (RFC
// 9051 §7.5.2). Of fields that may stand once only the first counts; address fields that
// stand several times are read as one list.
type envelopeReader struct {
	env  imap.Envelope
	text struct{ date, subject, inReplyTo, messageID string }
}

// field takes one field, whose name is in lower case.
func (e *envelopeReader) field(name, value []byte) {
	switch string(name) {
	case "date":
		setOnce(&e.env.Date, &e.text.date, value)
	case "subject":
		setOnce(&e.env.Subject, &e.text.subject, value)
	case "in-reply-to":
		setOnce(&e.env.InReplyTo, &e.text.inReplyTo, value)
	case "message-id":
		setOnce(&e.env.MessageID, &e.text.messageID, value)
	case "from":
		e.env.From = addAddresses(e.env.From, value)
	case "sender":
		e.env.Sender = addAddresses(e.env.Sender, value)
	case "reply-to":
		e.env.ReplyTo = addAddresses(e.env.ReplyTo, value)
	case "to":
		e.env.To = addAddresses(e.env.To, value)
	case "cc":
		e.env.Cc = addAddresses(e.env.Cc, value)
	case "bcc":
		e.env.Bcc = addAddresses(e.env.Bcc, value)
	}
}

func setOnce(dst **string, text *string, value []byte) {
	if *dst == nil {
		*text = cleanString(value)
		*dst = text
	}
}

// addAddresses reads more addresses of a field that may be repeated; the limit is
// that of one field.
func addAddresses(list []imap.Address, value []byte) []imap.Address {
	if len(list) >= maxAddresses {
		return list
	}
	return ParseAddresses(list, value)
}

func (e *envelopeReader) finish() *imap.Envelope {
	if len(e.env.Sender) == 0 {
		e.env.Sender = e.env.From
	}
	if len(e.env.ReplyTo) == 0 {
		e.env.ReplyTo = e.env.From
	}
	return &e.env
}
