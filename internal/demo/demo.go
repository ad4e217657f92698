// Package demo makes the mail of the demonstration account: a few dozen messages of
// the kinds that mail programs have to cope with, in several mailboxes.
package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tidemark/imap"
)

// User is the name of the demonstration account.
const User = "demo"

// Message is one message and where it belongs.
type Message struct {
	Mailbox string
	Flags   []imap.Flag
	Date    time.Time
	Text    []byte // with CRLF
}

// Mailboxes returns the mailboxes besides INBOX. Those with a well-known name are
// given their special use by the server.
func Mailboxes() []string {
	return []string{"Drafts", "Sent", archive, lastYear, "Junk", "Trash", gardening, languages}
}

const (
	inbox     = imap.Inbox
	archive   = "Archive"
	lastYear  = "Archive/Last year"
	gardening = "Lists/gardening"
	languages = "Sprachen & 言語"
)

// writer collects messages. Each is dated some hours before the one moment from
// which all dates are counted, so that the account looks lived in.
type writer struct {
	now  time.Time
	list []Message
}

// Messages returns the messages, the oldest first. They depend on nothing but now.
func Messages(now time.Time) []Message {
	w := &writer{now: now.Truncate(time.Minute)}
	w.welcome()
	w.thread()
	w.attachments()
	w.structures()
	w.languages()
	w.gardening()
	w.everydayMail()
	slices.SortStableFunc(w.list, func(a, b Message) int { return a.Date.Compare(b.Date) })
	return w.list
}

// message is what a demo message is made of.
type message struct {
	mailbox  string
	hours    int // before now
	flags    []imap.Flag
	from, to string // as in the header, encoded already
	subject  string // plain; encoded as UTF-8 where needed
	header   string // further lines, with LF
	body     string // a MIME entity: its header lines, an empty line, its content; with LF
}

func (w *writer) add(m message) {
	date := w.now.Add(-time.Duration(m.hours) * time.Hour)
	var b strings.Builder
	fmt.Fprintf(&b, "Date: %s\n", date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	fmt.Fprintf(&b, "From: %s\n", orElse(m.from, "Ada Field <ada@example.org>"))
	fmt.Fprintf(&b, "To: %s\n", orElse(m.to, "Demo <demo@example.org>"))
	fmt.Fprintf(&b, "Subject: %s\n", encodeWords(m.subject))
	if !strings.Contains(m.header, "Message-ID:") {
		fmt.Fprintf(&b, "Message-ID: %s\n", messageID(len(w.list)))
	}
	b.WriteString(m.header)
	b.WriteString("MIME-Version: 1.0\n")
	b.WriteString(m.body)
	w.list = append(w.list, Message{
		Mailbox: m.mailbox,
		Flags:   m.flags,
		Date:    date,
		Text:    []byte(strings.ReplaceAll(b.String(), "\n", "\r\n")),
	})
}

func messageID(n int) string { return fmt.Sprintf("<%d.tide@example.org>", 1000+n) }

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func flags(f ...imap.Flag) []imap.Flag { return f }
