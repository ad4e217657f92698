package corpus

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"mime/quotedprintable"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
)

// language is a language with the charset and transfer encoding that its mail often has.
type language struct {
	charset  string
	transfer string
	encoding encoding.Encoding // nil for UTF-8 and US-ASCII
	words    []string
}

var languages = []language{
	{"us-ascii", "7bit", nil, english},
	{"utf-8", "quoted-printable", nil, english},
	{"utf-8", "8bit", nil, german},
	{"iso-8859-1", "quoted-printable", charmap.ISO8859_1, french},
	{"koi8-r", "base64", charmap.KOI8R, russian},
	{"iso-2022-jp", "7bit", japanese.ISO2022JP, japaneseWords},
	{"us-ascii", "7bit", nil, english},
	{"utf-8", "base64", nil, german},
}

var (
	english = strings.Fields("the harbour meeting report on budget and tide tables for next week please find attached a " +
		"draft of our invoice project update with all numbers from last month thank you best regards question about")
	german = strings.Fields("die Rechnung für das Büro wäre schön grüße aus München über den Bericht nächste Woche " +
		"können wir das Angebot prüfen bitte danke viele Fragen zur Übersicht")
	french = strings.Fields("la réunion à été reportée voilà le résumé du contrat très bientôt merci de préciser " +
		"où déjà prévue avec le café et la forêt")
	russian = strings.Fields("отчёт за месяц встреча завтра спасибо большое " +
		"вопрос по проекту письмо и документы прошу проверить")
	japaneseWords = strings.Fields("会議 の 資料 を 送ります 来週 よろしく お願い します 請求書 確認 報告")

	firstNames = strings.Fields("Ann Ben Cleo Dan Eva Finn Gina Hugo Ida Jon Kira Leo Mia Nils Olga Paul Quinn Rosa Sam Tess")
	lastNames  = strings.Fields("Archer Baker Carter Dyer Fisher Mason Miller Potter Smith Weaver")
)

// writer builds one message.
type writer struct {
	buf   []byte
	start int
	r     *rand.Rand
	size  int // octets to aim at
	lang  language
}

func (m *writer) printf(format string, args ...any) { m.buf = fmt.Appendf(m.buf, format, args...) }

// left returns how many octets are missing, less what is still to come.
func (m *writer) left(reserve int) int {
	return max(m.size-(len(m.buf)-m.start)-reserve, 80)
}

// text writes a text part with about n octets on the wire.
func (m *writer) text(subtype string, n int) {
	m.printf("Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n", subtype, m.lang.charset, m.lang.transfer)
	if m.lang.transfer == "base64" {
		n = n * 3 / 4
	}
	var b strings.Builder
	if subtype == "html" {
		b.WriteString("<html><body><p style=\"margin:0\">")
	}
	column := 0
	for b.Len() < n {
		w := m.lang.words[m.r.IntN(len(m.lang.words))]
		b.WriteString(w)
		if column += len(w) + 1; column > 68 {
			column = 0
			b.WriteString("\r\n")
		} else {
			b.WriteByte(' ')
		}
	}
	if subtype == "html" {
		b.WriteString("</p></body></html>")
	}
	b.WriteString("\r\n")
	m.encoded(b.String())
}

func (m *writer) encoded(text string) {
	if m.lang.encoding != nil {
		// Words that the charset lacks do not occur in its list.
		text, _ = m.lang.encoding.NewEncoder().String(text)
	}
	switch m.lang.transfer {
	case "base64":
		m.base64([]byte(text))
	case "quoted-printable":
		var b strings.Builder
		w := quotedprintable.NewWriter(&b)
		w.Write([]byte(text)) // a strings.Builder does not fail
		w.Close()
		m.buf = append(m.buf, b.String()...)
	default:
		m.buf = append(m.buf, text...)
	}
}

func (m *writer) base64(data []byte) {
	for len(data) > 0 {
		n := min(len(data), 57) // 76 characters, the line of RFC 2045 §6.8
		m.buf = base64.StdEncoding.AppendEncode(m.buf, data[:n])
		m.buf = append(m.buf, "\r\n"...)
		data = data[n:]
	}
}

// alternative writes the same text as plain text and as HTML.
func (m *writer) alternative(n, i int) {
	m.printf("Content-Type: multipart/alternative; boundary=\"alt-%d\"\r\n\r\n--alt-%d\r\n", i, i)
	m.text("plain", n*2/5)
	m.printf("--alt-%d\r\n", i)
	m.text("html", n*3/5)
	m.printf("--alt-%d--\r\n", i)
}

// mixed writes a short text and attachments that fill the rest.
func (m *writer) mixed(i int) {
	m.printf("Content-Type: multipart/mixed; boundary=\"mix-%d\"\r\n\r\n--mix-%d\r\n", i, i)
	m.alternative(4000, i)
	for n := 1 + m.r.IntN(3); n > 0; n-- {
		m.printf("--mix-%d\r\nContent-Type: application/pdf; name=\"report-%d.pdf\"\r\nContent-Transfer-Encoding: base64\r\n", i, n)
		m.printf("Content-Disposition: attachment; filename=\"report-%d.pdf\"\r\n\r\n", n)
		data := make([]byte, m.left(100)/n*57/78)
		for k := range data {
			data[k] = byte(m.r.Uint32())
		}
		m.base64(data)
	}
	m.printf("--mix-%d--\r\n", i)
}
