package mail

import (
	"context"
	"testing"

	"tidemark/bench/corpus"
	"tidemark/imap"
	"tidemark/imapserver"
)

// corpusMailbox returns the inbox with n messages that have the sizes, structures and
// languages of real mail.
func corpusMailbox(b *testing.B, n int) *Selected {
	b.Helper()
	a := benchAccount(b)
	const batch = 500
	g := corpus.Generator{Seed: 1}
	for first := 0; first < n; first += batch {
		messages := make([]imapserver.AppendMessage, min(batch, n-first))
		for i := range messages {
			messages[i] = benchUpload(b, a, g.Append(nil, first+i))
		}
		if _, err := a.Append(context.Background(), "INBOX", messages); err != nil {
			b.Fatal(err)
		}
	}
	return openMailbox(b, a, "INBOX")
}

// BenchmarkSearchContent looks for a word that is in no message, and for one that is in
// many, in 2,000 messages of real sizes.
func BenchmarkSearchContent(b *testing.B) {
	m := corpusMailbox(b, 2000)
	v := m.View()
	for name, key := range map[string]imap.SearchKey{
		"body": imap.SearchBody{Value: "zzqxjkvw"},
		"text": imap.SearchText{Value: "harbour"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Search(context.Background(), v, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
