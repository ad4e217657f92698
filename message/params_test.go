package message

import (
	"fmt"
	"strings"
	"testing"

	"tidemark/imap"
)

func paramList(params []imap.Param) string {
	var out []string
	for _, p := range params {
		out = append(out, p.Name+"="+p.Value)
	}
	return strings.Join(out, "|")
}

// If this fails, attachments have wrong names and multiparts no boundary.
func TestParseParams(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"; charset=utf-8", "charset=utf-8"},
		{`; a="b;c" ; D = e`, "a=b;c|D=e"},
		{`; a="b\"c\\"`, `a=b"c\`},
		{"; (x) charset (y) = us-ascii (Plain text)", "charset=us-ascii"},
		{"; name=two words.txt; x=y", "name=two words.txt|x=y"},
		{`; name="not closed; x=y`, "name=not closed|x=y"},
		{"; a; b=c;;", "b=c"},
		{"; a=\"x\r\n y\"", "a=x y"},

		// RFC 2231 §3 and §4.1.
		{`; URL*0="ftp://"; URL*1="cs.utk.edu/pub"`, "URL=ftp://cs.utk.edu/pub"},
		{`; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2="isn't it!"`,
			"title*=us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it!"},
		{`; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A`, "title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A"},
		{"; a*1=y; x=1; a*0=z", "x=1|a=zy"},
		{"; a*0=x; a*2=z", "a=x"},
		{"; a*0=x; b*0=y; A*1=z", "a=xz|b=y"},
		{"; a*0=x; a*0=y", "a=x"},
		{"; a*1=x", ""},
		{"; a*0=x; a*1*=%41", "a*=''x%41"},
		{"; a*01=x; *0=y", "a*01=x|*0=y"},
	} {
		if got := paramList(parseParams(nil, []byte(c.in))); got != c.want {
			t.Errorf("%q\n got %q\nwant %q", c.in, got, c.want)
		}
	}
}

// If this fails, one header field can fill the memory of the server.
func TestParamLimits(t *testing.T) {
	if n := len(parseParams(nil, []byte(strings.Repeat(";a=b", 2*maxParams)))); n != maxParams {
		t.Errorf("%d parameters", n)
	}
	var b strings.Builder
	for i := range 2 * maxContinuations {
		fmt.Fprintf(&b, ";a*%d=x", i)
	}
	if p := parseParams(nil, []byte(b.String())); len(p) != 1 || len(p[0].Value) != maxContinuations {
		t.Errorf("%d parameters of %d sections", len(p), len(p[0].Value))
	}
	if p := parseParams(nil, []byte(";a="+strings.Repeat("x", 2*maxParamValue))); len(p[0].Value) != maxParamValue {
		t.Errorf("a value of %d octets", len(p[0].Value))
	}
}
