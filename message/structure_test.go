package message

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"tidemark/imap"
)

var update = flag.Bool("update", false, "write the outlines in testdata anew")

// outline writes what was found of a message in words, for people to check.
func outline(r *Scanned) string {
	var b strings.Builder
	fmt.Fprintf(&b, "size %d\nsent %s\nsubject %q base %q reply %v\n",
		r.Size, r.Sent.Format("2006-01-02 15:04:05 -0700"), r.Subject, r.BaseSubject, r.IsReply)
	fmt.Fprintf(&b, "sort from %q to %q cc %q display %q %q\n", r.FromMailbox, r.ToMailbox, r.CcMailbox, r.DisplayFrom, r.DisplayTo)
	fmt.Fprintf(&b, "id %q references %q\npreview %q\n", r.MessageID, r.References, r.Preview)
	outlinePart(&b, r.Root, r.Structure, r.Envelope, "")
	return b.String()
}

func outlinePart(b *strings.Builder, p *Part, s *imap.BodyStructure, e *imap.Envelope, indent string) {
	fmt.Fprintf(b, "%s%s/%s %s header %d+%d body %d+%d decoded %d lines %d/%d", indent, s.Type, s.Subtype, s.Encoding,
		p.Header.Offset, p.Header.Length, p.Body.Offset, p.Body.Length, p.Decoded, p.Lines, s.Lines)
	fmt.Fprintf(b, " params %q", paramList(s.Params))
	if s.Disposition != nil {
		fmt.Fprintf(b, " disposition %s %q", *s.Disposition, paramList(s.DispositionParams))
	}
	for _, f := range []struct {
		name  string
		value *string
	}{{"id", s.ID}, {"description", s.Description}, {"md5", s.MD5}, {"location", s.Location}} {
		if f.value != nil {
			fmt.Fprintf(b, " %s %q", f.name, *f.value)
		}
	}
	if len(s.Language) > 0 {
		fmt.Fprintf(b, " language %q", s.Language)
	}
	b.WriteByte('\n')
	indent += "  "
	if e != nil {
		fmt.Fprintf(b, "%sfrom %q to %q cc %q\n", indent, addressList(e.From), addressList(e.To), addressList(e.Cc))
	}
	for i, c := range p.Parts {
		outlinePart(b, c, s.Parts[i], nil, indent)
	}
	if p.Message != nil {
		outlinePart(b, p.Message, s.Message, s.Envelope, indent)
	}
}

// If this fails, a message that was understood before is now understood otherwise.
func TestCorpus(t *testing.T) {
	for name, msg := range corpus(t) {
		r := scanIn(msg, 0)
		checkScanned(t, msg, r)
		file := "testdata/" + strings.TrimSuffix(name, ".eml") + ".outline"
		got := outline(r)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		}
	}
}

// If this fails, parts with odd types are shown as something that they are not.
func TestContentType(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{"", "TEXT/PLAIN 7BIT CHARSET=US-ASCII"},
		{"Content-Type: text/plain; charset=utf-8", "text/plain 7BIT charset=utf-8"},
		{"Content-Type: Text / HTML (x)", "Text/HTML 7BIT CHARSET=US-ASCII"},
		{"Content-Type: text", "TEXT/PLAIN 7BIT CHARSET=US-ASCII"},
		{"Content-Type: text/; charset=utf-8", "TEXT/PLAIN 7BIT CHARSET=US-ASCII"},
		{"Content-Type:", "TEXT/PLAIN 7BIT CHARSET=US-ASCII"},
		{"Content-Type: /plain", "TEXT/PLAIN 7BIT CHARSET=US-ASCII"},
		{"Content-Type: image/png; name=x", "image/png 7BIT name=x"},
		{"Content-Type: image/png\r\nContent-Type: text/html", "image/png 7BIT "},
		{"Content-Type: broken\r\nContent-Type: text/html", "text/html 7BIT CHARSET=US-ASCII"},
		{"Content-Type: x/y garbage; a=b", "x/y 7BIT a=b"},
		{"Content-Transfer-Encoding: BASE64 (really)", "TEXT/PLAIN BASE64 CHARSET=US-ASCII"},
		{"Content-Transfer-Encoding:", "TEXT/PLAIN 7BIT CHARSET=US-ASCII"},
		{"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64", "APPLICATION/OCTET-STREAM base64 "},
		{"Content-Type: message/partial; id=x", "message/partial 7BIT id=x"},
	} {
		s := scanIn([]byte(c.header+"\r\n\r\n"), 0).Structure
		got := fmt.Sprintf("%s/%s %s %s", s.Type, s.Subtype, s.Encoding, paramList(s.Params))
		if got != c.want {
			t.Errorf("%q: got %q, want %q", c.header, got, c.want)
		}
	}
}

// If this fails, mail that cannot be kept exactly is accepted, or good mail refused.
func TestOddOctets(t *testing.T) {
	for _, c := range []struct {
		msg         string
		nul, cr, lf bool
	}{
		{"a: b\r\n\r\nc\r\n", false, false, false},
		{"", false, false, false},
		{"a: b\n\r\n", false, false, true},
		{"a: b\r\n\r\nc\rd", false, true, false},
		{"a: b\r\n\r\nc\r", false, true, false},
		{"a: b\r\r\n\r\n", false, true, false},
		{"a: \x00\r\n\r\n", true, false, false},
		{"\r\n" + strings.Repeat("x", maxLine-1) + "\r\n", false, false, false},
	} {
		for _, n := range []int{0, 1, 2} {
			r := scanIn([]byte(c.msg), n)
			if r.HasNUL != c.nul || r.BareCR != c.cr || r.BareLF != c.lf {
				t.Errorf("%.20q: got %v %v %v", c.msg, r.HasNUL, r.BareCR, r.BareLF)
			}
		}
	}
}

// If this fails, ENVELOPE does not tell what is missing from what is empty, or misses the
// defaults that clients count on.
func TestEnvelopeDefaults(t *testing.T) {
	e := parseEnvelope([]byte("From: a@b\r\nReply-To: \r\nSubject:\r\nTo: c@d\r\nTo: e@f\r\nDate: one\r\nDate: two\r\n\r\nCc: body@x"))
	if e.Subject == nil || *e.Subject != "" || e.MessageID != nil || e.InReplyTo != nil || *e.Date != "one" {
		t.Errorf("subject %v, message id %v, date %v", e.Subject, e.MessageID, e.Date)
	}
	for _, list := range [][]imap.Address{e.From, e.Sender, e.ReplyTo} {
		if got := addressList(list); got != "-|-|a|b" {
			t.Errorf("got %s", got)
		}
	}
	if got := addressList(e.To); got != "-|-|c|d; -|-|e|f" || e.Cc != nil {
		t.Errorf("got %s and %v", got, e.Cc)
	}
}

// parseEnvelope reads an ENVELOPE from a header section.
func parseEnvelope(header []byte) *imap.Envelope {
	var e envelopeReader
	for {
		f, rest, ok := nextField(header)
		if !ok {
			return e.finish()
		}
		var buf [maxFieldName]byte
		e.field(f.lowerName(&buf), f.value)
		header = rest
	}
}
