package lmtp

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/prometheus/client_golang/prometheus"
)

// If this failed, an MTA would not get its mail in, or the trace fields that people and
// filters read would be wrong.
func TestDelivery(t *testing.T) {
	f := newFakeMail("alice")
	_, addr := start(t, f, Config{Hostname: "mx.example.org"})
	c := dial(t, addr)
	c.expect("220 mx.example.org ")
	c.send("LHLO mta.example\r\n")
	got := c.reply()
	for _, ext := range []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 50000000", "ENHANCEDSTATUSCODES"} {
		if !strings.Contains(got, ext+"\r\n") {
			t.Errorf("LHLO does not offer %s: %q", ext, got)
		}
	}
	if strings.Contains(got, "CHUNKING") {
		t.Errorf("LHLO offers CHUNKING: %q", got)
	}
	c.begin("alice@example.org")
	c.send("Subject: x\r\n\r\n..dot\r\nlast\r\n.\r\n")
	c.expect("250 2.1.5 <alice@example.org> Delivered ")
	c.send("QUIT\r\n")
	c.expect("221 ")
	c.expectEnd()

	m := f.messages("alice", "INBOX")
	if len(m) != 1 {
		t.Fatalf("%d messages", len(m))
	}
	head, body, _ := strings.Cut(m[0], "Subject: x")
	if body != "\r\n\r\n.dot\r\nlast\r\n" {
		t.Errorf("stored body %q", body)
	}
	want := "Return-Path: <sender@example.net>\r\nDelivered-To: alice@example.org\r\n" +
		"Received: from mta.example ([127.0.0.1])\r\n\tby mx.example.org with LMTP id "
	if !strings.HasPrefix(head, want) || !strings.Contains(head, "\r\n\tfor <alice@example.org>; ") {
		t.Errorf("trace fields are %q", head)
	}
}

// If this failed, the library's own client, an independent reader of the RFC, would not
// understand us.
func TestWithAnotherClient(t *testing.T) {
	f := newFakeMail("alice", "bob")
	_, addr := start(t, f, Config{})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := smtp.NewClientLMTP(conn)
	defer c.Close()
	body := "Subject: hi\r\n\r\n" + strings.Repeat(strings.Repeat("é", 5000)+"\r\n", 100)
	if err := c.SendMail("s@example.net", []string{"alice@x.org", "bob@x.org"}, strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"alice", "bob"} {
		if m := f.messages(user, "INBOX"); len(m) != 1 || !strings.HasSuffix(m[0], body) {
			t.Errorf("%s has %d messages, or another content", user, len(m))
		}
	}
}

// If this failed, a sender could make one message into two, or put commands into a
// message.
func TestOnlyOneSequenceEndsAMessage(t *testing.T) {
	for _, end := range []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r", "\r\n.\r\r\n", "\r\n\x00.\r\n", "\r\n.\x00\r\n",
	} {
		t.Run(fmt.Sprintf("%q", end), func(t *testing.T) {
			f := newFakeMail("alice")
			_, addr := start(t, f, Config{})
			c := greeted(t, addr)
			c.begin("alice@x.org")
			c.send("Subject: a\r\n\r\nfirst" + end + "MAIL FROM:<evil@example.net>\r\nRCPT TO:<alice@x.org>\r\nDATA\r\n")
			c.send("Subject: smuggled\r\n\r\nsecond\r\n.\r\n")
			c.expect("550 5.6.")
			c.send("NOOP\r\n")
			c.expect("250 ")
			if m := f.messages("alice", "INBOX"); len(m) != 0 {
				t.Errorf("stored %q", m)
			}
		})
	}
}

// If this failed, a message whose last line ends in CR CR LF would swallow what comes
// after it.
func TestBareCRBeforeTheEnd(t *testing.T) {
	f := newFakeMail("alice")
	_, addr := start(t, f, Config{})
	c := greeted(t, addr)
	c.begin("alice@x.org")
	c.send("text\r\r\n.\r\nNOOP\r\n")
	c.expect("550 5.6.11 ", "250 ")
}

