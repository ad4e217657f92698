package message

import (
	"strings"
	"testing"

	"tidemark/imap"
)

// addressList writes addresses as name|route|mailbox|host with "-" for NIL, so that
// tests can be read.
func addressList(list []imap.Address) string {
	part := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	var out []string
	for _, a := range list {
		out = append(out, part(a.Name)+"|"+part(a.ADL)+"|"+part(a.Mailbox)+"|"+part(a.Host))
	}
	return strings.Join(out, "; ")
}

// If this fails, clients show wrong senders and recipients, and answer to them.
func TestParseAddresses(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{" , ,\r\n ,", ""},
		{"joe@example.org", "-|-|joe|example.org"},
		{"Joe Q. Public <john.q.public@example.com>", "Joe Q. Public|-|john.q.public|example.com"},
		{`"Giant; \"Big\" Box" <sysservices@example.net>`, `Giant; "Big" Box|-|sysservices|example.net`},
		{`"Doe, J" <j@x>, <k@y>`, "Doe, J|-|j|x; -|-|k|y"},
		{"=?utf-8?q?J=C3=B6?= <j@x>", "=?utf-8?q?J=C3=B6?=|-|j|x"},
		{"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete|-|pete|silly.test"},
		{"joe@example.org (Joe\r\n Doe)", "Joe Doe|-|joe|example.org"},
		{"A Group:Ed <e@x>,joe@y;", "-|-|A Group|-; Ed|-|e|x; -|-|joe|y; -|-|-|-"},
		{"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", "-|-|Hidden recipients|-; -|-|-|-"},
		{"g: a@b", "-|-|g|-; -|-|a|b; -|-|-|-"},
		{"g: h: a@b;", "-|-|g|-; h:|-|a|b; -|-|-|-"},
		{"Mary <@machine.tld,@b:mary@example.net>", "Mary|@machine.tld,@b|mary|example.net"},
		{"john . doe @ machine . example", "-|-|john.doe|machine.example"},
		{`"a b"@x`, "-|-|a b|x"},
		{`"a@b"@x`, "-|-|a@b|x"},
		{"joe@[192.0.2.1]", "-|-|joe|[192.0.2.1]"},
		{"joe@[IPv6:2001:db8::1], x@y", "-|-|joe|[IPv6:2001:db8::1]; -|-|x|y"},
		{"x@y; z@w", "-|-|x|y; -|-|z|w"},

		// Broken ones: nothing is lost.
		{"root", "-|-|root|"},
		{"undisclosed recipients", "-|-|undisclosed recipients|"},
		{"Joe <>", "Joe|-||"},
		{"Joe <joe>", "Joe|-|joe|"},
		{"Joe <joe@x, Bo <bo@y>", "Joe|-|joe|x; Bo|-|bo|y"},
		{"Joe <joe@x> Bo <bo@y>", "Joe|-|joe|x; Bo|-|bo|y"},
		{"<joe@x> (Joe)", "Joe|-|joe|x"},
		{"Joe <<joe@x>>", "Joe|-|joe|x"},
		{"<<joe@x>>, <bo@y>", "-|-|joe|x; -|-|bo|y"},
		{"Joe <joe@x>> Bo <<bo@y>", "Joe|-|joe|x; Bo|-|bo|y"},
		{"Joe <<", "Joe|-||"},
		{"Joe Doe joe@x", "Joe Doe|-|joe|x"},
		{"joe@x Joe Doe", "Joe Doe|-|joe|x"},
		{"a@b@c", "-|-|a@b|c"},
		{`"Joe <joe@x>, bo@y`, `"Joe|-|joe|x; -|-|bo|y`},
		{"(Joe <joe@x>", "(Joe|-|joe|x"},
		{"@x", "-|-||x"},
		{"joe@", "-|-|joe|"},
		{"Andr\xe9 <a@x>", "Andr\xe9|-|a|x"},
		{"a\x00b@x", "-|-|ab|x"},
	} {
		if got := addressList(ParseAddresses(nil, []byte(c.in))); got != c.want {
			t.Errorf("%q\n got %s\nwant %s", c.in, got, c.want)
		}
	}
}

// If this fails, one header can fill the memory of the server.
func TestAddressLimit(t *testing.T) {
	list := ParseAddresses(nil, []byte("g:"+strings.Repeat("a@b,", 2*maxAddresses)))
	if len(list) != maxAddresses+1 || list[maxAddresses].Mailbox != nil {
		t.Fatalf("%d addresses", len(list))
	}
}
