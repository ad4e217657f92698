package imapserver

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"tidemark/internal/testbed"
)

// Without it some sequence of commands could bring a session down, in a state that
// nobody thought of.
func FuzzSession(f *testing.F) {
	states := []string{
		"",
		"l LOGIN alice secret\r\n",
		"l LOGIN alice secret\r\ns SELECT INBOX\r\n",
		"l LOGIN alice secret\r\ne ENABLE IMAP4rev2 QRESYNC\r\ns SELECT INBOX\r\n",
	}
	for _, seed := range []string{
		"a CAPABILITY\r\nb NOOP\r\nc LOGOUT\r\n",
		"a AUTHENTICATE FAKE\r\nc2VjcmV0\r\n\r\n",
		"a FETCH 1:* (FLAGS BODY[] ENVELOPE BODY[1.MIME]<5.9> BINARY.SIZE[1])\r\n",
		"a UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)\r\n",
		"a STORE 1 (UNCHANGEDSINCE 1) +FLAGS.SILENT (\\Deleted)\r\nb EXPUNGE\r\nc FETCH $ UID\r\n",
		"a SEARCH RETURN (SAVE MIN COUNT) OR 1 NOT UID 2:*\r\nb MOVE $ INBOX\r\n",
		"a APPEND INBOX (\\Seen) {3+}\r\nabc (\\Draft) {2+}\r\nxy\r\n",
		"a IDLE\r\nDONE\r\nb LIST (SUBSCRIBED) \"\" (\"*\" \"%\") RETURN (STATUS (MESSAGES))\r\n",
		"a SELECT INBOX (QRESYNC (1 1 1:9 (1,2 3,4)))\r\nb CLOSE\r\n",
		"a CREATE x (USE (\\Junk))\r\nb RENAME x y\r\nc DELETE INBOX\r\nd NOOP\r\n",
	} {
		for state := range states {
			f.Add(uint8(state), []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, state uint8, data []byte) {
		b, log := newFakeBackend(), &testbed.Log{}
		b.inbox().add("Subject: one\r\n\r\ntext", "\\Seen")
		b.inbox().add("two")
		opts := Options{Backend: b, Authenticator: fakeAuth{[]string{"FAKE"}}}
		logTo(log)(&opts)
		s := New(opts)
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			s.ServeConn(context.Background(), server, false)
			close(done)
		}()
		go func() {
			if client.SetWriteDeadline(time.Now().Add(stepTime)) == nil {
				_, _ = io.WriteString(client, states[int(state)%len(states)]+string(data)) // fails if the server ends
			}
			client.Close()
		}()
		output, _ := io.ReadAll(client) // ends with the pipe
		<-done
		if strings.Contains(string(output), "SERVERBUG") || strings.Contains(log.String(), "panic") {
			t.Errorf("state %d, input %q: output %q, log %s", state, data, output, log.String())
		}
	})
}
