package imapwire_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"tidemark/imap"
	"tidemark/imapwire"
)

// errDeadline stands for a read deadline that has passed.
var errDeadline = errors.New("deadline")

// script is a source that gives one piece for each Read; an empty piece is errDeadline.
type script struct{ pieces []string }

func (s *script) Read(p []byte) (int, error) {
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	piece := s.pieces[0]
	s.pieces = s.pieces[1:]
	if piece == "" {
		return 0, errDeadline
	}
	n := copy(p, piece)
	if n < len(piece) {
		s.pieces = append([]string{piece[n:]}, s.pieces...)
	}
	return n, nil
}

// If this failed, octets of a literal in a refused command would be run as a command
// (RFC 7888 §4).
func TestRefusedCommandTakesItsLiteralsAlong(t *testing.T) {
	for _, input := range []string{
		"A1 NONSENSE {9+}\r\nB1 LOGOUT\r\n",
		"A1 NONSENSE {11+}\r\nB1 LOGOUT\r\n {4+}\r\nx\r\ny {0+}\r\n\r\n",
		"A1 NONSENSE ~{9+}\r\nB1 LOGOUT\r\n",
		"A1 LOGIN a {9+}\r\nB1 LOGOUT \"\r\n",
		"A1 LOGIN \"a {9+}\r\nB1 LOGOUT\r\n",
		"A1 LOGIN a {1+}\r\n\x00 {9+}\r\nB1 LOGOUT\r\n",
		"A1 SELECT {200000+}\r\n" + strings.Repeat("B1 LOGOUT\r\n", 200000/11) + "123456789\r\n",
		"A1 " + strings.Repeat("x", 70000) + " {11+}\r\nB1 LOGOUT\r\n\r\n",
		"A1 LOGIN a b {9}\r\n", // not asked for, so it does not come
		"\r\n",
		"+ {9+}\r\nB1 LOGOUT\r\n",
		"A1 NOOP\x00\r\n",
	} {
		for _, wrap := range []func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader,
		} {
			src := wrap(strings.NewReader(input + "z NOOP\r\n"))
			d := imapwire.NewDecoder(src, imapwire.LimitsAfterLogin(), func() error {
				t.Errorf("%.40q: literal was asked for", input)
				return nil
			})
			if _, cmd, err := d.ReadCommand(); err == nil {
				t.Errorf("%.40q: got %v", input, cmd)
			}
			wantInStep(t, input[:min(40, len(input))], d)
		}
	}
}

// If this failed, a client that ends lines with a bare LF would hang the session.
func TestBareLF(t *testing.T) {
	d := newDecoder("A1 LOGIN {1+}\na {1}\nb\nz NOOP\n")
	if _, cmd, err := d.ReadCommand(); err != nil || *cmd.(*imap.Login) != (imap.Login{User: "a", Password: "b"}) {
		t.Errorf("got %v, %v", cmd, err)
	}
	wantInStep(t, "bare LF", d)
}

// If this failed, a deadline that passes while a command comes in slowly would make the
// server misread it.
func TestDeadlineLosesNothing(t *testing.T) {
	d := imapwire.NewDecoder(&script{[]string{"", "A1 NO", "", "OP\r", "", "\nA2 IDLE\r\nDO", "", "NE\r\nz NOOP\r\n"}},
		imapwire.LimitsAfterLogin(), func() error { return nil })
	for range 3 {
		if _, _, err := d.ReadCommand(); err != errDeadline {
			t.Fatalf("got %v", err)
		}
	}
	if tag, cmd, err := d.ReadCommand(); tag != "A1" || cmd != imap.Noop || err != nil {
		t.Fatalf("got %q %v, %v", tag, cmd, err)
	}
	if tag, cmd, err := d.ReadCommand(); tag != "A2" || cmd != imap.Idle || err != nil {
		t.Fatalf("got %q %v, %v", tag, cmd, err)
	}
	if err := d.ReadDone(); err != errDeadline {
		t.Fatalf("got %v", err)
	}
	if err := d.ReadDone(); err != nil {
		t.Fatal(err)
	}
	wantInStep(t, "deadline", d)
}

