package imapwire

import "tidemark/imap"

// AppendEnvelope appends an envelope (RFC 9051 §7.5.2).
func AppendEnvelope(b []byte, e *imap.Envelope) []byte {
	b = AppendNString(append(b, '('), e.Date)
	b = AppendNString(append(b, ' '), e.Subject)
	for _, list := range [...][]imap.Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		b = appendAddresses(append(b, ' '), list)
	}
	b = AppendNString(append(b, ' '), e.InReplyTo)
	b = AppendNString(append(b, ' '), e.MessageID)
	return append(b, ')')
}

// appendAddresses appends addresses without spaces between them, as the grammar wants.
func appendAddresses(b []byte, list []imap.Address) []byte {
	if len(list) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for i := range list {
		a := &list[i]
		b = AppendNString(append(b, '('), a.Name)
		b = AppendNString(append(b, ' '), a.ADL)
		b = AppendNString(append(b, ' '), a.Mailbox)
		b = AppendNString(append(b, ' '), a.Host)
		b = append(b, ')')
	}
	return append(b, ')')
}
