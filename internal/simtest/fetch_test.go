package simtest_test

import (
	"testing"

	"tidemark/bench/client"
	"tidemark/bench/corpus"
	"tidemark/internal/simtest"
)

// BenchmarkFetch gives FETCH to the whole server over TLS, with the client's reading of the
// answer: flags and what a client lists of 5,000 messages, and the bodies of 500.
func BenchmarkFetch(b *testing.B) {
	c := benchClient(b, 5000)
	for _, bench := range []struct{ name, command string }{
		{"flags", "UID FETCH 1:* (FLAGS)"},
		{"metadata", "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"},
		{"header-fields", "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)])"},
		{"bodies", "FETCH 1:500 (BODY.PEEK[])"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			before := c.Octets
			for b.Loop() {
				if err := c.Do(bench.command); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes((c.Octets - before) / int64(b.N))
		})
	}
}

// benchClient returns a client that has selected a mailbox with messages of real sizes, of
// which one in five is unseen.
func benchClient(b *testing.B, count int) *client.Conn {
	const batch = 100
	srv := simtest.Start(b, 1)
	srv.AddUser("user")
	c, err := client.Dial(srv.Target().Addr, client.TLS(false))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	if err := c.Login(srv.Target().Login("user")); err != nil {
		b.Fatal(err)
	}
	gen := corpus.Generator{Seed: 1}
	for i := 0; i < count; {
		var messages []client.Message
		for ; len(messages) < batch && i < count; i++ {
			messages = append(messages, client.Message{Text: gen.Append(nil, i), Seen: gen.Seen(i), Date: gen.Date(i)})
		}
		if err := c.Append("INBOX", messages...); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.Do("SELECT INBOX"); err != nil {
		b.Fatal(err)
	}
	return c
}
