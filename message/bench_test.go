package message

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	mailcorpus "tidemark/bench/corpus"
)

// typicalMessage returns a message of about 24 KB: text, the same as HTML, and an
// image.
func typicalMessage() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("the tide comes in record by record and nobody waits for its foam grüße morgen")
	var b bytes.Buffer
	b.WriteString("Return-Path: <anna@example.org>\r\n")
	for i := range 4 {
		fmt.Fprintf(&b, "Received: from mx%d.example.org (mx%d.example.org [192.0.2.%d])\r\n"+
			"\tby mail.example.com with ESMTPS id 4XyZ%d\r\n\tfor <bo@example.com>; Tue, 3 Mar 2020 11:30:0%d +0100 (CET)\r\n", i, i, i, i, i)
	}
	b.WriteString("From: =?utf-8?q?Anna_B=C3=A9rg?= <anna@example.org>\r\nTo: Bo Lin <bo@example.com>, \"Carl, D.\" <carl@example.com>\r\n" +
		"Cc: team@example.com\r\nSubject: Re: [list] =?utf-8?q?Gr=C3=BC=C3=9Fe?= from the sea\r\nDate: Tue, 3 Mar 2020 11:30:00 +0100\r\n" +
		"Message-ID: <5e5e3a5d.1c69fb81@example.org>\r\nIn-Reply-To: <1@example.com>\r\nReferences: <0@example.com> <1@example.com>\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"000000000000a1b2c3\"\r\n\r\n" +
		"--000000000000a1b2c3\r\nContent-Type: multipart/alternative; boundary=\"000000000000d4e5f6\"\r\n\r\n" +
		"--000000000000d4e5f6\r\nContent-Type: text/plain; charset=\"UTF-8\"\r\n\r\n")
	text := func(n int, end string) {
		for range n {
			for range 11 {
				b.WriteString(words[r.IntN(len(words))] + " ")
			}
			b.WriteString(end + "\r\n")
		}
	}
	text(40, "")
	b.WriteString("--000000000000d4e5f6\r\nContent-Type: text/html; charset=\"UTF-8\"\r\n" +
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n<div dir=3D\"ltr\">")
	text(90, "<br>=")
	b.WriteString("\r\n--000000000000d4e5f6--\r\n--000000000000a1b2c3\r\nContent-Type: image/png; name=\"x.png\"\r\n" +
		"Content-Disposition: attachment; filename=\"x.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	image := make([]byte, 9000)
	for i := range image {
		image[i] = byte(r.Uint32())
	}
	for s := base64.StdEncoding.EncodeToString(image); s != ""; {
		n := min(76, len(s))
		b.WriteString(s[:n] + "\r\n")
		s = s[n:]
	}
	b.WriteString("--000000000000a1b2c3--\r\n")
	return b.Bytes()
}

func BenchmarkScan(b *testing.B) {
	msg := typicalMessage()
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		s := NewScanner()
		s.Write(msg)
		s.Finish()
	}
}

func BenchmarkEnvelope(b *testing.B) {
	msg := typicalMessage()
	header := msg[:bytes.Index(msg, []byte("\r\n\r\n"))+4]
	b.SetBytes(int64(len(header)))
	b.ReportAllocs()
	for b.Loop() {
		parseEnvelope(header)
	}
}

func BenchmarkMatchText(b *testing.B) {
	msg := typicalMessage()
	root := scanIn(msg, 0).Root
	n := NewNeedle("not in there")
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if found, err := n.MatchText(bytes.NewReader(msg), root, true); found || err != nil {
			b.Fatal(found, err)
		}
	}
}

// BenchmarkMatchCorpus looks for a word that is nowhere in mail of real sizes and several
// languages.
func BenchmarkMatchCorpus(b *testing.B) {
	msgs := mailcorpus.Generator{Seed: 1}.Messages(500)
	roots := make([]*Part, len(msgs))
	var size int64
	for i, msg := range msgs {
		roots[i] = scanIn(msg, 0).Root
		size += int64(len(msg))
	}
	n := NewNeedle("not in there")
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for i, msg := range msgs {
			if found, err := n.MatchText(bytes.NewReader(msg), roots[i], true); found || err != nil {
				b.Fatal(found, err)
			}
		}
	}
}

func BenchmarkFilterHeader(b *testing.B) {
	msg := typicalMessage()
	header := msg[:bytes.Index(msg, []byte("\r\n\r\n"))+4]
	fields := []string{"From", "To", "Subject", "Date", "Message-ID"}
	var dst []byte
	b.SetBytes(int64(len(header)))
	b.ReportAllocs()
	for b.Loop() {
		dst = FilterHeader(dst[:0], header, fields, false)
	}
}
