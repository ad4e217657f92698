package message

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"unicode/utf8"

	"tidemark/imap"
)

// scanIn scans msg in writes of n octets, all at once for n = 0.
func scanIn(msg []byte, n int) *Scanned {
	s := NewScanner()
	for n > 0 && len(msg) > n {
		s.Write(msg[:n])
		msg = msg[n:]
	}
	s.Write(msg)
	return s.Finish()
}

// corpus returns the messages in testdata by their file names.
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	all := make(map[string][]byte)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(name)] = b
	}
	return all
}

// checkScanned fails the test where what was found of msg contradicts msg itself.
func checkScanned(t *testing.T, msg []byte, r *Scanned) {
	t.Helper()
	if r.Size != int64(len(msg)) {
		t.Fatalf("Size %d of a message of %d octets", r.Size, len(msg))
	}
	if whole := (Extent{0, r.Size}); r.Root.Extent() != whole {
		t.Fatalf("root is %v, not %v", r.Root.Extent(), whole)
	}
	checkPart(t, msg, r.Root, r.Structure, 1)
	if !utf8.ValidString(r.Preview) || utf8.RuneCountInString(r.Preview) > maxPreview {
		t.Fatalf("preview %q", r.Preview)
	}
	for _, s := range []string{r.Subject, r.BaseSubject, r.DisplayFrom, r.DisplayTo} {
		if !utf8.ValidString(s) && utf8.Valid(msg) {
			t.Fatalf("%q is not UTF-8", s)
		}
	}
	if len(r.References) > maxReferences {
		t.Fatalf("%d references", len(r.References))
	}
	checkEnvelope(t, r.Envelope)
	p, err := ParsePart(r.Root.AppendBinary(nil))
	if err != nil || !reflect.DeepEqual(p, r.Root) {
		t.Fatalf("the part tree does not survive its encoding: %v", err)
	}
}

func checkPart(t *testing.T, msg []byte, p *Part, st *imap.BodyStructure, depth int) {
	t.Helper()
	if depth > maxDepth+1 {
		t.Fatalf("parts are nested %d deep", depth)
	}
	if p.Header.Length < 0 || p.Body.Length < 0 || p.Header.End() != p.Body.Offset || p.Body.End() > int64(len(msg)) {
		t.Fatalf("extents %v %v of %d octets", p.Header, p.Body, len(msg))
	}
	body := msg[p.Body.Offset:p.Body.End()]
	if n := bytes.Count(body, []byte{'\n'}); int(p.Lines) != n {
		t.Fatalf("%d lines, not %d, in %q", p.Lines, n, body)
	}
	if p.IsMultipart() != (p.Type == "multipart") || p.IsMultipart() != st.IsMultipart() {
		t.Fatalf("%s/%s with %d parts, %d in the structure", p.Type, p.Subtype, len(p.Parts), len(st.Parts))
	}
	if (p.Message != nil) != (st.Message != nil) || (p.Message != nil) != (st.Envelope != nil) {
		t.Fatal("part and structure disagree about a nested message")
	}
	checkDecoded(t, body, p)
	end := p.Body.Offset
	for i, c := range p.Parts {
		if c.Header.Offset < end || c.Body.End() > p.Body.End() {
			t.Fatalf("part %d %v is not within %v after %d", i+1, c.Extent(), p.Body, end)
		}
		end = c.Body.End()
		checkPart(t, msg, c, st.Parts[i], depth+1)
	}
	if p.Message != nil {
		if p.Message.Extent() != p.Body {
			t.Fatalf("nested message %v is not the body %v", p.Message.Extent(), p.Body)
		}
		checkEnvelope(t, st.Envelope)
		checkPart(t, msg, p.Message, st.Message, depth+1)
	}
}

