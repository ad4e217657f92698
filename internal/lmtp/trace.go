package lmtp

import (
	"crypto/rand"
	"net"
	"time"
)

// trace is what is put before a message of one transaction.
type trace struct {
	from string // the return path, without angle brackets
	helo string
	peer net.Addr
	utf8 bool // SMTPUTF8 was asked for
	id   string
	time time.Time
}

// newID returns the name of a delivery in Received and in the log.
func newID() string { return rand.Text()[:16] }

// appendHeader appends the trace fields of RFC 5321 §4.4 for one recipient:
// Return-Path, Delivered-To and Received.
func (t trace) appendHeader(b []byte, host, rcpt string) []byte {
	b = append(b, "Return-Path: <"...)
	b = append(b, t.from...)
	b = append(b, ">\r\nDelivered-To: "...)
	b = append(b, rcpt...)
	b = append(b, "\r\nReceived: from "...)
	b = appendHelo(b, t.helo)
	if a, ok := t.peer.(*net.TCPAddr); ok {
		b = append(b, " (["...)
		if a.IP.To4() == nil {
			b = append(b, "IPv6:"...) // RFC 5321 §4.1.3
		}
		b = append(b, a.IP.String()...)
		b = append(b, "])"...)
	}
	b = append(b, "\r\n\tby "...)
	b = append(b, host...)
	b = append(b, " with "...)
	if t.utf8 {
		b = append(b, "UTF8"...) // RFC 6531 §4.3
	}
	b = append(b, "LMTP id "...)
	b = append(b, t.id...)
	b = append(b, "\r\n\tfor <"...)
	b = append(b, rcpt...)
	b = append(b, ">; "...)
	b = t.time.AppendFormat(b, "Mon, 2 Jan 2006 15:04:05 -0700")
	return append(b, "\r\n"...)
}

// appendHelo appends the name that the client gave itself, cut and with a
// question mark for each octet that does not belong into a name.
func appendHelo(b []byte, helo string) []byte {
	if len(helo) > 255 {
		helo = helo[:255]
	}
	for i := 0; i < len(helo); i++ {
		c := helo[i]
		switch {
		case isAlnum(c), c == '.', c == '-', c == '_', c == ':', c == '[', c == ']':
			b = append(b, c)
		default:
			b = append(b, '?')
		}
	}
	return b
}
