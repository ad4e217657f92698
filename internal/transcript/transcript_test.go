package transcript

import (
	"bufio"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"testing"
)

// If a row fails, scripts accept answers that differ or refuse ones that are the same.
func TestMatch(t *testing.T) {
	tests := []struct {
		want, got string
		ok        bool
	}{
		{`* 3 EXISTS`, `* 3 EXISTS`, true},
		{`* 3 EXISTS`, `* 4 EXISTS`, false},
		{`* <any> EXISTS`, `* 4 EXISTS`, true},
		{`a OK`, `a OK [READ-WRITE] done`, true},
		{`a OK [READ-ONLY]`, `a OK [READ-WRITE] done`, false},
		{`a OK [READ-ONLY]`, `a OK done`, false},
		{`a NO`, `a OK done`, false},
		{`+`, `+ idling`, true},
		{`* LIST (\B \A) "/" x`, `* LIST (\A \B) "/" "x"`, true},
		{`* LIST (\A ...) "/" x`, `* LIST (\A \B) "/" x`, true},
		{`* LIST (\A) "/" x`, `* LIST (\A \B) "/" x`, false},
		{`* LIST () "/" x ("CHILDINFO" ("SUBSCRIBED"))`, `* LIST () "/" x (CHILDINFO ("SUBSCRIBED"))`, true},
		{`* LIST () "/" x ...`, `* LIST () "/" x (CHILDINFO ("SUBSCRIBED"))`, true},
		{`* 1 FETCH (UID 2 FLAGS (\Seen))`, `* 1 FETCH (FLAGS (\seen) UID 2)`, true},
		{`* 1 FETCH (FLAGS ())`, `* 1 FETCH (FLAGS (\Recent))`, true},
		{`* 1 FETCH (FLAGS (\Recent))`, `* 1 FETCH (FLAGS ())`, false},
		{`* 1 FETCH (FLAGS ())`, `* 1 FETCH (FLAGS () UID 2)`, false},
		{`* 1 FETCH (FLAGS () ...)`, `* 1 FETCH (UID 2 FLAGS ())`, true},
		{`* 1 FETCH (BODY[] "abc")`, "* 1 FETCH (BODY[] {3}\r\nabc)", true},
		{`* 1 FETCH (BODY[] "abc")`, "* 1 FETCH (BODY[] ~{3}\r\nABC)", false},
		{`* 1 FETCH (BODY[] NIL)`, `* 1 FETCH (BODY[] "NIL")`, false},
		{`* 1 FETCH (BODY[HEADER.FIELDS (to)]<0> "")`, `* 1 FETCH (BODY[HEADER.FIELDS ("To")]<0> {0}` + "\r\n)", true},
		{`* 1 FETCH (BODY ("TEXT" "PLAIN"))`, `* 1 FETCH (BODY ("text" "plain"))`, true},
		{`* SEARCH 2 1`, `* SEARCH 1 2`, true},
		{`* SEARCH`, `* SEARCH 1`, false},
		{`* ESEARCH (TAG "a") ALL 1:3 COUNT 3`, `* ESEARCH (TAG "a") COUNT 3 ALL 3,1:2`, true},
		{`* ESEARCH (TAG "a") UID ALL 1`, `* ESEARCH (TAG "a") ALL 1`, false},
		{`* VANISHED (EARLIER) 1:2,4`, `* VANISHED (EARLIER) 4,1,2`, true},
		{`* OK [UIDNEXT 4]`, `* OK [UIDNEXT 4] Predicted`, true},
	}
	for _, test := range tests {
		want, err1 := ParseResponse(test.want)
		got, err2 := ParseResponse(test.got)
		if err1 != nil || err2 != nil {
			t.Errorf("%v, %v", err1, err2)
			continue
		}
		if ok := match(want, got, variables{}) != nil; ok != test.ok {
			t.Errorf("%s\n%s: match %v", test.want, test.got, ok)
		}
	}
}

// If this fails a script cannot say that two numbers are the same.
func TestVariables(t *testing.T) {
	parse := func(s string) Response {
		r, err := ParseResponse(s)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	vars := match(parse("* OK [UIDNEXT <n>]"), parse("* OK [UIDNEXT 7] x"), variables{})
	if vars["<n>"] != "7" {
		t.Fatalf("bound: %v", vars)
	}
	if match(parse("* <n> EXISTS"), parse("* 7 EXISTS"), vars) == nil || match(parse("* <n> EXISTS"), parse("* 8 EXISTS"), vars) != nil {
		t.Error("a bound variable does not compare")
	}
}

// If this fails EXPUNGE responses in another order, which are as right, are refused.
func TestExpungedPositions(t *testing.T) {
	for _, run := range [][]uint32{{2, 2, 3}, {5, 3, 2}, {3, 2, 3}} {
		if got := expungedPositions(run); !slices.Equal(got, []uint32{2, 3, 5}) {
			t.Errorf("%v: %v", run, got)
		}
	}
}

const selfTest = `What would break.

-- setup --
plain
-- dialogue --
S: * OK
C: a1 NOOP
S: * 2 EXISTS
S: ! * <any> EXPUNGE
S: a1 OK
`

// If this fails a script passes on a server that does not keep to it.
func TestRun(t *testing.T) {
	script, err := ParseScript("self.txtar", []byte(selfTest))
	if err != nil {
		t.Fatal(err)
	}
	for answer, fault := range map[string]string{
		"* 2 EXISTS\r\na1 OK x\r\n":                 "",
		"a1 OK x\r\n":                               "did not come",
		"* 2 EXISTS\r\n* 3 EXISTS\r\na1 OK x\r\n":   "got \"* 3 EXISTS\"",
		"* 2 EXISTS\r\n* 1 EXPUNGE\r\na1 OK x\r\n":  "must not come",
		"* 2 EXISTS\r\na1 NO x\r\n":                 "got \"a1 NO x\"",
		"* 2 EXISTS\r\na1 OK x\n":                   "without CR",
		"* 2 EXISTS\r\n* OK [ALERT] x\r\na1 OK\r\n": "",
	} {
		err := script.Run(t.Context(), fake(t, answer), "rev1")
		if fault == "" && err != nil || fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
			t.Errorf("%q: %v, expected %q", answer, err, fault)
		}
	}
}

// fake is a server that greets and gives one answer.
func fake(t *testing.T, answer string) Target {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := c.Write([]byte("* OK ready\r\n")); err != nil {
			return
		}
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			return
		}
		if _, err := c.Write([]byte(answer)); err != nil {
			t.Log(err)
		}
	}()
	return Target{
		Addr:      ln.Addr().String(),
		Plain:     ln.Addr().String(),
		TLSConfig: &tls.Config{},
		Login:     func(user string) (string, string) { return user, "" },
	}
}

// If this fails an odd response stops the test program instead of failing a test.
func FuzzParseResponse(f *testing.F) {
	for _, s := range []string{
		`* 1 FETCH (BODY[HEADER.FIELDS (TO)]<0> {3}` + "\r\nabc FLAGS (\\Seen))", `a1 OK [COPYUID 1 2:3 4:5] done`,
		`* LIST (\Noselect) "/" "a\"b"`, "+ go on", "* SEARCH 1 2 (MODSEQ 3)", "* (((", `* "`, "* {9}\r\n", "a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseResponse(s)
		if err != nil {
			return
		}
		r.Name()
		r.Number()
		match(r, r, variables{})
	})
}
