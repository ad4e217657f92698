package message

import (
	"strings"

	"tidemark/imap"
)

// rootFields gathers from the root's header what is told of the message as a whole.
type rootFields struct {
	envelope   *imap.Envelope
	references []byte // the value as it came
}

// field takes one field, whose name is in lower case.
func (t *rootFields) field(name, value []byte) {
	if t.references == nil && string(name) == "references" {
		t.references = append(make([]byte, 0, len(value)), value...)
	}
}

// fill sets the sort and thread keys of r.
func (t *rootFields) fill(r *Scanned) {
	e := t.envelope
	r.Envelope = e
	if e.Date != nil {
		r.Sent, _ = ParseDate([]byte(*e.Date))
	}
	if e.Subject != nil {
		r.Subject = DecodeHeader([]byte(*e.Subject))
		r.BaseSubject, r.IsReply = BaseSubject(r.Subject)
	}
	r.FromMailbox, r.ToMailbox, r.CcMailbox = firstMailbox(e.From), firstMailbox(e.To), firstMailbox(e.Cc)
	r.DisplayFrom, r.DisplayTo = displayName(e.From), displayName(e.To)
	if e.MessageID != nil {
		r.MessageID = firstID([]byte(*e.MessageID))
	}
	r.References = ParseReferences(t.references)
	if len(r.References) == 0 && e.InReplyTo != nil {
		// RFC 5256 §3: without References, the first id of In-Reply-To.
		if id := firstID([]byte(*e.InReplyTo)); id != "" {
			r.References = []string{id}
		}
	}
}

// firstMailbox is the sort key of FROM, TO and CC (RFC 5256 §3).
func firstMailbox(list []imap.Address) string {
	if len(list) == 0 || list[0].Mailbox == nil {
		return ""
	}
	return *list[0].Mailbox
}

// displayName is the sort key of DISPLAYFROM and DISPLAYTO (RFC 5957 §3).
func displayName(list []imap.Address) string {
	if len(list) == 0 {
		return ""
	}
	a := list[0]
	if a.Name != nil {
		if name := DecodeHeader([]byte(*a.Name)); name != "" {
			return name
		}
	}
	switch {
	case a.Mailbox == nil:
		return ""
	case a.Host == nil:
		return *a.Mailbox
	}
	return *a.Mailbox + "@" + *a.Host
}

// BaseSubject returns the base subject of a decoded subject (RFC 5256 §2.1), and
// whether the subject is that of a reply or a forward (RFC 5256 §3). Each octet is
// looked at a fixed number of times.
func BaseSubject(subject string) (base string, isReply bool) {
	s := oneSpace(subject) // step 1
	for {
		var cut bool
		s, cut = trimSubjectTrailers(s) // step 2
		isReply = isReply || cut
		s, cut = trimSubjectLeaders(s) // steps 3 to 5
		isReply = isReply || cut
		inner, ok := cutForward(s) // step 6
		if !ok {
			return s, isReply
		}
		s, isReply = inner, true
	}
}

// oneSpace makes each run of white space one space.
func oneSpace(s string) string {
	if !strings.ContainsAny(s, "\t\r\n") && !strings.Contains(s, "  ") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if !isSpace(s[i]) {
			b = append(b, s[i])
		} else if len(b) == 0 || b[len(b)-1] != ' ' {
			b = append(b, ' ')
		}
	}
	return string(b)
}

// trimSubjectTrailers removes subj-trailer as often as it matches.
func trimSubjectTrailers(s string) (rest string, forward bool) {
	for {
		s = strings.TrimRight(s, " ")
		if !hasSuffixFold(s, "(fwd)") {
			return s, forward
		}
		s, forward = s[:len(s)-len("(fwd)")], true
	}
}

// trimSubjectLeaders removes subj-leader and leading subj-blob as often as they
// match, but leaves something.
func trimSubjectLeaders(s string) (rest string, reply bool) {
	for {
		s = strings.TrimLeft(s, " ")
		afterBlobs, lastBlob := skipBlobs(s)
		if n := refwdLen(afterBlobs); n > 0 {
			s, reply = afterBlobs[n:], true
			continue
		}
		// No leader begins with any of these blobs: they go one by one, so all of them
		// at once, unless the last is all there is.
		if afterBlobs != "" {
			return afterBlobs, reply
		}
		return lastBlob, reply
	}
}

// skipBlobs skips *subj-blob. last is the text from the last blob on.
func skipBlobs(s string) (rest, last string) {
	rest, last = s, s
	for {
		n := blobLen(rest)
		if n == 0 {
			return rest, last
		}
		last, rest = rest, rest[n:]
	}
}

// blobLen returns the length of the subj-blob at the start of s, 0 if there is none.
func blobLen(s string) int {
	if s == "" || s[0] != '[' {
		return 0
	}
	end := strings.IndexAny(s[1:], "[]")
	if end < 0 || s[1+end] == '[' {
		return 0
	}
	n := end + 2
	for n < len(s) && s[n] == ' ' {
		n++
	}
	return n
}

// refwdLen returns the length of the subj-refwd at the start of s, 0 if there is
// none: Re, Fw or Fwd, perhaps a blob, and a colon.
func refwdLen(s string) int {
	n := 0
	switch {
	case hasPrefixFold(s, "re"), hasPrefixFold(s, "fw"):
		n = 2
		if hasPrefixFold(s, "fwd") {
			n = 3
		}
	default:
		return 0
	}
	for n < len(s) && s[n] == ' ' {
		n++
	}
	n += blobLen(s[n:])
	if n < len(s) && s[n] == ':' {
		return n + 1
	}
	return 0
}

// cutForward removes "[fwd:" and "]" around s.
func cutForward(s string) (inner string, ok bool) {
	const header = "[fwd:"
	if !hasPrefixFold(s, header) || !strings.HasSuffix(s, "]") || len(s) <= len(header) {
		return s, false
	}
	return s[len(header) : len(s)-1], true
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