// If this failed, a stream that broke off inside a command would be read on from
// somewhere.
func TestBrokenStream(t *testing.T) {
	for _, input := range []string{"A1 LOGIN {5+}\r\nab", "A1 LOGIN {2+}\r\nab", "A1 LOGIN {2+}\r\nab c", "A1 FOO {5+}\r\nab", "A1 NOOP"} {
		d := newDecoder(input)
		for range 2 {
			if _, cmd, err := d.ReadCommand(); err != io.ErrUnexpectedEOF {
				t.Errorf("%q: got %v, %v", input, cmd, err)
			}
		}
	}
	d := imapwire.NewDecoder(&script{[]string{"A1 LOGIN {5+}\r\nab", "", "cde f\r\n"}}, imapwire.LimitsAfterLogin(), nil)
	for range 2 {
		if _, cmd, err := d.ReadCommand(); err != errDeadline {
			t.Errorf("got %v, %v", cmd, err)
		}
	}
	d = imapwire.NewDecoder(&script{[]string{"A1 " + strings.Repeat("x", 70000), "", " NOOP\r\n"}}, imapwire.LimitsAfterLogin(), nil)
	for range 2 {
		if _, cmd, err := d.ReadCommand(); err != errDeadline {
			t.Errorf("got %v, %v", cmd, err)
		}
	}
}

// If this failed, STARTTLS would not notice what was sent before the handshake
// (RFC 9051 §6.2.1).
func TestBuffered(t *testing.T) {
	d := newDecoder("A1 STARTTLS\r\nA2 NOOP\r\n")
	if _, _, err := d.ReadCommand(); err != nil {
		t.Fatal(err)
	}
	if got := d.Buffered(); got != len("A2 NOOP\r\n") {
		t.Errorf("got %d", got)
	}
	if tag, _, err := d.ReadCommand(); tag != "A2" || err != nil {
		t.Errorf("got %q, %v", tag, err)
	}
	if got := d.Buffered(); got != 0 {
		t.Errorf("at the end: got %d", got)
	}
}

// If this failed, one command could cost more memory or time than it may, or the limits
// would refuse what they allow.
func TestLimits(t *testing.T) {
	l := imapwire.LimitsAfterLogin()
	many := func(n int, last string) string {
		return "A1 ENABLE a" + strings.Repeat(" a", n-1) + last
	}
	literals := func(n, size int) string {
		one := " {" + itoa(size) + "+}\r\n" + strings.Repeat("x", size)
		return "A1 LIST \"\" (a" + strings.Repeat(one, n) + ")"
	}
	deep := func(n int, s string) string { return "A1 SEARCH " + strings.Repeat(s, n) + "SEEN" }
	for _, test := range []struct {
		name, line string
		answer     string // empty where the command is allowed
	}{
		{"line", many((l.Line-len("A1 ENABLE"))/2, ""), ""},
		{"line too long", many((l.Line-len("A1 ENABLE"))/2+1, ""), "A1 BAD [TOOBIG]"},
		{
			"lines too long together",
			"A1 LIST {1+}\r\nx (" + strings.Repeat("a ", 20000) + "{1+}\r\nx " + strings.Repeat("a ", 20000) + ")", "A1 BAD [TOOBIG]",
		},
		{"literal", literals(1, int(l.Literal)), ""},
		{"literal too large", literals(1, int(l.Literal)+1), "A1 NO [TOOBIG]"},
		{"literals", literals(l.Literals, 1), ""},
		{"too many literals", literals(l.Literals+1, 1), "A1 NO [TOOBIG]"},
		{"literals too large together", literals(11, 99_000), "A1 NO [TOOBIG]"},
		{"parentheses", deep(l.SearchDepth, "(") + strings.Repeat(")", l.SearchDepth), ""},
		{"too deep parentheses", deep(l.SearchDepth+1, "("), "A1 NO [LIMIT]"},
		{"bomb of parentheses", deep(60_000, "("), "A1 NO [LIMIT]"},
		{"too deep NOT", deep(l.SearchDepth+1, "NOT "), "A1 NO [LIMIT]"},
		{"too deep OR", deep(l.SearchDepth+1, "OR "), "A1 NO [LIMIT]"},
		{"search keys", "A1 SEARCH" + strings.Repeat(" 1", l.SearchKeys), ""},
		{"too many search keys", "A1 SEARCH" + strings.Repeat(" 1", l.SearchKeys+1), "A1 NO [LIMIT]"},
		{"tag", strings.Repeat("x", 255) + " NOOP", ""},
		{"tag too long", strings.Repeat("x", 256) + " NOOP", "* BAD "},
		{"no tag", strings.Repeat("+", 70_000), "* BAD [TOOBIG]"},
	} {
		d := newDecoder(test.line + "\r\nz NOOP\r\n")
		_, _, err := d.ReadCommand()
		answer := ""
		if se, ok := err.(*imapwire.SyntaxError); ok {
			answer = string(se.AppendAnswer(nil))
		} else if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if test.answer == "" && answer != "" || !strings.HasPrefix(answer, test.answer) {
			t.Errorf("%s: got %q, want %q", test.name, answer, test.answer)
		}
		wantInStep(t, test.name, d)
	}
}

