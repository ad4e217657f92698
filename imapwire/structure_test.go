package imapwire_test

import (
	"strings"
	"testing"

	"tidemark/imap"
	"tidemark/imapwire"
)

func address(name, mailbox, host string) imap.Address {
	a := imap.Address{Mailbox: &mailbox, Host: &host}
	if name != "" {
		a.Name = &name
	}
	return a
}

// If this failed, clients would show wrong senders and subjects. The first is the
// example of RFC 3501 §8.
func TestAppendEnvelope(t *testing.T) {
	gray := []imap.Address{address("Terry Gray", "gray", "cac.washington.edu")}
	checkEncoded(t, []encoderTest{
		{imapwire.AppendEnvelope(nil, &imap.Envelope{
			Date: ptr("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)"), Subject: ptr("IMAP4rev1 WG mtg summary and minutes"),
			From: gray, Sender: gray, ReplyTo: gray, To: []imap.Address{address("", "imap", "cac.washington.edu")},
			Cc:        []imap.Address{address("", "minutes", "CNRI.Reston.VA.US"), address("John Klensin", "KLENSIN", "MIT.EDU")},
			MessageID: ptr("<B27397-0100000@cac.washington.edu>"),
		}), `("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" ` +
			`(("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) ` +
			`(("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu")) ` +
			`((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL ` +
			`"<B27397-0100000@cac.washington.edu>")`},
		{imapwire.AppendEnvelope(nil, &imap.Envelope{}), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"},
		{imapwire.AppendEnvelope(nil, &imap.Envelope{
			Subject: ptr("ü"), To: []imap.Address{{Mailbox: ptr("group")}, address("", "a", "b"), {}}, InReplyTo: ptr(""),
		}), "(NIL {2}\r\nü NIL NIL NIL ((NIL NIL \"group\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL)) NIL NIL \"\" NIL)"},
	})
}

// If this failed, clients would not find attachments. The first two are examples of RFC
// 9051 §7.5.2.
func TestAppendBody(t *testing.T) {
	text := func(params []imap.Param, encoding string, size, lines uint32) *imap.BodyStructure {
		return &imap.BodyStructure{Type: "TEXT", Subtype: "PLAIN", Params: params, Encoding: encoding, Size: size, Lines: lines}
	}
	ascii := imap.Param{Name: "CHARSET", Value: "US-ASCII"}
	diff := text([]imap.Param{ascii, {Name: "NAME", Value: "cc.diff"}}, "BASE64", 4554, 73)
	diff.ID, diff.Description = ptr("<960723163407.20117h@cac.washington.edu>"), ptr("Compiler diff")
	mixed := &imap.BodyStructure{Type: "multipart", Subtype: "MIXED", Params: []imap.Param{{Name: "boundary", Value: "b"}},
		Parts: []*imap.BodyStructure{text([]imap.Param{ascii}, "7BIT", 1152, 23), diff}}
	message := &imap.BodyStructure{Type: "message", Subtype: "rfc822", Encoding: "7BIT", Size: 9, Lines: 3,
		Message: text(nil, "7BIT", 1, 2), Disposition: ptr("attachment"), DispositionParams: []imap.Param{{Name: "filename", Value: "ü"}},
		Language: []string{"de", "en"}, Location: ptr("http://x"), MD5: ptr("m")}
	image := &imap.BodyStructure{Type: "image", Subtype: "png", Encoding: "BASE64", Size: 7, Disposition: ptr("inline"), Language: []string{"de"}}
	const envelope = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
	checkEncoded(t, []encoderTest{
		{imapwire.AppendBody(nil, text([]imap.Param{ascii}, "7BIT", 2279, 48), false),
			`("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 2279 48)`},
		{imapwire.AppendBody(nil, mixed, false), `(("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1152 23)` +
			`("TEXT" "PLAIN" ("CHARSET" "US-ASCII" "NAME" "cc.diff") "<960723163407.20117h@cac.washington.edu>" "Compiler diff" ` +
			`"BASE64" 4554 73) "MIXED")`},
		{imapwire.AppendBody(nil, mixed, true), `(("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1152 23 NIL NIL NIL NIL)` +
			`("TEXT" "PLAIN" ("CHARSET" "US-ASCII" "NAME" "cc.diff") "<960723163407.20117h@cac.washington.edu>" "Compiler diff" ` +
			`"BASE64" 4554 73 NIL NIL NIL NIL) "MIXED" ("boundary" "b") NIL NIL NIL)`},
		{imapwire.AppendBody(nil, message, false), `("message" "rfc822" NIL NIL NIL "7BIT" 9 ` + envelope +
			` ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 2) 3)`},
		{imapwire.AppendBody(nil, message, true), `("message" "rfc822" NIL NIL NIL "7BIT" 9 ` + envelope +
			` ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 2 NIL NIL NIL NIL) 3 "m" ("attachment" ("filename" {2}` + "\r\nü)) (\"de\" \"en\") \"http://x\")"},
		{imapwire.AppendBody(nil, image, true), `("image" "png" NIL NIL NIL "BASE64" 7 NIL ("inline" NIL) "de" NIL)`},
	})
}

// If this failed, the deepest structure that the scanner makes would end the process.
func TestDeepBody(t *testing.T) {
	part := &imap.BodyStructure{Type: "text", Subtype: "plain", Encoding: "7BIT"}
	for range 100 {
		part = &imap.BodyStructure{Type: "multipart", Subtype: "mixed", Parts: []*imap.BodyStructure{part}}
	}
	if got := string(imapwire.AppendBody(nil, part, true)); strings.Count(got, "(") != strings.Count(got, ")") {
		t.Errorf("got %s", got)
	}
}

// If this failed, clients of IMAP4rev1 could not read the structure of a message with a
// message/global in it, which for them is a part like others (RFC 3501 §9).
func TestAppendBodyRev1(t *testing.T) {
	text := &imap.BodyStructure{Type: "text", Subtype: "plain", Encoding: "7BIT", Size: 1, Lines: 2}
	// What looks like a message/global, but is not.
	decoy := &imap.BodyStructure{Type: "text", Subtype: "plain", Encoding: "7BIT", Description: ptr(`ü ("MESSAGE" "GLOBAL" (`),
		Params: []imap.Param{{Name: "MESSAGE", Value: "GLOBAL"}, {Name: "quote", Value: `\" ) (`}}}
	message := &imap.BodyStructure{Type: "message", Subtype: "rfc822", Encoding: "8BIT", Size: 9, Lines: 3, Message: text}
	mixed := &imap.BodyStructure{Type: "multipart", Subtype: "mixed", Parts: []*imap.BodyStructure{decoy, message, text}}
	envelope := &imap.Envelope{Subject: ptr("ü) (")}
	global := func(within *imap.BodyStructure) *imap.BodyStructure {
		return &imap.BodyStructure{Type: "Message", Subtype: "Global", Encoding: "8BIT", Size: 9, Lines: 3,
			Envelope: envelope, Message: within, Disposition: ptr("attachment"), Language: []string{"de", "en"}}
	}
	basic := &imap.BodyStructure{Type: "MESSAGE", Subtype: "GLOBAL", Encoding: "8BIT", Size: 9,
		Disposition: ptr("attachment"), Language: []string{"de", "en"}}
	for _, test := range []struct {
		name      string
		has, want *imap.BodyStructure
	}{
		{"no such part", mixed, mixed},
		{"alone", global(text), basic},
		{"with parts", global(mixed), basic},
		{"within another", global(global(text)), basic},
		{
			"among others",
			&imap.BodyStructure{Type: "multipart", Subtype: "mixed", Parts: []*imap.BodyStructure{decoy, global(mixed), message, decoy}},
			&imap.BodyStructure{Type: "multipart", Subtype: "mixed", Parts: []*imap.BodyStructure{decoy, basic, message, decoy}},
		},
		{
			"within message/rfc822",
			&imap.BodyStructure{Type: "message", Subtype: "rfc822", Encoding: "8BIT", Envelope: envelope, Message: global(text), MD5: ptr("m")},
			&imap.BodyStructure{Type: "message", Subtype: "rfc822", Encoding: "8BIT", Envelope: envelope, Message: basic, MD5: ptr("m")},
		},
	} {
		for _, extended := range []bool{false, true} {
			got := string(imapwire.AppendBodyRev1([]byte("BODY "), imapwire.AppendBody(nil, test.has, extended)))
			if want := string(imapwire.AppendBody([]byte("BODY "), test.want, extended)); got != want {
				t.Errorf("%s, extended %v:\ngot  %s\nwant %s", test.name, extended, got, want)
			}
		}
	}
}
