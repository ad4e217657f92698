package imapwire_test

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"tidemark/imap"
	"tidemark/imapwire"
)

func itoa(n int) string { return strconv.Itoa(n) }

// If this failed, messages would be stored that are not what was sent, or with the
// wrong flags and dates.
func TestAppend(t *testing.T) {
	first, second := strings.Repeat("Subject: x\r\n", 1000), "\r\n\x00\xff"
	input := "A1 APPEND saved-messages (\\Seen $a) \" 7-Feb-1994 22:43:04 -0800\" {" + itoa(len(first)) + "}\r\n" + first +
		" () ~{" + itoa(len(second)) + "+}\r\n" + second +
		` "17-Jul-1996 02:44:25 +0130" UTF8 (~{0+}` + "\r\n) {1+}\r\nx\r\nz NOOP\r\n"
	want := []imap.AppendItem{
		{Flags: []imap.Flag{imap.FlagSeen, "$a"}, Size: int64(len(first)), Sync: true},
		{Size: int64(len(second)), Binary: true},
		{Binary: true, UTF8: true},
		{Size: 1},
	}
	times := []string{"1994-02-07T22:43:04-08:00", "0001-01-01T00:00:00Z", "1996-07-17T02:44:25+01:30", "0001-01-01T00:00:00Z"}
	for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
		asked := 0
		d := imapwire.NewDecoder(wrap(strings.NewReader(input)), imapwire.LimitsAfterLogin(), func() error { asked++; return nil })
		_, cmd, err := d.ReadCommand()
		if c, ok := cmd.(*imap.Append); err != nil || !ok || c.Mailbox != "saved-messages" {
			t.Fatalf("got %#v, %v", cmd, err)
		}
		for i, body := range []string{first, second, "", "x"} {
			item, more, err := d.NextAppend()
			if err != nil || !more {
				t.Fatalf("message %d: %v, %v", i, more, err)
			}
			if got := item.Time.Format(time.RFC3339); got != times[i] {
				t.Errorf("message %d: time %s", i, got)
			}
			if item.Time = (time.Time{}); !reflect.DeepEqual(item, want[i]) {
				t.Errorf("message %d: got %+v", i, item)
			}
			if wantAsked := min(i, 1); asked != wantAsked {
				t.Errorf("message %d: asked %d times before it was accepted", i, asked)
			}
			checkMessage(t, d, body)
		}
		if _, more, err := d.NextAppend(); more || err != nil {
			t.Errorf("at the end: %v, %v", more, err)
		}
		wantInStep(t, "APPEND", d)
	}
}

func checkMessage(t *testing.T, d *imapwire.Decoder, want string) {
	t.Helper()
	r, err := d.AcceptLiteral()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != want {
		t.Errorf("got %.40q, %v", got, err)
	}
}

