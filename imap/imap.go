// Package imap is the vocabulary of the Internet Message Access Protocol:
// IMAP4rev1 (RFC 3501), IMAP4rev2 (RFC 9051) and the extensions that Tidemark
// speaks. It holds names, numbers, sets, commands and status answers as plain
// values. It does no I/O, keeps no state and imports only the standard library.
package imap

import (
	"cmp"
	"strings"
	"time"
)

// UID is a message's unique identifier within one UIDVALIDITY of a mailbox
// (RFC 9051 §2.3.1.1). Zero is not a UID.
type UID uint32

// SeqNum is a message sequence number: a position, from 1, in what one session
// has been told of the mailbox (RFC 9051 §2.3.1.2).
type SeqNum uint32

// ModSeq is a modification sequence (RFC 7162 §3.1), at most 63 bits. Zero
// means "before any change".
type ModSeq uint64

// MaxModSeq is the largest modification sequence (RFC 7162 §7, mod-sequence-value).
const MaxModSeq ModSeq = 1<<63 - 1

// Delimiter separates the levels of mailbox names on the wire.
const Delimiter = '/'

// Inbox is the mailbox that each account has, spelled in the one way we keep
// and send it; clients may spell it in any case (RFC 9051 §5.1).
const Inbox = "INBOX"

// FoldInbox spells Inbox in the one way where it is the first level of a name, which may
// have wildcards: in "inbox/Sent" too, not in "inboxes".
func FoldInbox(name string) string {
	first, _, below := strings.Cut(name, string(Delimiter))
	if !strings.EqualFold(first, Inbox) {
		return name
	}
	if !below {
		return Inbox
	}
	return Inbox + name[len(first):]
}

// ObjectID is the identifier of a mailbox, email or thread that is never used
// again (RFC 8474 §5): 1 to 255 characters of [A-Za-z0-9_-].
type ObjectID string

// Date is a calendar day without time or zone (RFC 9051 §9, date).
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf returns the day on which t falls in t's own zone.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{y, m, d}
}

// Compare returns -1, 0 or +1 as d is before, on or after o.
func (d Date) Compare(o Date) int {
	return cmp.Compare(d.ordinal(), o.ordinal())
}

func (d Date) ordinal() int {
	return (d.Year*16+int(d.Month))*32 + d.Day
}
