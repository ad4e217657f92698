package client

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

type script struct {
	io.Reader
	io.Writer
}

// If this fails, the generator takes part of a message for the end of an answer, and
// measures too little.
func TestWaitSkipsLiterals(t *testing.T) {
	answer := "* 1 FETCH (BODY[] {9}\r\nx OK no\r\n)\r\n* 2 FETCH (FLAGS ())\r\nx OK done\r\nx NO next\r\n"
	c := &Conn{rw: script{iotest.OneByteReader(strings.NewReader(answer)), io.Discard}}
	var lines []string
	if err := c.Wait(func(l []byte) { lines = append(lines, string(l)) }); err != nil {
		t.Fatal(err)
	}
	want := "* 1 FETCH (BODY[] {9}|)|* 2 FETCH (FLAGS ())"
	if got := strings.Join(lines, "|"); got != want {
		t.Errorf("lines %q, want %q", got, want)
	}
	if err := c.Wait(nil); err == nil || !strings.HasPrefix(err.Error(), "NO") {
		t.Errorf("the NO was taken for %v", err)
	}
	if c.Octets != int64(len(answer)) {
		t.Errorf("%d octets counted of %d", c.Octets, len(answer))
	}
}

// If this fails, long answers are cut or read twice.
func TestLongLines(t *testing.T) {
	long := "* SEARCH " + strings.Repeat("123456 ", 3*bufferSize/7)
	c := &Conn{rw: script{strings.NewReader("* OK short\r\n" + long + "\r\nx OK\r\n"), io.Discard}}
	var lines []string
	if err := c.Wait(func(l []byte) { lines = append(lines, string(l)) }); err != nil {
		t.Fatal(err)
	}
	if len(lines) != 2 || lines[1] != long {
		t.Errorf("%d lines came", len(lines))
	}
}

// If this fails, answers of many lines are counted wrongly or end too early.
func TestCount(t *testing.T) {
	answer := strings.Repeat("* 1 FETCH (FLAGS ())\r\n", 10_000) + "x OK done\r\n"
	for name, r := range map[string]io.Reader{"at once": strings.NewReader(answer), "in pieces": iotest.OneByteReader(strings.NewReader(answer))} {
		c := &Conn{rw: script{r, io.Discard}}
		if n, err := c.Count("FETCH"); n != 10_000 || err != nil {
			t.Errorf("%s: %d lines, %v", name, n, err)
		}
	}
}
