package message

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// If this fails, SEARCH does not find what people see in their mail, or finds what is
// not there.
func TestMatchText(t *testing.T) {
	all := corpus(t)
	for _, c := range []struct {
		file, key     string
		body, headers bool
	}{
		{"plain.eml", "NOON", true, true},
		{"plain.eml", "noon?\r\n\r\nAnna", true, true},
		{"plain.eml", "lunch", false, true},
		{"plain.eml", "midnight", false, false},
		{"plain.eml", "", true, true},
		{"alternative.eml", "grüße AUS köln", true, true},
		{"alternative.eml", "umbrochen wird", true, true}, // across a soft line break
		{"alternative.eml", "color: red", true, true},     // in the source of the HTML
		{"alternative.eml", "JÜRGEN", false, true},
		{"alternative.eml", "content-language: de", false, true},
		{"alternative.eml", "old mail programs", false, false}, // the preamble is no text
		{"nested.eml", "inner TEXT", true, true},
		{"nested.eml", "subject: second", false, true},
		{"nested.eml", "AAECAwQF", false, false},
		{"latin1.eml", "café, s'il vous plaît", true, true},
		{"latin1.eml", "CAFE\u0301", true, true}, // decomposed
		{"latin1.eml", "crème", false, true},
		{"shift-jis.eml", "日本語のメール", true, true},
		{"iso-2022-jp.eml", "日本語のメール", true, true},
		{"koi8.eml", "ПРИВЕТ, МИР", true, true},
		{"gb2312.eml", "你好，世界", true, true},
		{"utf-7.eml", "Mom -☺-", true, true},
		{"rfc822-root.eml", "text", true, true},
		{"bounce.eml", "action: FAILED", true, true},
		{"bounce.eml", "subject: lost", true, true},
	} {
		msg := all[c.file]
		root := scanIn(msg, 0).Root
		n := NewNeedle(c.key)
		for headers, want := range map[bool]bool{false: c.body, true: c.headers} {
			got, err := n.MatchText(bytes.NewReader(msg), root, headers)
			if err != nil || got != want {
				t.Errorf("%s, %q, headers %v: got %v, %v", c.file, c.key, headers, got, err)
			}
		}
	}
}

// If this fails, a key is not found where two pieces of a long text meet.
func TestMatchTextAcrossPieces(t *testing.T) {
	for _, head := range []string{"", "Content-Type: text/html; charset=utf-8\r\n", "Content-Type: text/plain; charset=iso-8859-15\r\n"} {
		n := NewNeedle("nädle €")
		for pad := 32<<10 - 20; pad < 32<<10+4; pad++ {
			key := "nÄdle €"
			if strings.Contains(head, "15") {
				key = "n\xc4dle \xa4"
			}
			msg := []byte(head + "\r\n" + strings.Repeat("x", pad) + key + "x")
			if found, err := n.MatchText(bytes.NewReader(msg), scanIn(msg, 0).Root, false); !found || err != nil {
				t.Fatalf("%q, %d octets before it: %v %v", head, pad, found, err)
			}
		}
	}
}

// If this fails, a damaged message looks as if the key were not in it.
func TestMatchTextReportsErrors(t *testing.T) {
	msg := []byte("\r\ntext")
	root := scanIn(msg, 0).Root
	for _, headers := range []bool{false, true} {
		if _, err := NewNeedle("x").MatchText(badReader{}, root, headers); !errors.Is(err, errBad) {
			t.Errorf("got %v", err)
		}
	}
}

var errBad = errors.New("bad disk")

type badReader struct{}

func (badReader) ReadAt([]byte, int64) (int, error) { return 0, errBad }

// If this fails, SEARCH FROM, SUBJECT and HEADER give wrong answers.
func TestMatchHeader(t *testing.T) {
	const header = "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\r\nSubject: a\r\n b\r\nX-Empty:\r\nSubject: second\r\n\r\nSubject: body"
	for _, c := range []struct {
		field, key string
		want       bool
	}{
		{"from", "JÖRG", true},
		{"FROM", "joerg@EXAMPLE", true},
		{"from", "=?utf-8", false},
		{"subject", "a b", true},
		{"subject", "second", true},
		{"subject", "body", false},
		{"x-empty", "", true},
		{"x-empty", "x", false},
		{"to", "", false},
	} {
		if got := NewNeedle(c.key).MatchHeader([]byte(header), c.field); got != c.want {
			t.Errorf("%s %q: got %v", c.field, c.key, got)
		}
	}
}

// If this fails, people have to type letters exactly as the sender did.
func TestFold(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"abc", "ABC", true},
		{"é", "E\u0301", true},
		{"Ǆ", "dž", true},
		{"ﬁ", "FI", true},
		{"Σίσυφος", "ΣΊΣΥΦΟΣ", true},
		{"привет", "ПРИВЕТ", true},
		{"ａｂｃ", "abc", true},
		{"한", "\u1112\u1161\u11ab", true},
		{"caf\xe9", "CAFÉ", true},
		{"e", "é", false},
		{"ß", "s", false},
	} {
		if same := bytes.Equal(Fold(nil, c.a), Fold(nil, c.b)); same != c.same {
			t.Errorf("%q and %q: %v", c.a, c.b, same)
		}
	}
	if got := string(Fold([]byte("x"), "ab")); got != "xAB" {
		t.Errorf("got %q", got)
	}
}

// If this fails, whoever looks for an address as mail programs show it misses the fields
// that have it in another way.
func TestMatchAddresses(t *testing.T) {
	header := []byte("To: joe@example.org (Joe)\r\nTo: Team: Ann <ann@x>, bob @ y;\r\nTo: \"Doe, Jane\" <jane@z>\r\n\r\n")
	folded := AppendFolded(nil, header, "To")
	for key, want := range map[string]bool{
		"<joe@example.org>": true, "Joe <JOE@": true, "<oe@": false, "joe@example.org>, ": false,
		"Ann <ann@x>": true, "<bob@y>": true, "Doe, Jane <jane@z>": true, "Team <": false, "y><": false,
	} {
		if got := NewNeedle(key).MatchAddresses(folded); got != want {
			t.Errorf("%q: %v, want %v", key, got, want)
		}
	}
}
