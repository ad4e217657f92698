package mbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"tidemark/imap"
)

// read returns the messages of an mbox with their content.
func read(t testing.TB, file string) (all []Message, texts []string) {
	t.Helper()
	for m, err := range NewReader(strings.NewReader(file), int64(len(file))).Messages() {
		if err != nil {
			t.Fatal(err)
		}
		r, err := m.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(b)) != m.Size {
			t.Errorf("Size is %d, content has %d octets", m.Size, len(b))
		}
		all = append(all, m)
		texts = append(texts, string(b))
	}
	return all, texts
}

const from = "From a@b Thu Nov 12 10:00:00 2026\n"

// If this failed, mail in one of the dialects would be cut in the wrong places or
// changed.
func TestRead(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		want       []string
	}{
		{"two messages", from + "A: b\n\nc\n\n" + from + "D: e\n\nf\n\n", []string{"A: b\r\n\r\nc\r\n", "D: e\r\n\r\nf\r\n"}},
		{"CR LF line ends", strings.ReplaceAll(from+"A: b\n\nc\n\n"+from+"D: e\n\nf\n", "\n", "\r\n"), []string{"A: b\r\n\r\nc\r\n", "D: e\r\n\r\nf\r\n"}},
		{"no empty line at the end", from + "A: b\n\nc\n" + from + "D: e\n\nf", []string{"A: b\r\n\r\nc\r\n", "D: e\r\n\r\nf"}},
		{"empty lines stay", from + "A: b\n\n\n\nc\n\n\n\n", []string{"A: b\r\n\r\n\r\n\r\nc\r\n\r\n\r\n"}},
		{"only a header", from + "A: b\n\n" + from + "D: e\n\n\n", []string{"A: b\r\n", "D: e\r\n\r\n"}},
		{"quoted", from + "A: b\n\n>From x\n>>From y\n> From z\nFrom here on\n\n",
			[]string{"A: b\r\n\r\nFrom x\r\n>From y\r\n> From z\r\nFrom here on\r\n"}},
		{"not quoted, with a length", from + "A: b\nContent-Length: 43\n\n" + from + "still one\n\n" + from + "D: e\n\n\n",
			[]string{"A: b\r\n\r\n" + crlf(from) + "still one\r\n", "D: e\r\n\r\n"}},
		{"a body that begins with an empty line, with a length", from + "A: b\nContent-Length: 37\n\n\n" + from + "x\n" + from + "D: e\n\n\n",
			[]string{"A: b\r\n\r\n\r\n" + crlf(from) + "x\r\n", "D: e\r\n\r\n"}},
		{"a wrong length", from + "A: b\nContent-Length: 4\n\nc\n\n" + from + "D: e\nContent-Length: 9999\n\n\n",
			[]string{"A: b\r\n\r\nc\r\n", "D: e\r\n\r\n"}},
		{"own fields", from + "A: b\nStatus: RO\nX-Keywords: a\n b\nC: d\nX-UID: 5\n\nStatus: x\n", []string{"A: b\r\nC: d\r\n\r\nStatus: x\r\n"}},
		{"internal data", from + "X-IMAP: 1 2\nSubject: DON'T DELETE\n\nx\n\n" + from + "A: b\n\n\n", []string{"A: b\r\n\r\n"}},
		{"empty lines first", "\n\n" + from + "A: b\n\n\n", []string{"A: b\r\n\r\n"}},
		{"empty", "", nil},
		{"NUL and 8 bit", from + "A: \x00\xff\n\n\n", []string{"A: \x00\xff\r\n\r\n"}},
		{"a long line", from + "A: b\n\n" + strings.Repeat("x", 3*pieceSize) + "\nFrom\n\n",
			[]string{"A: b\r\n\r\n" + strings.Repeat("x", 3*pieceSize) + "\r\nFrom\r\n"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, got := read(t, tc.file); !slices.Equal(got, tc.want) {
				t.Errorf("got %.300q, want %.300q", got, tc.want)
			}
		})
	}
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// If this failed, any file would be taken for mail.
func TestNotAnMbox(t *testing.T) {
	for _, file := range []string{"Subject: x\n\n", "From me\n\n", "\x00\x01"} {
		var got error
		for _, err := range NewReader(strings.NewReader(file), int64(len(file))).Messages() {
			got = err
		}
		if !errors.Is(got, ErrFormat) {
			t.Errorf("%q: %v", file, got)
		}
	}
}

