package message

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// hostileUnits are the beginnings of things that are never finished, which make a
// careless parser search to the end for each of them.
var hostileUnits = []string{
	"(", "<", "\"", "[", "<a,", "a@", "(a\\", "<\"", "a b ", ":", "<@a:", "[(", "\"(<", "a@b c ", "g:;", "\\",
	"=?", "=?a?q?", "=?a?b?x?= ", "=?a?q?=", "?=", ";a*0=", ";a=\"", ";a=(", ";", "a,", "(a)", "<a@b>", "<@", "\r\n ", ",",
}

// If this fails, a header of some kilobytes can keep a processor busy for hours. The test
// measures no time: quadratic work on these does not end before go test gives up.
func TestHeadersAreLinear(t *testing.T) {
	for _, unit := range hostileUnits {
		value := bytes.Repeat([]byte(unit), (256<<10)/len(unit))
		ParseAddresses(nil, value)
		parseParams(nil, value)
		DecodeHeader(value)
		ParseReferences(value)
		ParseDate(value)
		parseLanguages(value)
		BaseSubject(string(value))
	}
}

// If this fails, a message made for it takes time by its square. See above.
func TestScanIsLinear(t *testing.T) {
	const n = 1 << 20
	multipart := "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	for _, c := range []struct{ head, unit string }{
		{"", "\n"},
		{"", "a:\r\n"},
		{"A: ", "\r\n "},
		{"\r\n", "-"},
		{"\r\n", "\r"},
		{multipart, "--b\r\n"},
		{multipart, "--b\r\n\r\n"},
		{multipart, "--b"},
		{multipart + "--b\r\n", multipart + "--b\r\n"},
		{"", "Content-Type: message/rfc822\r\n\r\n"},
		{"", "Content-Type: multipart/mixed; boundary=" + strings.Repeat("b", 900) + "\r\n\r\n--" + strings.Repeat("b", 900) + "\r\n"},
		{"Content-Transfer-Encoding: quoted-printable\r\n\r\n", " "},
		{"Content-Transfer-Encoding: quoted-printable\r\n\r\n", "="},
		{"Content-Transfer-Encoding: quoted-printable\r\n\r\n", "= "},
		{"Content-Transfer-Encoding: base64\r\n\r\n", "=A"},
		{"Content-Type: text/html\r\n\r\n", "<"},
		{"Content-Type: text/html\r\n\r\n", "<!--"},
		{"Content-Type: text/html\r\n\r\n", "<script></scrip"},
		{"Content-Type: text/html\r\n\r\n", "&a"},
		{"\r\n", ">\n:"},
	} {
		msg := []byte(c.head + strings.Repeat(c.unit, n/len(c.unit)))
		for _, size := range []int{0, 1000} {
			checkScanned(t, msg, scanIn(msg, size))
		}
	}
}

// If this fails, a search can be made to take time by the square of a message.
func TestSearchIsLinear(t *testing.T) {
	const n = 1 << 20
	for _, c := range []struct{ head, unit, key string }{
		{"\r\n", "a", strings.Repeat("a", 2000) + "b"},
		{"Content-Type: text/html\r\n\r\n", "<b>a</b>", strings.Repeat("a", 2000) + "b"},
		{"Content-Type: text/plain; charset=utf-16\r\n\r\n", "a", "zebra"},
		{"", "a:\r\n", "b"},
	} {
		msg := []byte(c.head + strings.Repeat(c.unit, n/len(c.unit)))
		root := scanIn(msg, 0).Root
		if found, err := NewNeedle(c.key).MatchText(bytes.NewReader(msg), root, true); found || err != nil {
			t.Errorf("%.10q: %v %v", c.unit, found, err)
		}
	}
}

// If this fails, a message can be nested until the process ends for want of stack.
func TestDepthLimit(t *testing.T) {
	for _, unit := range []string{
		"Content-Type: message/rfc822\r\n\r\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
	} {
		msg := []byte(strings.Repeat(unit, 3*maxDepth) + "\r\ntext")
		p, depth := scanIn(msg, 0).Root, 1
		for ; len(p.Parts) > 0 || p.Message != nil; depth++ {
			if p.Message != nil {
				p = p.Message
			} else {
				p = p.Parts[0]
			}
		}
		if depth != maxDepth || p.Type != "text" {
			t.Errorf("%q: depth %d, ending with %s", unit, depth, p.Type)
		}
	}
}

// If this fails, a message can have parts until memory is full.
func TestPartLimit(t *testing.T) {
	msg := []byte("Content-Type: multipart/digest; boundary=b\r\n\r\n" +
		strings.Repeat("--b\r\nContent-Type: text/html\r\n\r\nx\r\n", 2*maxParts) + "--b--\r\n")
	root := scanIn(msg, 0).Root
	last := root.Parts[len(root.Parts)-1]
	// The root is a part too.
	if len(root.Parts) != maxParts-1 || last.Subtype != "plain" || last.Body.End() != int64(len(msg)) || last.Header.Length != 0 {
		t.Errorf("%d parts, the last %+v", len(root.Parts), last)
	}
	if root.Parts[0].Body.Length != 1 {
		t.Errorf("the first part is %+v", root.Parts[0])
	}
}

// If this fails, headers fill the memory, or what follows a large header is lost.
func TestHeaderLimit(t *testing.T) {
	fill := strings.Repeat("X: "+strings.Repeat("y", 96)+"\r\n", maxHeader/100)
	msg := []byte("Subject: one\r\n" + fill + fill + "To: late@x\r\n\r\nbody")
	s := NewScanner()
	s.Write(msg)
	if len(s.header) > maxHeader {
		t.Errorf("%d octets of header are held", len(s.header))
	}
	r := s.Finish()
	if r.Subject != "one" || r.Envelope.To != nil || r.Root.Body.Length != 4 {
		t.Errorf("%q %v %v", r.Subject, r.Envelope.To, r.Root.Body)
	}
}

// If this fails, what a message is taken for depends on how long the lines are that the
// network delivers at once.
func TestLongLines(t *testing.T) {
	for _, n := range []int{maxBoundary - 1, maxBoundary, maxBoundary + 1, maxLine - 2, maxLine, 3 * maxLine} {
		b := strings.Repeat("b", n)
		msg := []byte("X: " + b + "\r\nContent-Type: multipart/mixed; boundary=" + b + "\r\n\r\n--" + b +
			"\r\n\r\n" + b + "\r\n" + b + "\r\n--" + b + "-- " + b)
		whole := scanIn(msg, 0)
		checkScanned(t, msg, whole)
		if found := whole.Root.Parts[0].Body.Length == int64(2*n+2); found != (n <= maxBoundary) {
			t.Errorf("a boundary of %d octets: %v", n, found)
		}
		for _, size := range []int{1, 1000, maxLine - 1, maxLine, maxLine + 1} {
			if got := scanIn(msg, size); !reflect.DeepEqual(got, whole) {
				t.Errorf("lines of %d octets in writes of %d differ", n, size)
			}
		}
	}
}

// If this fails, the memory that scanning takes grows with the message.
func TestScanHoldsNoBody(t *testing.T) {
	s := NewScanner()
	s.Write([]byte("Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"))
	line := bytes.Repeat([]byte("a line without an end "), 1000)
	warm := 1 << 20 / len(line)
	for range warm {
		s.Write(line)
	}
	if n := testing.AllocsPerRun(100, func() { s.Write(line) }); n > 0 {
		t.Errorf("%v allocations a write", n)
	}
}