// If this failed, the end of a message would be missed where it falls between two
// packets.
func TestMessageInSinglePieces(t *testing.T) {
	f := newFakeMail("alice")
	_, addr := start(t, f, Config{})
	c := greeted(t, addr)
	c.begin("alice@x.org")
	for _, b := range []byte("S: x\r\n\r\n.\n\r\n") {
		c.send(string(b))
	}
	c.send(".\r\n")
	c.expect("550 5.6.11 ")
	c.begin("alice@x.org")
	for _, b := range []byte("S: x\r\n\r\n..\r\ny\r\n.\r\n") {
		c.send(string(b))
	}
	c.expect("250 2.1.5 ")
	if m := f.messages("alice", "INBOX"); len(m) != 1 || !strings.HasSuffix(m[0], "S: x\r\n\r\n.\r\ny\r\n") {
		t.Errorf("stored %q", m)
	}
}

// If this failed, the MTA would give up mail that it should keep, or keep what it should
// return.
func TestRecipientReplies(t *testing.T) {
	f := newFakeMail("alice", "bob", "carol", "a+b", "full@x.org", "quoted name")
	f.disabled["bob"] = true
	f.full["carol"] = true
	_, addr := start(t, f, Config{Domains: []string{"X.org"}, Hostname: "mx.example"})
	c := greeted(t, addr)
	c.send("MAIL FROM:<>\r\n")
	c.expect("250 ")
	for _, tc := range []struct{ path, want string }{
		{"<alice@x.org>", "250 "},
		{"<alice@X.ORG>", "250 "},
		{"<alice>", "250 "},
		{`<"alice+any/../thing"@x.org>`, "250 "},
		{"<a+b@x.org>", "250 "},
		{"<full@x.org>", "250 "},
		{`<"quoted name"@x.org>`, "250 "},
		{"<alice@other.org>", "550 5.1.2 "},
		{"<dave@x.org>", "550 5.1.1 "},
		{"<bob@x.org>", "550 5.2.1 "},
		{"<carol@x.org>", "452 4.3.1 "},
		{`<""@x.org>`, "501 "},
		{"<@other.org:alice@x.org>", "250 "},
		{"<@x.org,@other.org:dave@x.org>", "550 5.1.1 "},
		{"<@other.org,alice@x.org>", "501 "},
		{"<alice@x.org@x.org>", "501 "},
		{"<alice..b@x.org>", "501 "},
		{"<\"a\x01\"@x.org>", "501 "},
		{"<alice@x.org", "501 "},
		{"alice@x.org", "501 "},
		{"<>", "501 "},
	} {
		c.send("RCPT TO:" + tc.path + "\r\n")
		if got := c.reply(); !strings.HasPrefix(got, tc.want) {
			t.Errorf("RCPT TO:%s: got %q, want %q", tc.path, got, tc.want)
		}
	}
}

// If this failed, an MTA would take a full disk for trouble of another kind, or for the
// mailbox of one recipient alone.
func TestReplyOfFullSpool(t *testing.T) {
	err := fmt.Errorf("spool: %w", &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})
	if got := messageReply(err); got.Code != 452 || got.EnhancedCode != [3]int{4, 3, 1} {
		t.Errorf("got %v", got)
	}
}

