package message

import (
	"testing"

	"tidemark/imap"
)

// If this fails, a client asks for one part and gets another, or none.
func TestSection(t *testing.T) {
	msg := "Subject: outer\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\nX: 1\r\n\r\none\r\n" +
		"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nnested\r\n" +
		"--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" +
		"--c\r\n\r\n3.1\r\n--c\r\nContent-Type: multipart/alternative; boundary=d\r\n\r\n--d\r\nY: 2\r\n\r\n3.2.1\r\n--d--\r\n--c--\r\n" +
		"--b--\r\n"
	plain := "Subject: s\r\n\r\ntext"
	nested := "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nnested"
	n := func(number ...uint32) []uint32 { return number }
	const none = "NIL"
	for _, c := range []struct {
		msg  string
		part []uint32
		text imap.SectionText
		want string
	}{
		{msg, nil, imap.SectionAll, msg},
		{msg, nil, imap.SectionHeader, "Subject: outer\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"},
		{msg, nil, imap.SectionMIME, none},
		{msg, n(1), imap.SectionAll, "one"},
		{msg, n(1), imap.SectionMIME, "X: 1\r\n\r\n"},
		{msg, n(1), imap.SectionHeader, none},
		{msg, n(1), imap.SectionBody, none},
		{msg, n(1, 1), imap.SectionAll, none},
		{msg, n(2), imap.SectionAll, "Subject: in\r\n\r\nnested"},
		{msg, n(2), imap.SectionMIME, "Content-Type: message/rfc822\r\n\r\n"},
		{msg, n(2), imap.SectionHeader, "Subject: in\r\n\r\n"},
		{msg, n(2), imap.SectionBody, "nested"},
		{msg, n(2, 1), imap.SectionAll, "nested"},
		{msg, n(2, 1), imap.SectionMIME, "Subject: in\r\n\r\n"},
		{msg, n(2, 1), imap.SectionBody, none},
		{msg, n(2, 2), imap.SectionAll, none},
		{msg, n(3, 1), imap.SectionAll, "3.1"},
		{msg, n(3, 2, 1), imap.SectionAll, "3.2.1"},
		{msg, n(3, 2, 1), imap.SectionMIME, "Y: 2\r\n\r\n"},
		{msg, n(3, 2), imap.SectionBody, none},
		{msg, n(4), imap.SectionAll, none},
		{msg, n(0), imap.SectionAll, none},
		{msg, n(1 << 31), imap.SectionAll, none},
		{plain, nil, imap.SectionBody, "text"},
		{plain, n(1), imap.SectionAll, "text"},
		{plain, n(1), imap.SectionMIME, "Subject: s\r\n\r\n"},
		{plain, n(1), imap.SectionHeader, none},
		{plain, n(2), imap.SectionAll, none},
		{plain, n(1, 1), imap.SectionAll, none},
		{nested, n(1), imap.SectionAll, "Subject: in\r\n\r\nnested"},
		{nested, n(1), imap.SectionHeader, "Subject: in\r\n\r\n"},
		{nested, n(1, 1), imap.SectionAll, "nested"},
	} {
		ext, _, ok := scanIn([]byte(c.msg), 0).Root.Section(imap.Section{Part: c.part, Text: c.text})
		got := none
		if ok {
			got = c.msg[ext.Offset:ext.End()]
		}
		if got != c.want {
			t.Errorf("%v %d: got %q, want %q", c.part, c.text, got, c.want)
		}
	}
}

// If this fails, HEADER.FIELDS gives other fields than those asked for, or other octets.
func TestFilterHeader(t *testing.T) {
	const header = "Subject: a\r\nX-Y :1\r\nTo: b,\r\n\tc\r\nno field\r\nsubject: d\n\r\n"
	many := []string{"a", "b", "c", "d", "e", "f", "g", "h", "SUBJECT"}
	for _, c := range []struct {
		header string
		fields []string
		not    bool
		want   string
	}{
		{header, []string{"to"}, false, "To: b,\r\n\tc\r\n\r\n"},
		{header, []string{"SUBJECT", "x-y"}, false, "Subject: a\r\nX-Y :1\r\nsubject: d\n\r\n"},
		{header, many, false, "Subject: a\r\nsubject: d\n\r\n"},
		{header, []string{"subject"}, true, "X-Y :1\r\nTo: b,\r\n\tc\r\nno field\r\n\r\n"},
		{header, []string{"bcc"}, false, "\r\n"},
		{header, nil, true, header},
		{"To: x", []string{"to"}, false, "To: x"}, // no body and no blank line
		{"", []string{"to"}, false, ""},
		{"\r\nbody", []string{"to"}, true, "\r\n"},
	} {
		if got := string(FilterHeader(nil, []byte(c.header), c.fields, c.not)); got != c.want {
			t.Errorf("%v %v of %q: got %q, want %q", c.fields, c.not, c.header, got, c.want)
		}
	}
}