// checkDecoded compares Decoded with what DecodeTransfer yields.
func checkDecoded(t *testing.T, body []byte, p *Part) {
	t.Helper()
	if p.IsMultipart() || p.Message != nil {
		return
	}
	r, ok := DecodeTransfer(bytes.NewReader(body), p.Encoding)
	if ok != (p.Decoded >= 0) {
		t.Fatalf("Decoded is %d with encoding %q", p.Decoded, p.Encoding)
	}
	if !ok {
		return
	}
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != p.Decoded {
		t.Fatalf("Decoded is %d, but %q of %q yields %d octets: %v", p.Decoded, p.Encoding, body, len(b), err)
	}
}

func checkEnvelope(t *testing.T, e *imap.Envelope) {
	t.Helper()
	for _, s := range []*string{e.Date, e.Subject, e.InReplyTo, e.MessageID} {
		checkString(t, s)
	}
	for _, list := range [][]imap.Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		checkAddresses(t, list)
	}
}

func checkAddresses(t *testing.T, list []imap.Address) {
	t.Helper()
	open := false
	for _, a := range list {
		for _, s := range []*string{a.Name, a.ADL, a.Mailbox, a.Host} {
			checkString(t, s)
		}
		switch {
		case a.Host != nil && a.Mailbox == nil:
			t.Fatal("an address with a host alone")
		case a.Host == nil && a.Mailbox != nil:
			if open {
				t.Fatal("a group within a group")
			}
			open = true
		case a.Host == nil:
			if !open {
				t.Fatal("the end of no group")
			}
			open = false
		}
	}
	if open {
		t.Fatal("a group without an end")
	}
}

func checkString(t *testing.T, s *string) {
	t.Helper()
	if s != nil && bytes.ContainsAny([]byte(*s), "\r\n\x00") {
		t.Fatalf("%q cannot be an IMAP string", *s)
	}
}

// If FuzzScan fails, a message exists for which clients are given the wrong octets,
// or which is understood differently when the network cuts it differently.
func FuzzScan(f *testing.F) {
	for _, msg := range corpus(f) {
		f.Add(msg, uint16(7))
	}
	f.Add([]byte("Content-Type: multipart/mixed; boundary=a\n\n--a\n\n--a\r\n--a--"), uint16(1))
	f.Add([]byte("Content-Type: multipart/digest; boundary=a\n\n--a\n\nX: y\n\nz\n--a"), uint16(3))
	f.Fuzz(func(t *testing.T, msg []byte, n uint16) {
		whole := scanIn(msg, 0)
		checkScanned(t, msg, whole)
		if cut := scanIn(msg, int(n)+1); !reflect.DeepEqual(cut, whole) {
			t.Fatalf("in writes of %d octets the result differs:\n%+v\n%+v", n+1, cut, whole)
		}
		for _, p := range []*Part{whole.Root} {
			if _, err := NewNeedle("é needle").MatchText(bytes.NewReader(msg), p, true); err != nil {
				t.Fatalf("search: %v", err)
			}
		}
	})
}

// If FuzzDecodeHeader fails, a header can make us send what is not UTF-8, or break out
// of its line.
func FuzzDecodeHeader(f *testing.F) {
	for _, s := range []string{
		"=?utf-8?q?a=C3?= =?utf-8?q?=A4b?=", "=?iso-2022-jp?b?GyRCJDMkcyRLJEEkTxsoQg==?=",
		"=?utf-8*de?b?w7w=?= x =?x?q??=", "=?a?q?=?a?q?", "caf\xe9\r\n\tx", "=?utf-7?q?+AOk-?=",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		s := DecodeHeader(value)
		if !utf8.ValidString(s) || bytes.ContainsAny([]byte(s), "\r\n\x00") {
			t.Fatalf("%q decodes to %q", value, s)
		}
	})
}

