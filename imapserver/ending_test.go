package imapserver

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"tidemark/internal/testbed"
)

// Without it a client would not know whether its command was carried out, and do it
// again: the mailbox may be deleted while a command in it runs.
func TestBugLostTaggedAnswer(t *testing.T) {
	b := newFakeBackend()
	c := inMailboxOf(t, b, nil)
	b.inbox().beforeStore = b.inbox().delete
	c.talk(`
		C: a1 STORE 1 +FLAGS.SILENT (\Seen)
		S: a1 OK
		S: * BYE [NONEXISTENT]
	`)
	c.wantEnd()

	b = newFakeBackend()
	c = inMailboxOf(t, b, nil)
	b.inbox().delete()
	c.talk(`
		C: a1 COPY 9 INBOX
		S: a1 BAD
		S: * BYE [NONEXISTENT]
	`)
	c.wantEnd()
}

// Without it of many connections that come at once any could be let in or refused,
// whatever their order.
func TestBugConnectionsCountedOutOfOrder(t *testing.T) {
	const most = 20
	addr := listen(t, startServer(t, newFakeBackend(), func(o *Options) { o.Limits.StrangersPerAddress = most }))
	var clients []*client
	for range most + 5 {
		clients = append(clients, dial(t, addr))
	}
	for i, c := range clients {
		want := "* OK"
		if i >= most {
			want = "* BYE [LIMIT]"
		}
		if got := c.line(); !strings.HasPrefix(got, want) {
			t.Errorf("connection %d got %q, want %q", i+1, got, want)
		}
	}
}

// Without it the programs of people who were slow to log in would see their connection
// break during a flood and not say why.
func TestBugEvictedWithoutBye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, newFakeBackend(), func(o *Options) { o.Limits.Strangers = 1 })
		first := connect(t, s)
		first.want("* OK")
		connect(t, s).want("* OK")
		first.want("* BYE [LIMIT]")
		first.wantEnd()
	})
}

// Without it a client whose search takes longer than a shutdown would not learn that it
// was interrupted, and the log would call it a fault.
func TestBugShutdownDuringSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log := newFakeBackend(), &testbed.Log{}
		b.inbox().searching = make(chan struct{})
		s := startServer(t, b, logTo(log))
		c := connect(t, s).login().inMailbox(b)
		c.send("a1 SEARCH ALL")
		<-b.inbox().searching
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		c.talk(`
			S: a1 NO [UNAVAILABLE] Server is shutting down
			S: * BYE [UNAVAILABLE] Server is shutting down
		`)
		c.wantEnd()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := log.String(); strings.Contains(got, "level=WARN") || strings.Contains(got, "level=ERROR") {
			t.Errorf("the log calls it a fault:\n%s", got)
		}
	})
}

// Without it a command that does not end when it is asked to would keep the server from
// stopping.
func TestShutdownCutsStubbornCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBackend()
		entered, leave := make(chan struct{}), make(chan struct{})
		b.inbox().beforeStore = func() {
			close(entered)
			<-leave
		}
		s := startServer(t, b, nil)
		c := connect(t, s).login().inMailbox(b)
		c.send("a1 STORE 1 FLAGS (\\Seen)")
		<-entered
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		c.wantEnd()
		close(leave)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