// If this failed, dates of arrival would be lost.
func TestFromLine(t *testing.T) {
	for line, want := range map[string]string{
		"From a@b Thu Nov 12 10:00:01 2026":          "2026-11-12T10:00:01Z",
		"From - Thu Nov  2 10:00:01 2026\r":          "2026-11-02T10:00:01Z",
		"From a b c Thu Nov 12 10:00 2026":           "2026-11-12T10:00:00Z",
		"From 17@xxx Thu Nov 12 10:00:01 +0100 2026": "2026-11-12T09:00:01Z",
		"From a@b Thu Nov 12 10:00:01 2026 -0230":    "2026-11-12T12:30:01Z",
		"From a@b Thu Nov 12 10:00:01 CET 2026":      "2026-11-12T10:00:01Z",
	} {
		got, ok := parseFrom([]byte(line + "\n"))
		if !ok || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v", line, got, ok)
		}
	}
	for _, line := range []string{
		"From here to there", "From ", "From a@b Thu Nov 32 10:00:01 2026",
		"from a@b Thu Nov 12 10:00:01 2026", "From the Sun one two 3:4 five",
	} {
		if got, ok := parseFrom([]byte(line)); ok {
			t.Errorf("%s was read as %v", line, got)
		}
	}
}

// If this failed, what people marked in Thunderbird, mutt or Dovecot would be lost.
func TestFlags(t *testing.T) {
	for header, want := range map[string][]imap.Flag{
		"":                                    nil,
		"Status: RO\n":                        {imap.FlagSeen},
		"Status: O\nX-Status: AFTD\n":         {imap.FlagAnswered, imap.FlagFlagged, imap.FlagDraft, imap.FlagDeleted},
		"X-Keywords: $Junk  work a(b\n":       {"$Junk", "work"},
		"X-Mozilla-Status: 1005\n":            {imap.FlagSeen, imap.FlagFlagged, "$Forwarded"},
		"X-Mozilla-Keys: $label1 work   \n":   {"$label1", "work"},
		"status: R\nX-Mozilla-Status: 0001\n": {imap.FlagSeen},
	} {
		all, _ := read(t, from+"A: b\n"+header+"\nX-Status: F\n")
		if len(all) != 1 || !slices.Equal(all[0].Flags, want) {
			t.Errorf("%q: %+v", header, all)
		}
	}
}

// If this failed, a change of flags at the source would make a message a new one.
func TestSumWithoutFlags(t *testing.T) {
	a, _ := read(t, from+"A: b\nStatus: O\n\nc\n")
	b, _ := read(t, from+"Status: RO\nA: b\nX-Status: F\n\nc\n")
	c, _ := read(t, from+"A: b\n\nd\n")
	if a[0].Sum != b[0].Sum || a[0].Sum == c[0].Sum {
		t.Error("sums do not follow the content")
	}
}

var roundTrips = []string{
	"A: b\r\n\r\nc\r\n", "A: b\r\n\r\n", "A: b\r\n", "\r\nbody\r\n", "A: b\r\n\r\nFrom x\r\n>From y\r\n" + crlf(from), "A: b\r\n\r\n\r\n\r\n",
	"From: x\r\nA: b\r\n c\r\n\r\n8 bit \xff\r\n",
	"A: " + strings.Repeat("x", 2*pieceSize) + "\r\n\r\n" + strings.Repeat("y", pieceSize-1) + "\r\n", "\r\n",
}

