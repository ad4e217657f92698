package clienttest

import (
	"slices"
	"strings"
	"testing"

	"tidemark/internal/transcript"
)

func parseMessage(r transcript.Response) message {
	var m message
	kids := r.Data[2].Kids
	for i := 0; i+1 < len(kids); i += 2 {
		switch strings.ToUpper(kids[i].Text) {
		case "UID":
			m.uid = kids[i+1].Text
		case "FLAGS":
			var flags []string
			for _, f := range kids[i+1].Kids {
				if !f.Is(`\Recent`) {
					flags = append(flags, f.Text)
				}
			}
			slices.Sort(flags)
			m.flags = strings.Join(flags, " ")
		case "BODY[]":
			m.text = kids[i+1].Text
		}
	}
	return m
}

// mail is a message of several lines with umlauts and a dot at a line's start.
func mail(subject string) string {
	return "From: Anna <anna@example.org>\r\nTo: Bert <bert@example.org>\r\nSubject: " + subject +
		"\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\nMessage-ID: <" + strings.ReplaceAll(subject, " ", ".") +
		"@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Content-Transfer-Encoding: 8bit\r\n\r\nGrüße,\r\n.\r\n..two dots\r\n" + subject + "\r\n"
}

// find returns the message whose text has the subject.
func find(t *testing.T, list []message, subject string) message {
	t.Helper()
	for _, m := range list {
		if strings.Contains(m.text, "Subject: "+subject+"\r\n") {
			return m
		}
	}
	t.Fatalf("no message %q among %d", subject, len(list))
	return message{}
}
