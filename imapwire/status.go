package imapwire

import (
	"strconv"

	"tidemark/imap"
)

// statusNames are the items of imap.StatusItems in the order of their bits.
var statusNames = [...]string{
	"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "DELETED", "SIZE",
	"HIGHESTMODSEQ", "MAILBOXID", "APPENDLIMIT",
}

// status reads STATUS (RFC 9051 §6.3.11).
func (d *Decoder) status() imap.Command {
	c := &imap.Status{}
	d.sp()
	c.Mailbox = d.mailbox()
	d.sp()
	c.Items = d.statusItems()
	return c
}

// statusItems reads a list of status-att.
func (d *Decoder) statusItems() imap.StatusItems {
	var items imap.StatusItems
	d.list(func() {
		var buf [labelSize]byte
		name := d.label(classLabel, &buf)
		for i, known := range statusNames {
			if string(name) == known {
				items |= 1 << i
				return
			}
		}
		d.fail("unknown STATUS item")
	})
	return items
}

// StatusData is the content of a STATUS response.
type StatusData struct {
	Mailbox       string // UTF-8
	Items         imap.StatusItems
	Messages      uint32
	Recent        uint32
	UIDNext       imap.UID
	UIDValidity   uint32
	Unseen        uint32
	Deleted       uint32
	Size          int64 // octets
	HighestModSeq imap.ModSeq
	MailboxID     imap.ObjectID
	AppendLimit   int64 // octets; negative for no limit
}

// AppendStatus appends a STATUS response with those Items that are asked for. utf8 is
// as for AppendMailbox.
func AppendStatus(b []byte, s *StatusData, utf8 bool) []byte {
	b = append(b, "* STATUS "...)
	b = AppendMailbox(b, s.Mailbox, utf8)
	b = append(b, " ("...)
	first := true
	for i, name := range statusNames {
		if s.Items&(1<<i) == 0 {
			continue
		}
		if !first {
			b = append(b, ' ')
		}
		first = false
		b = append(append(b, name...), ' ')
		b = s.appendValue(b, 1<<i)
	}
	return append(b, ")\r\n"...)
}

func (s *StatusData) appendValue(b []byte, item imap.StatusItems) []byte {
	switch item {
	case imap.StatusMessages:
		return appendUint(b, s.Messages)
	case imap.StatusRecent:
		return appendUint(b, s.Recent)
	case imap.StatusUIDNext:
		return appendUint(b, s.UIDNext)
	case imap.StatusUIDValidity:
		return appendUint(b, s.UIDValidity)
	case imap.StatusUnseen:
		return appendUint(b, s.Unseen)
	case imap.StatusDeleted:
		return appendUint(b, s.Deleted)
	case imap.StatusSize:
		return strconv.AppendInt(b, s.Size, 10)
	case imap.StatusHighestModSeq:
		return appendUint(b, s.HighestModSeq)
	case imap.StatusMailboxID:
		return append(append(append(b, '('), s.MailboxID...), ')')
	default: // imap.StatusAppendLimit, RFC 7889 §5
		if s.AppendLimit < 0 {
			return append(b, "NIL"...)
		}
		return strconv.AppendInt(b, s.AppendLimit, 10)
	}
}
