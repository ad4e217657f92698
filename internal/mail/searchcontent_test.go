package mail

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"tidemark/bench/corpus"
	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/message"
)

// corpusMailbox returns the inbox with n messages like those of real mail.
func corpusMailbox(t testing.TB, a *Account, g corpus.Generator, n int) (*Selected, [][]byte) {
	t.Helper()
	const batch = 500
	messages := g.Messages(n)
	for part := range slices.Chunk(messages, batch) {
		uploads := make([]imapserver.AppendMessage, len(part))
		for i, text := range part {
			uploads[i] = benchUpload(t, a, text)
		}
		if _, err := a.Append(t.Context(), "INBOX", uploads); err != nil {
			t.Fatal(err)
		}
	}
	return openMailbox(t, a, "INBOX"), messages
}

// If this fails, a search for what messages say gives a wrong answer when several
// processors share it.
func TestSearchContent(t *testing.T) {
	s, a := newAccount(t)
	s.searchHelpers = make(searchHelpers, 3)
	m, messages := corpusMailbox(t, a, corpus.Generator{Seed: 3, Limit: 3 << 10}, 400)
	for _, key := range []string{"harbour", "Grüße", "отчёт", "quinn.mason", "zzqxjkvw"} {
		for _, headers := range []bool{false, true} {
			var search imap.SearchKey = imap.SearchBody{Value: key}
			if headers {
				search = imap.SearchText{Value: key}
			}
			var want imap.NumSet
			for i, msg := range messages {
				scanner := message.NewScanner()
				scanner.Write(msg)
				found, err := message.NewNeedle(key).MatchText(bytes.NewReader(msg), scanner.Finish().Root, headers)
				if err != nil {
					t.Fatal(err)
				}
				if found {
					want.Add(uint32(i + 1))
				}
			}
			got, err := m.Search(t.Context(), m.View(), search)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%q, headers %v: got %v, want %v, %v", key, headers, got, want, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Search(ctx, m.View(), imap.SearchBody{Value: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled search gives %v", err)
	}
}

// BenchmarkSearchContent looks for a word that is in no message, and for one that is in
// many, in 2,000 messages of real sizes.
func BenchmarkSearchContent(b *testing.B) {
	m, _ := corpusMailbox(b, benchAccount(b), corpus.Generator{Seed: 1}, 2000)
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
