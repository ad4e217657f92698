package message

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// madePart is a part of a message that was written together with what must be found
// in it. It shares nothing with the scanner: its extents are where it was written.
type madePart struct {
	typ     string
	header  Extent
	body    Extent
	parts   []*madePart
	message *madePart
}

// maker writes a random message and notes where it writes what.
type maker struct {
	t   *rapid.T
	out strings.Builder
	eol string
	ids int
}

func (m *maker) at() int64 { return int64(m.out.Len()) }

func (m *maker) line(s string) { m.out.WriteString(s + m.eol) }

// text writes lines that are no delimiters, though some look like it. The last has
// no end: that belongs to the delimiter that follows.
func (m *maker) text() {
	lines := rapid.SliceOfN(rapid.SampledFrom([]string{
		"", " ", "a", "--", "-- ", "--none", "-", "Content-Type: multipart/mixed; boundary=z",
		strings.Repeat("long ", 2000), "=20", "caf\xe9", "\rb", "a\rb",
	}), 0, 6).Draw(m.t, "lines")
	m.out.WriteString(strings.Join(lines, m.eol))
}

// entity writes a header and a body. The kinds of body become simpler with depth.
func (m *maker) entity(depth int) *madePart {
	p := &madePart{typ: "text"}
	p.header.Offset = m.at()
	for range rapid.IntRange(0, 2).Draw(m.t, "fields") {
		m.line("X-Field: value" + m.eol + "\tfolded --b1")
	}
	kind := 0
	if depth < 4 {
		kind = rapid.IntRange(0, 3).Draw(m.t, "kind")
	}
	m.ids++
	// Boundaries begin with each other on purpose: b1, b11, …
	boundary := fmt.Sprintf("b%d", m.ids)
	switch kind {
	case 2:
		p.typ = "multipart"
		m.line("Content-Type: multipart/mixed;" + m.eol + " boundary=\"" + boundary + "\"")
	case 3:
		p.typ = "message"
		m.line("CONTENT-TYPE: Message/RFC822")
	}
	m.line("")
	p.header.Length = m.at() - p.header.Offset
	p.body.Offset = m.at()
	switch kind {
	case 2:
		m.multipart(p, boundary, depth)
	case 3:
		p.message = m.entity(depth + 1)
	default:
		m.text()
	}
	p.body.Length = m.at() - p.body.Offset
	return p
}

func (m *maker) multipart(p *madePart, boundary string, depth int) {
	if rapid.Bool().Draw(m.t, "preamble") {
		m.line("preamble")
	}
	for range rapid.IntRange(1, 3).Draw(m.t, "parts") {
		if m.at() > p.body.Offset && len(p.parts) > 0 {
			m.line("") // the line end that belongs to the delimiter
		}
		m.line("--" + boundary + rapid.SampledFrom([]string{"", " ", "\t "}).Draw(m.t, "padding"))
		p.parts = append(p.parts, m.entity(depth+1))
	}
	m.line("")
	m.out.WriteString("--" + boundary + "--")
	if rapid.Bool().Draw(m.t, "epilogue") {
		m.out.WriteString(m.eol + "epilogue")
	}
}

// compare fails where p is not what was made.
func (w *madePart) compare(t *rapid.T, p *Part) {
	if p.Type != w.typ || p.Header != w.header || p.Body != w.body || len(p.Parts) != len(w.parts) {
		t.Fatalf("got %s %v %v with %d parts\nwant %s %v %v with %d", p.Type, p.Header, p.Body, len(p.Parts),
			w.typ, w.header, w.body, len(w.parts))
	}
	for i, c := range w.parts {
		c.compare(t, p.Parts[i])
	}
	if w.message != nil {
		if p.Message == nil {
			t.Fatal("the nested message was not found")
		}
		w.message.compare(t, p.Message)
	}
}

// If this fails, clients are given the wrong octets for the parts of a message.
func TestScanFindsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &maker{t: t, eol: rapid.SampledFrom([]string{"\r\n", "\n"}).Draw(t, "eol")}
		want := m.entity(0)
		msg := []byte(m.out.String())
		s := NewScanner()
		for rest := msg; len(rest) > 0; {
			n := min(rapid.IntRange(1, 5000).Draw(t, "write"), len(rest))
			s.Write(rest[:n])
			rest = rest[n:]
		}
		got := s.Finish()
		want.compare(t, got.Root)
		if !reflect.DeepEqual(got, scanIn(msg, 0)) {
			t.Fatal("the result depends on the writes")
		}
	})
}