// If this failed, the MTA would take the fate of one recipient for that of another: each RCPT
// has a reply after the message, in order (RFC 2033 §4.2).
func TestRepliesForEachRecipient(t *testing.T) {
	f := newFakeMail("alice", "bob", "carol")
	f.broken["bob"] = errDisk
	metrics := prometheus.NewRegistry()
	_, addr := start(t, f, Config{Metrics: metrics})
	c := greeted(t, addr)
	c.begin("alice@x.org", "bob@x.org", "alice@x.org", "carol@x.org")
	c.send("Subject: x\r\n\r\n.\r\n")
	c.expect("250 2.1.5 <alice@x.org>", "451 4.3.0 <bob@x.org>", "250 2.1.5 <alice@x.org>", "250 2.1.5 <carol@x.org>")
	for user, want := range map[string]int{"alice": 1, "bob": 0, "carol": 1} {
		if got := len(f.messages(user, "INBOX")); got != want {
			t.Errorf("%s has %d messages, want %d", user, got, want)
		}
	}
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				counted[label.GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if want := map[string]float64{"delivered": 2, "deferred": 1}; !maps.Equal(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
}

// If this failed, mail for alice+lists would not be sorted, or be lost where there is no
// such mailbox.
func TestSubaddress(t *testing.T) {
	f := newFakeMail("alice")
	f.boxes["alice"]["lists"] = nil
	_, addr := start(t, f, Config{})
	c := greeted(t, addr)
	c.begin("alice+lists@x.org", "alice+none@x.org")
	c.send("Subject: x\r\n\r\n.\r\n")
	c.expect("250 ", "250 ")
	if m := f.messages("alice", "lists"); len(m) != 1 || !strings.Contains(m[0], "Delivered-To: alice+lists@x.org\r\n") {
		t.Errorf("lists has %q", m)
	}
	if m := f.messages("alice", "INBOX"); len(m) != 1 {
		t.Errorf("INBOX has %d messages", len(m))
	}
}

// If this failed, a half message would be stored when the MTA goes away.
func TestDisconnectWithinMessage(t *testing.T) {
	f := newFakeMail("alice")
	s, addr := start(t, f, Config{})
	c := greeted(t, addr)
	c.begin("alice@x.org")
	c.send("Subject: x\r\n\r\nhalf\r\n")
	c.conn.Close()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if m := f.messages("alice", "INBOX"); len(m) != 0 {
		t.Errorf("stored %q", m)
	}
}

// If this failed, the limits would be off by one, or a message that is too large would
// end the connection and be tried again for days.
func TestMessageSize(t *testing.T) {
	f := newFakeMail("alice")
	_, addr := start(t, f, Config{MaxMessage: 300_000})
	c := greeted(t, addr)
	for _, size := range []string{"300001", "99999999999", "99999999999999999999"} {
		c.send("MAIL FROM:<a@x.org> SIZE=" + size + "\r\n")
		c.expect("552 5.3.4 ")
	}
	c.send("MAIL FROM:<a@x.org> SIZE=many\r\n")
	c.expect("501 ")
	for _, tc := range []struct {
		size int
		want string
	}{{300_000, "250 "}, {300_001, "552 5.3.4 "}, {2_000_000, "552 5.3.4 "}} {
		c.begin("alice@x.org")
		c.send(strings.Repeat("x", tc.size-2) + "\r\n.\r\n")
		c.expect(tc.want)
	}
	if m := f.messages("alice", "INBOX"); len(m) != 1 || !strings.HasSuffix(m[0], strings.Repeat("x", 299_998)+"\r\n") {
		t.Errorf("%d messages, or another content", len(m))
	}
}

// If this failed, a command at the wrong time would be taken, or end the connection.
func TestCommandOrder(t *testing.T) {
	f := newFakeMail("alice")
	_, addr := start(t, f, Config{MaxRecipients: 2})
	c := dial(t, addr)
	c.expect("220 ")
	for _, step := range []struct{ send, want string }{
		{"MAIL FROM:<a@x.org>", "503 5.5.1 "},
		{"HELO x", "500 5.5.1 "},
		{"EHLO x", "500 5.5.1 "},
		{"LHLO x", "250-"},
		{"RCPT TO:<alice@x.org>", "503 5.5.1 "},
		{"DATA", "503 5.5.1 "},
		{"MAIL FROM:<a@x.org>", "250 "},
		{"MAIL FROM:<a@x.org>", "503 5.5.1 "},
		{"DATA", "503 5.5.1 "},
		{"RCPT TO:<nobody@x.org>", "550 5.1.1 "},
		{"DATA", "503 5.5.1 "},
		{"RCPT TO:<alice@x.org>", "250 "},
		{"RCPT TO:<alice@x.org>", "250 "},
		{"RCPT TO:<alice@x.org>", "452 4.5.3 "},
		{"RSET", "250 "},
		{"DATA", "503 5.5.1 "},
		{"AUTH PLAIN AGEAYg==", "502 5.5.1 "},
		{"STARTTLS", "502 5.5.1 "},
		{"VRFY alice", "252 "},
		{"BDAT 4 LAST", "502 5.5.1 "},
	} {
		c.send(step.send + "\r\n")
		if got := c.reply(); !strings.HasPrefix(got, step.want) {
			t.Fatalf("%s: got %q, want %q", step.send, got, step.want)
		}
	}
	c.expectEnd()
}

// If this failed, an unknown command would count as a known one with bad parameters.
func TestBugUnknownCommand(t *testing.T) {
	for _, line := range []string{"FOO", "FOOO", "FOOO x", "FOOBAR", "FOOBAR x", "STARTTLSX", "", " NOOP"} {
		_, addr := start(t, newFakeMail(), Config{})
		c := greeted(t, addr)
		c.send(line + "\r\nNOOP\r\n")
		c.expect("500 5.5.", "250 ")
	}
}

// If this failed, lines that no MTA sends would be read in two ways, or fill the memory.
func TestBadLines(t *testing.T) {
	for _, line := range []string{
		"NOOP\n", "NOOP\rQUIT\r\n", "NOOP " + strings.Repeat("x", maxCommand) + "\r\n",
		strings.Repeat("x", 100_000), "GET / HTTP/1.1\r\n", "POST /x HTTP/1.1\r\n",
	} {
		_, addr := start(t, newFakeMail(), Config{})
		c := dial(t, addr)
		c.expect("220 ")
		go c.conn.Write([]byte(line)) // the server may close before it has read all
		if got := c.reply(); got[0] != '4' && got[0] != '5' {
			t.Errorf("%.30q: %q", line, got)
		}
		if rest, _ := c.in.ReadString(0); rest != "" {
			t.Errorf("%.30q: connection goes on with %q", line, rest)
		}
	}
}

// If this failed, a pipelined group would be answered out of order or in part (RFC 2920).
func TestPipelining(t *testing.T) {
	f := newFakeMail("alice")
	_, addr := start(t, f, Config{})
	c := greeted(t, addr)
	c.send("RSET\r\nMAIL FROM:<a@x.org>\r\nRCPT TO:<alice@x.org>\r\nRCPT TO:<no@x.org>\r\nDATA\r\n")
	c.expect("250 ", "250 ", "250 ", "550 ", "354 ")
	c.send("S: 1\r\n\r\n.\r\nMAIL FROM:<a@x.org>\r\nRCPT TO:<alice@x.org>\r\nDATA\r\n")
	c.expect("250 2.1.5 ", "250 ", "250 ", "354 ")
	c.send("S: 2\r\n\r\n.\r\nQUIT\r\n")
	c.expect("250 2.1.5 ", "221 ")
	if n := len(f.messages("alice", "INBOX")); n != 2 {
		t.Errorf("%d messages", n)
	}
}

// If this failed, a stop would cut off a message that is on its way in, or wait for an
// MTA that keeps its connection open.
func TestShutdown(t *testing.T) {
	f := newFakeMail("alice")
	f.gate, f.entered = make(chan struct{}), make(chan struct{})
	s, addr := start(t, f, Config{})
	idle, busy := greeted(t, addr), greeted(t, addr)
	busy.begin("alice@x.org")
	busy.send("Subject: x\r\n\r\n.\r\n")
	<-f.entered

	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	idle.expect("421 4.3.2 ")
	idle.expectEnd()
	close(f.gate)
	busy.expect("250 2.1.5 ", "421 4.3.2 ")
	busy.expectEnd()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// If this failed, one more MTA than allowed would take the last descriptors from people's
// programs.
func TestTooManyConnections(t *testing.T) {
	_, addr := start(t, newFakeMail(), Config{MaxConnections: 1})
	first := greeted(t, addr)
	second := dial(t, addr)
	second.expect("421 4.3.2 ")
	first.send("QUIT\r\n")
	first.expect("221 ")
}

// If this failed, a connection that says nothing would stay for ever.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		startOn(t, l, newFakeMail(), Config{Timeout: time.Minute})
		ours, theirs := net.Pipe()
		t.Cleanup(func() { ours.Close() })
		l.conns <- theirs
		c, began := &client{t, ours, bufio.NewReader(ours)}, time.Now()
		c.expect("220 ", "421 4.4.2 ")
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("it ended after %v", waited)
		}
		c.expectEnd()
	})
}

// If this failed, the log of an MTA would show the library's jokes instead of what was
// done.
func TestReplyTexts(t *testing.T) {
	_, addr := start(t, newFakeMail("ann"), Config{})
	c := greeted(t, addr)
	c.send("NOOP\r\nMAIL FROM:<bob@example.org>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n")
	c.expect("250 2.0.0 OK", "250 2.1.0 Sender accepted", "250 2.1.5 Recipient accepted", "354 ")
	c.send("Subject: x\r\n\r\n.\r\n")
	c.expect("250 2.1.5 <ann@example.org> Delivered")
}
