package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"tidemark/bench/client"
	"tidemark/bench/corpus"
)

const (
	mixedUsers    = 50
	mixedMessages = 200
)

// mixedCommand is a share of what people's mail programs do.
type mixedCommand struct {
	share int
	do    func(*mixedClient) error
}

// mixedCommands adds up to 100.
var mixedCommands = []mixedCommand{
	{18, func(m *mixedClient) error { return m.Do("NOOP") }},
	{10, func(m *mixedClient) error { return m.Do("STATUS INBOX (MESSAGES UNSEEN UIDNEXT)") }},
	{8, func(m *mixedClient) error { return m.Do("SELECT mixed") }},
	{10, func(m *mixedClient) error { return m.Do("UID FETCH 1:* (FLAGS)") }},
	{14, func(m *mixedClient) error {
		first := 1 + m.rand.IntN(mixedMessages-20)
		return m.Do(fmt.Sprintf("UID FETCH %d:%d (FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)", first, first+19))
	}},
	{22, func(m *mixedClient) error { return m.Do(fmt.Sprintf("UID FETCH %d (BODY.PEEK[])", m.uid())) }},
	{8, func(m *mixedClient) error {
		return m.Do(fmt.Sprintf(`UID STORE %d %cFLAGS (\Seen)`, m.uid(), "+-"[m.rand.IntN(2)]))
	}},
	{4, func(m *mixedClient) error { return m.Do("UID SEARCH UNSEEN") }},
	{4, func(m *mixedClient) error {
		return m.Append(incoming, client.Message{Text: m.messages[m.rand.IntN(len(m.messages))]})
	}},
	{2, func(m *mixedClient) error { return m.Do(fmt.Sprintf("UID COPY %d %s", m.uid(), incoming)) }},
}

type mixedClient struct {
	*client.Conn
	rand     *rand.Rand
	messages [][]byte
	times    []time.Duration
}

func (m *mixedClient) uid() int { return 1 + m.rand.IntN(mixedMessages) }

// step gives a random command.
func (m *mixedClient) step() error {
	n := m.rand.IntN(100)
	for _, c := range mixedCommands {
		if n -= c.share; n < 0 {
			start := time.Now()
			err := c.do(m)
			m.times = append(m.times, time.Since(start))
			return err
		}
	}
	return nil
}

func (t *turn) runMixed(conns, n int) error {
	for user := range mixedUsers {
		if err := t.create(user, incoming); err != nil {
			return err
		}
	}
	messages := corpus.Generator{Seed: seed}.Messages(distinct)
	clients := make([]*mixedClient, conns)
	list, err := dial(conns, func(i int) (*client.Conn, error) {
		c, err := t.open(i%mixedUsers, "mixed")
		clients[i] = &mixedClient{Conn: c, rand: rand.New(rand.NewPCG(seed, uint64(i))), messages: messages}
		return c, err
	})
	defer closeAll(list)
	if err != nil {
		return err
	}
	elapsed, err := t.timed(0, func() (int, error) {
		return n, concurrently(conns, n, func(worker, _ int) error { return clients[worker].step() })
	})
	var times []time.Duration
	for _, c := range clients {
		times = append(times, c.times...)
	}
	t.figures[0].Value = float64(n) / elapsed.Seconds()
	for i, q := range []float64{0.5, 0.99} {
		t.figures[1+i] = figure{Value: milliseconds(quantile(times, q)), Ops: n}
	}
	return err
}

// mixedMailboxes are what the mix works with, one for each user.
func mixedMailboxes() (list []mailbox) {
	for user := range mixedUsers {
		list = append(list, mailbox{user, "mixed", mixedMessages, corpus.Generator{Seed: seed + uint64(user), Limit: 16 << 10}})
	}
	return list
}
