package message

import (
	"bytes"
	"io"
	"strings"
	"testing"

	mailcorpus "tidemark/bench/corpus"
)

// matchSlowly is MatchText as its comment says it: each text is decoded whole, an octet at
// a time where that makes a difference, folded whole, and then looked at.
func matchSlowly(t *testing.T, msg []byte, p *Part, key string, headers bool) bool {
	t.Helper()
	key = foldSlowly(key)
	if headers {
		for header := msg[p.Header.Offset:p.Header.End()]; ; {
			f, rest, ok := nextField(header)
			if !ok {
				break
			}
			if strings.Contains(foldSlowly(DecodeHeader(f.raw)), key) {
				return true
			}
			header = rest
		}
	}
	for _, c := range p.Parts {
		if matchSlowly(t, msg, c, key, headers) {
			return true
		}
	}
	if p.Message != nil {
		return matchSlowly(t, msg, p.Message, key, headers)
	}
	if p.IsMultipart() || p.Type != "text" && p.Type != "message" {
		return false
	}
	for _, text := range textsSlowly(t, msg[p.Body.Offset:p.Body.End()], p) {
		if strings.Contains(foldSlowly(text), key) {
			return true
		}
	}
	return false
}

// textsSlowly returns the text of a leaf, and of HTML its source and its text.
func textsSlowly(t *testing.T, body []byte, p *Part) []string {
	t.Helper()
	transfer, ok := newTransferDecoder(p.Encoding)
	if !ok {
		return nil
	}
	if transfer != nil {
		var decoded []byte
		for i := range body {
			decoded = transfer.decode(decoded, body[i:i+1])
		}
		body = transfer.finish(decoded)
	}
	if lookupCharset(p.Charset) != nil {
		var err error
		if body, err = io.ReadAll(charsetReader(p.Charset, bytes.NewReader(body))); err != nil {
			t.Fatal(err)
		}
	}
	texts := []string{string(body)}
	if p.Subtype == "html" {
		var markup htmlText
		var text []byte
		for i := range body {
			text = markup.write(text, body[i:i+1])
		}
		texts = append(texts, string(markup.finish(text)))
	}
	return texts
}

func checkMatch(t *testing.T, msg []byte, key string) {
	t.Helper()
	root := scanIn(msg, 0).Root
	for _, headers := range []bool{false, true} {
		want := key == "" || matchSlowly(t, msg, root, key, headers)
		got, err := NewNeedle(key).MatchText(bytes.NewReader(msg), root, headers)
		if got != want || err != nil {
			t.Fatalf("%q, headers %v: got %v, want %v, %v; in\n%.2000q", key, headers, got, want, err, msg)
		}
	}
}

// If this fails, a search that goes fast through mail finds something else than one that
// takes its time.
func TestMatchIsExact(t *testing.T) {
	keys := []string{
		"harbour", "zzqxjkvw", "Grüße AUS münchen", "réunion", "отчёт за месяц", "資料", "FORET", "margin:0",
		"e", "for next\r\nweek", "Re: ", "quinn.mason", "=", "</p>", "buro", "ш", "\xe9",
	}
	g := mailcorpus.Generator{Seed: 7, Limit: 8 << 10}
	for i := range 60 {
		msg := g.Append(nil, i)
		for k := range 5 {
			checkMatch(t, msg, keys[(i*5+k)%len(keys)])
		}
	}
	for _, msg := range corpus(t) {
		for _, key := range keys {
			checkMatch(t, msg, key)
		}
	}
}

// If FuzzMatch fails, there is a message in which a search finds what is not there, or does
// not find what is.
func FuzzMatch(f *testing.F) {
	for _, msg := range corpus(f) {
		f.Add(msg, "Grüße aus", uint16(len(msg)/2))
	}
	for _, head := range []string{
		"Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable",
		"Content-Type: text/plain; charset=koi8-r", "Content-Type: text/html", "Content-Transfer-Encoding: base64",
		"Content-Type: text/plain; charset=iso-2022-jp", "Content-Type: text/html; charset=utf-7",
	} {
		f.Add([]byte(head+"\r\n\r\n<p>a b  &eacute;=E9\xe9\xc3\xa9 \x1b$BF|K\\\x1b(B +AOk- 4pyT\r\n"), "É", uint16(90))
	}
	f.Fuzz(func(t *testing.T, msg []byte, key string, at uint16) {
		checkMatch(t, msg, key)
		// What stands in the message is more often found.
		rest := msg[min(int(at), len(msg)):]
		checkMatch(t, msg, string(rest[:min(len(rest), 6)]))
	})
}
