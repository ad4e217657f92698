package demo

import (
	"bytes"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"
)

// If this fails, the demonstration account shows broken messages, or fewer kinds of
// them than it is there to show.
func TestMessages(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	messages := Messages(now)
	if len(messages) < 36 {
		t.Errorf("only %d messages", len(messages))
	}
	mailboxes := append(Mailboxes(), "INBOX")
	ids, used := map[string]bool{}, map[string]bool{}
	for _, m := range messages {
		parsed, err := mail.ReadMessage(bytes.NewReader(m.Text))
		if err != nil {
			t.Fatalf("%v in:\n%s", err, m.Text)
		}
		for _, field := range []string{"Date", "From", "To", "Subject", "Message-Id", "Content-Type"} {
			if parsed.Header.Get(field) == "" {
				t.Errorf("no %s in:\n%.300s", field, m.Text)
			}
		}
		if date, err := parsed.Header.Date(); err != nil || !date.Equal(m.Date) || date.After(now) {
			t.Errorf("date %v, %v; want %v", date, err, m.Date)
		}
		if id := parsed.Header.Get("Message-Id"); ids[id] {
			t.Errorf("%s twice", id)
		} else {
			ids[id] = true
		}
		if !slices.Contains(mailboxes, m.Mailbox) {
			t.Errorf("unknown mailbox %q", m.Mailbox)
		}
		used[m.Mailbox] = true
		if bytes.Count(m.Text, []byte("\n")) != bytes.Count(m.Text, []byte("\r\n")) || bytes.IndexByte(m.Text, 0) >= 0 {
			t.Errorf("bare LF or NUL in:\n%.300s", m.Text)
		}
		for line := range strings.SplitSeq(string(m.Text), "\r\n") {
			if len(line) > 998 {
				t.Errorf("line of %d octets", len(line))
			}
		}
	}
	if len(used) != len(mailboxes) {
		t.Errorf("mailboxes used: %v", used)
	}
	if !bytes.Equal(messages[0].Text, Messages(now)[0].Text) {
		t.Error("not the same twice")
	}
}