// If this failed, a message would come back from an mbox other than it went in.
func TestRoundTrip(t *testing.T) {
	flags := []imap.Flag{imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDraft, imap.FlagDeleted, "$Junk", "work"}
	var file bytes.Buffer
	w := NewWriter(&file)
	date := time.Date(2021, 2, 3, 4, 5, 6, 0, time.UTC)
	for i, text := range roundTrips {
		if err := w.Add(flags[:i%(len(flags)+1)], date.Add(time.Duration(i)*time.Hour), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(file.String(), "\r") {
		t.Error("the file has a CR")
	}
	all, texts := read(t, file.String())
	if len(all) != len(roundTrips) {
		t.Fatalf("%d messages, want %d", len(all), len(roundTrips))
	}
	for i, m := range all {
		if texts[i] != roundTrips[i] {
			t.Errorf("%.60q became %.60q", roundTrips[i], texts[i])
		}
		if !slices.Equal(m.Flags, flags[:i%(len(flags)+1)]) || !m.Date.Equal(date.Add(time.Duration(i)*time.Hour)) {
			t.Errorf("%d: %q %v", i, m.Flags, m.Date)
		}
	}
}

// If this failed, a sender could set flags, by fields that are not the file's.
func TestForeignStatus(t *testing.T) {
	var file bytes.Buffer
	w := NewWriter(&file)
	if err := w.Add(nil, time.Unix(0, 0), strings.NewReader("X-Status: D\r\nA: b\r\nX-Keywords: x\r\n y\r\n\r\nc\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\nA: b\nStatus: O\n\nc\n\n"; file.String() != want {
		t.Errorf("got %q, want %q", file.String(), want)
	}
}

// largeMbox is a file that is made while it is read.
type largeMbox struct{ size int64 }

const largeMessage = 1 << 20

// ReadAt gives messages of largeMessage octets without end.
func (l largeMbox) ReadAt(p []byte, off int64) (int, error) {
	head := []byte(from + "A: b\n\n")
	for i := range p {
		at := (off + int64(i)) % largeMessage
		switch {
		case off+int64(i) >= l.size:
			return i, io.EOF
		case at < int64(len(head)):
			p[i] = head[at]
		case at%80 == 79 || at == largeMessage-1:
			p[i] = '\n'
		default:
			p[i] = 'x'
		}
	}
	return len(p), nil
}

// If this failed, memory would grow with the file.
func TestLargeFile(t *testing.T) {
	const size = 16 * largeMessage
	r := NewReader(largeMbox{size}, size)
	n := 0
	allocated := testing.AllocsPerRun(1, func() {
		n = 0
		for _, err := range r.Messages() {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
	})
	if n != size/largeMessage {
		t.Errorf("%d messages", n)
	}
	if allocated > 200*float64(n) {
		t.Errorf("%.0f allocations for %d messages", allocated, n)
	}
}

// If this failed, a file from anywhere could crash us, or be read in two ways.
func FuzzRead(f *testing.F) {
	for _, s := range roundTrips[:7] {
		f.Add(from + s)
	}
	f.Add(from + "A: b\nContent-Length: 5\n\n" + from + "x\n")
	f.Fuzz(func(t *testing.T, file string) {
		var out bytes.Buffer
		w := NewWriter(&out)
		var sums []string
		for m, err := range NewReader(strings.NewReader(file), int64(len(file))).Messages() {
			if err != nil {
				return
			}
			r, _ := m.Open()
			text, err := io.ReadAll(r)
			if err != nil || int64(len(text)) != m.Size {
				t.Fatalf("%d octets, Size %d, %v", len(text), m.Size, err)
			}
			if bytes.HasSuffix(text, []byte("\r\n")) && !bytes.Contains(text, []byte("\r\r")) {
				if m.Date.Year() < 1 || m.Date.Year() > 9999 {
					return
				}
				if err := w.Add(m.Flags, m.Date, bytes.NewReader(text)); err != nil {
					t.Fatal(err)
				}
				sums = append(sums, fmt.Sprintf("%x", m.Sum))
			}
		}
		w.Flush()
		var again []string
		for m, err := range NewReader(bytes.NewReader(out.Bytes()), int64(out.Len())).Messages() {
			if err != nil {
				t.Fatal(err)
			}
			again = append(again, fmt.Sprintf("%x", m.Sum))
		}
		if !slices.Equal(sums, again) {
			t.Fatalf("%q was written as %q: %v, then %v", file, out.String(), sums, again)
		}
	})
}
