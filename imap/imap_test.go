package imap

import "testing"

// If this fails, INBOX or a mailbox below it has two names, or a mailbox that only begins
// like it loses its own (RFC 9051 §5.1).
func TestFoldInbox(t *testing.T) {
	for name, want := range map[string]string{
		"":            "",
		"inbox":       "INBOX",
		"INBOX":       "INBOX",
		"InBoX/sent":  "INBOX/sent",
		"inbox/":      "INBOX/",
		"inbox/inbox": "INBOX/inbox",
		"inbox*":      "inbox*",
		"inboxes":     "inboxes",
		"inbo":        "inbo",
		"a/inbox":     "a/inbox",
		"/inbox":      "/inbox",
	} {
		if got := FoldInbox(name); got != want {
			t.Errorf("FoldInbox(%q) = %q, want %q", name, got, want)
		}
	}
}
