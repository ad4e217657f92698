package demo

import (
	"encoding/base64"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"

	"golang.org/x/text/encoding"
)

// The functions here return MIME entities: header lines, an empty line and the
// content, with LF as the end of lines.

// plain is a text in UTF-8 that needs no encoding beyond 8 bits.
func plain(text string) string {
	return "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + text
}

// html is a page in quoted-printable.
func html(text string) string {
	return "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n" + quoted([]byte(text))
}

// inCharset is a text in a charset of the time before UTF-8.
func inCharset(name string, enc encoding.Encoding, cte, text string) string {
	raw, err := enc.NewEncoder().Bytes([]byte(text))
	if err != nil {
		panic(fmt.Sprintf("demo: text is not in %s: %v", name, err))
	}
	head := fmt.Sprintf("Content-Type: text/plain; charset=%s\nContent-Transfer-Encoding: %s\n\n", name, cte)
	switch cte {
	case "base64":
		return head + base64Lines(raw)
	case "quoted-printable":
		return head + quoted(raw)
	}
	return head + string(raw)
}

// attachment is a file.
func attachment(contentType, name string, content []byte) string {
	return fmt.Sprintf("Content-Type: %s; name=%q\nContent-Disposition: attachment; filename=%q\n"+
		"Content-Transfer-Encoding: base64\n\n%s",
		contentType, name, name, base64Lines(content))
}

// multipart puts entities together. boundary must not occur in them.
func multipart(subtype, boundary string, parts ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Content-Type: multipart/%s; boundary=%q\n\n", subtype, boundary)
	for _, p := range parts {
		fmt.Fprintf(&b, "--%s\n%s\n", boundary, p)
	}
	fmt.Fprintf(&b, "--%s--\n", boundary)
	return b.String()
}

func base64Lines(raw []byte) string {
	const width = 76
	text := base64.StdEncoding.EncodeToString(raw)
	var b strings.Builder
	for len(text) > width {
		b.WriteString(text[:width] + "\n")
		text = text[width:]
	}
	return b.String() + text + "\n"
}

func quoted(raw []byte) string {
	var b strings.Builder
	w := quotedprintable.NewWriter(&b)
	// A strings.Builder takes everything.
	_, _ = w.Write(raw)
	_ = w.Close()
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}

func encodeWords(s string) string {
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", s), "?= =?", "?=\n =?")
}

// encodedIn is an encoded word (RFC 2047) in a charset.
func encodedIn(name string, enc encoding.Encoding, text string) string {
	raw, err := enc.NewEncoder().Bytes([]byte(text))
	if err != nil {
		panic(fmt.Sprintf("demo: text is not in %s: %v", name, err))
	}
	return fmt.Sprintf("=?%s?B?%s?=", name, base64.StdEncoding.EncodeToString(raw))
}