// If this failed, a stranger could keep the server reading, or a literal announced as
// huge would be read as commands.
func TestTooMuchToDiscardIsFatal(t *testing.T) {
	for _, input := range []string{
		"A1 LOGIN {65537+}\r\n", "A1 LOGIN {99999999999999999999999+}\r\n", "A1 NOOP {9223372036854775807+}\r\n",
		"A1 " + strings.Repeat("x", 80_000), "A1 X" + strings.Repeat(" {30000+}\r\n"+strings.Repeat("x", 30_000), 3) + "\r\n",
	} {
		d := imapwire.NewDecoder(strings.NewReader(input+"z NOOP\r\nz NOOP\r\n"), imapwire.LimitsBeforeLogin(), nil)
		for range 3 {
			_, _, err := d.ReadCommand()
			se, ok := err.(*imapwire.SyntaxError)
			if !ok || !se.Fatal || !strings.HasPrefix(string(se.AppendAnswer(nil)), "* BYE [TOOBIG]") {
				t.Errorf("%.40q: got %v", input, err)
			}
		}
	}
}

// If this failed, the limits for strangers would stay after login.
func TestSetLimits(t *testing.T) {
	line := "A1 LOGIN " + strings.Repeat("x", 9000) + " y\r\n"
	d := imapwire.NewDecoder(strings.NewReader(line+line+"z NOOP\r\n"), imapwire.LimitsBeforeLogin(), nil)
	_, _, err := d.ReadCommand()
	if se, ok := err.(*imapwire.SyntaxError); !ok || se.Error() != "BAD line too long (at octet 0)" {
		t.Errorf("before: %v", err)
	}
	d.SetLimits(imapwire.LimitsAfterLogin())
	if _, _, err := d.ReadCommand(); err != nil {
		t.Errorf("after: %v", err)
	}
	wantInStep(t, "limits", d)
}

// If this failed, a browser led to the port could get an answer in which it is told
// what it sent (ALPACA), or an ordinary mistake would end the session.
func TestHTTPIsRecognised(t *testing.T) {
	for line, want := range map[string]imapwire.ErrorKind{
		"GET / HTTP/1.1":         imapwire.KindHTTP,
		"POST /a?LOGIN HTTP/1.0": imapwire.KindHTTP,
		"GET HTTP":               imapwire.KindUnknown,
		"a NOOP HTTP/1.1":        imapwire.KindSyntax,
	} {
		_, _, err := newDecoder(line + "\r\n").ReadCommand()
		if se, ok := err.(*imapwire.SyntaxError); !ok || se.Kind != want {
			t.Errorf("%s: got %#v", line, err)
		}
	}
}

// If this failed, logins would break off or go on with something that the client did
// not send.
func TestReadSASLLine(t *testing.T) {
	d := newDecoder("A1 AUTHENTICATE X\r\n" +
		"dGVzdAB0ZXN0AHRlc3Q=\r\n\r\n*\r\ndGV=\r\nab cd\r\n" + strings.Repeat("A", 64<<10) + "\r\n" + strings.Repeat("A", 64<<10+4) + "\r\nz NOOP\r\n")
	if _, _, err := d.ReadCommand(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"test\x00test\x00test", "", "error A1 5", "error A1 0", "error A1 0", strings.Repeat("\x00", 48<<10), "error A1 3",
	} {
		got, err := d.ReadSASLLine()
		text := string(got)
		if se, ok := err.(*imapwire.SyntaxError); ok {
			text = "error " + se.Tag + " " + itoa(int(se.Kind))
		}
		if text != want {
			t.Errorf("line %d: got %.40q, want %.40q, %v", i, text, want, err)
		}
	}
	wantInStep(t, "SASL", d)
}

// If this failed, IDLE would not end, or end with a tag of its own.
func TestReadDone(t *testing.T) {
	d := newDecoder("A1 IDLE\r\ndone\r\nA2 IDLE\r\nA3 NOOP {3+}\r\nabc\r\nz NOOP\r\n")
	for _, want := range []string{"", "A2 BAD DONE expected\r\n"} {
		if _, _, err := d.ReadCommand(); err != nil {
			t.Fatal(err)
		}
		got := ""
		if se, ok := d.ReadDone().(*imapwire.SyntaxError); ok {
			got = string(se.AppendAnswer(nil))
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	wantInStep(t, "DONE", d)
}