// If FuzzAddress fails, an address header can make us send an ENVELOPE that clients
// cannot read.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		`Joe <joe@example.org>, "a \" b" <@r,@s:x@y>`, "g: a@b, c@d;", "(c(d)e) x . y @ z (f\\",
		"<a,<b,<c>", "a@[1.2.3.4], [[[", `"\`, ":;:;", "a@b@c d <e> f",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		list := ParseAddresses(nil, value)
		checkAddresses(t, list)
		if len(list) > len(value)+2 {
			t.Fatalf("%d addresses out of %d octets", len(list), len(value))
		}
	})
}

// If FuzzParsePart fails, a damaged record can crash the server, or one tree has two
// encodings.
func FuzzParsePart(f *testing.F) {
	for _, msg := range corpus(f) {
		f.Add(scanIn(msg, 0).Root.AppendBinary(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePart(b)
		if err != nil {
			return
		}
		again, err := ParsePart(p.AppendBinary(nil))
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%x does not survive: %v", b, err)
		}
	})
}

// If FuzzParams fails, a parameter can make us send what is no IMAP string.
func FuzzParams(f *testing.F) {
	for _, s := range []string{
		`; a=b; c="d\"e" (f); g*0*=utf-8''%41; g*1=b`, `;a*1=x;a*0=y;a*0=z`, `;=;a=;"b"="`, `; n=(x`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, p := range parseParams(nil, value) {
			checkString(t, &p.Name)
			checkString(t, &p.Value)
		}
	})
}

// If FuzzTransfer fails, BINARY.SIZE and BINARY can differ, or a part decodes
// differently when it is read in other pieces.
func FuzzTransfer(f *testing.F) {
	f.Add([]byte("aGVsbG8=\r\nd29y bGQ"), uint8(1))
	f.Add([]byte("a=3D=\r\n b  \r\n=  \r\n=C3=zz \t\r\n= "), uint8(2))
	f.Fuzz(func(t *testing.T, text []byte, n uint8) {
		for _, encoding := range []string{"base64", "quoted-printable"} {
			whole, _ := newTransferDecoder(encoding)
			pieces, _ := newTransferDecoder(encoding)
			counter, _ := newTransferDecoder(encoding)
			want := whole.finish(whole.decode(nil, text))
			var got []byte
			var count int64
			for rest := text; len(rest) > 0; {
				k := min(int(n)+1, len(rest))
				got = pieces.decode(got, rest[:k])
				count += counter.count(rest[:k])
				rest = rest[k:]
			}
			got = pieces.finish(got)
			count += int64(len(counter.finish(nil)))
			if !bytes.Equal(got, want) || count != int64(len(want)) {
				t.Fatalf("%s of %q: %q in pieces, %q at once, counted %d", encoding, text, got, want, count)
			}
		}
	})
}

// If FuzzHTML fails, the text of a message depends on how it is read.
func FuzzHTML(f *testing.F) {
	f.Add([]byte("<p>a<b>b</b> &amp; &eacute;&nbsp;<!-- x --><style>y</style>z"), uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, n uint8) {
		var whole, pieces htmlText
		want := whole.finish(whole.write(nil, text))
		var got []byte
		for rest := text; len(rest) > 0; {
			k := min(int(n)+1, len(rest))
			got = pieces.write(got, rest[:k])
			rest = rest[k:]
		}
		if got = pieces.finish(got); !bytes.Equal(got, want) {
			t.Fatalf("%q in pieces, %q at once", got, want)
		}
	})
}

// If FuzzCharset fails, a text's charset can stop a search or a preview.
func FuzzCharset(f *testing.F) {
	for _, label := range []string{"utf-7", "iso-2022-jp", "gb18030", "utf-16", "hz-gb-2312", "big5", "x"} {
		f.Add(label, []byte("a+AOk-\x1b$B$3~{\xff\xfe\x00"))
	}
	f.Fuzz(func(t *testing.T, label string, text []byte) {
		b, err := io.ReadAll(charsetReader(label, bytes.NewReader(text)))
		if err != nil || !utf8.Valid(b) {
			t.Fatalf("%q as %q gives %q: %v", text, label, b, err)
		}
	})
}