// If this failed, a refused or broken APPEND would leave its message to be read as
// commands.
func TestAppendRefused(t *testing.T) {
	const lines = "B LOGOUT\r\n"
	for _, test := range []struct {
		name, input string
		steps       string // n is NextAppend, a AcceptLiteral, r reading three octets, d DiscardAppend
		want        string // of the last step
	}{
		{"at once", "x {10+}\r\n" + lines + "\r\n", "d", ""},
		{"without a step", "x {10+}\r\n" + lines + "\r\n", "", ""},
		{"offered", "x {10+}\r\n" + lines + "\r\n", "nd", ""},
		{"offered and forgotten", "x {10+}\r\n" + lines + "\r\n", "n", ""},
		{"synchronising", "x {10}\r\n", "nd", ""},
		{"accepted", "x {10}\r\n" + lines + "\r\n", "nad", ""},
		{"half read", "x {10}\r\n" + lines + "\r\n", "nard", ""},
		{"half read, next", "x {10}\r\n" + lines + " {10+}\r\n" + lines + "\r\n", "narn", ""},
		{"half read, next synchronising", "x {10}\r\n" + lines + " {10}\r\n", "nard", ""},
		{"second", "x {3}\r\nabc {10+}\r\n" + lines + "\r\n", "nand", ""},
		{"no message", "x\r\n", "n", "BAD"},
		{"no message but space", "x \r\n", "n", "BAD"},
		{"not a literal", "x abc\r\n", "n", "BAD"},
		{"bad flags", "x (a {10+}\r\n" + lines + "\r\n", "n", "BAD"},
		{"bad date", "x \"32-Feb-1994 22:43:04 -0800\" {10+}\r\n" + lines + "\r\n", "n", "BAD"},
		{"bad time", "x \" 1-Feb-1994 24:43:04 -0800\" {10+}\r\n" + lines + "\r\n", "n", "BAD"},
		{"CATENATE", "x CATENATE (TEXT {10+}\r\n" + lines + ")\r\n", "n", "BAD"},
		{"UTF8 without literal8", "x UTF8 ({10+}\r\n" + lines + ")\r\n", "n", "BAD"},
		{"UTF8 not closed", "x UTF8 (~{10+}\r\n" + lines + "\r\n", "nan", "BAD"},
		{"no space", "x {3+}\r\nabc{10+}\r\n" + lines + "\r\n", "nan", "BAD"},
		{"rubbish after", "x {3+}\r\nabc x{10+}\r\n" + lines + "\r\n", "nan", "BAD"},
		{"rubbish after, refused", "x {3+}\r\nabc x{10+}\r\n" + lines + "\r\n", "nad", ""},
		{"line too long", "x {3+}\r\nabc" + strings.Repeat("x", 70_000) + "{10+}\r\n" + lines + "\r\n", "nan", "BAD"},
		{"called in wrong order", "x {3+}\r\nabc\r\n", "nn", "order"},
		{"accepted before offered", "x {3+}\r\nabc\r\n", "a", "order"},
		{"too large to discard", "x {99999999999+}\r\n", "nd", "BYE"},
	} {
		d := newDecoder("A1 APPEND " + test.input + "z NOOP\r\n")
		if _, _, err := d.ReadCommand(); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if got := appendSteps(d, test.steps); got != test.want {
			t.Errorf("%s: got %q", test.name, got)
		}
		if test.want != "BYE" {
			wantInStep(t, test.name, d)
		}
	}
}

// appendSteps returns how the last of the steps ended.
func appendSteps(d *imapwire.Decoder, steps string) string {
	var err error
	var r io.Reader
	for _, step := range steps {
		switch step {
		case 'n':
			_, _, err = d.NextAppend()
		case 'a':
			r, err = d.AcceptLiteral()
		case 'r':
			_, err = io.ReadFull(r, make([]byte, 3))
		case 'd':
			err = d.DiscardAppend()
		}
	}
	if se, ok := err.(*imapwire.SyntaxError); ok {
		return string(se.Status)
	}
	if err != nil {
		return "order"
	}
	return ""
}

// If this failed, a client that vanishes in the middle of a message would leave half of
// it behind as a whole one.
func TestAppendBreaksOff(t *testing.T) {
	d := newDecoder("A1 APPEND x {10+}\r\nabc")
	if _, _, err := d.ReadCommand(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.NextAppend(); err != nil {
		t.Fatal(err)
	}
	r, err := d.AcceptLiteral()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); string(got) != "abc" || err != io.ErrUnexpectedEOF {
		t.Errorf("got %q, %v", got, err)
	}
	if _, _, err := d.NextAppend(); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v", err)
	}
	if _, _, err := d.ReadCommand(); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v", err)
	}
}

// If this failed, a continuation request that could not be sent would be waited for.
func TestContinuationFails(t *testing.T) {
	failed := fmt.Errorf("connection reset")
	for _, input := range []string{"A1 LOGIN {3}\r\n", "A1 APPEND x {3}\r\n"} {
		d := imapwire.NewDecoder(strings.NewReader(input), imapwire.LimitsAfterLogin(), func() error { return failed })
		_, _, err := d.ReadCommand()
		if err == nil {
			if _, _, err = d.NextAppend(); err == nil {
				_, err = d.AcceptLiteral()
			}
		}
		if err != failed {
			t.Errorf("%q: got %v", input, err)
		}
	}
}
