package main

import (
	"fmt"

	"tidemark/bench/client"
	"tidemark/bench/corpus"
)

// distinct is how many different messages are delivered, again and again.
const distinct = 500

// incoming is the mailbox of a user that deliveries go into.
const incoming = "incoming"

// runAppend appends n messages on several connections, each to one of the mailboxes, all
// of which belong to users of their own.
func (t *turn) runAppend(conns, mailboxes, n int) error {
	messages := corpus.Generator{Seed: seed}.Messages(distinct)
	for i := range mailboxes {
		if err := t.create(firstUser+i, incoming); err != nil {
			return err
		}
	}
	err := t.rate(0, conns, n,
		func(i int) (*client.Conn, error) { return t.login(t.srv, firstUser+i%mailboxes) },
		func(c *client.Conn, i int) error {
			return c.Append(incoming, client.Message{Text: messages[i%distinct]})
		})
	for i := range mailboxes {
		if err == nil {
			err = t.holds(firstUser+i, incoming, n, mailboxes)
		}
		if err == nil {
			err = t.remove(firstUser+i, incoming)
		}
	}
	return err
}

// holds checks that a mailbox has got its share of n messages, where it is certain what
// that is.
func (t *turn) holds(user int, name string, n, shares int) error {
	if shares > 1 {
		return nil
	}
	c, err := t.login(t.srv, user)
	if err != nil {
		return err
	}
	defer c.Close()
	got, err := count(c, name)
	if err == nil && got != n {
		err = fmt.Errorf("mailbox %s has %d messages of %d", name, got, n)
	}
	return err
}

func (t *turn) runLMTP(conns, n int) error {
	messages := corpus.Generator{Seed: seed}.Messages(distinct)
	list := make([]*client.LMTP, conns)
	for i := range list {
		c, err := client.DialLMTP(t.srv.LMTP)
		if err != nil {
			return err
		}
		defer c.Close()
		list[i] = c
	}
	elapsed, err := t.timed(0, func() (int, error) {
		return n, concurrently(conns, n, func(worker, i int) error {
			return list[worker].Deliver(t.users[firstUser+worker].Name+"@example.org", messages[i%distinct])
		})
	})
	t.figures[0].Value = float64(n) / elapsed.Seconds()
	for i := range conns {
		if err == nil {
			err = t.empty(firstUser+i, "INBOX")
		}
	}
	return err
}

func (t *turn) runMultiAppend(n int) error {
	gen := corpus.Generator{Seed: seed, Limit: small}
	texts := gen.Messages(distinct)
	batch := make([]client.Message, distinct)
	for i := range batch {
		batch[i] = client.Message{Text: texts[i], Date: gen.Date(i)}
	}
	if err := t.create(firstUser, incoming); err != nil {
		return err
	}
	c, err := t.login(t.srv, firstUser)
	if err != nil {
		return err
	}
	defer c.Close()
	elapsed, err := t.timed(0, func() (int, error) {
		for done := 0; done < n; done += distinct {
			if err := c.Append(incoming, batch[:min(distinct, n-done)]...); err != nil {
				return 0, err
			}
		}
		return n, nil
	})
	t.figures[0].Value = float64(n) / elapsed.Seconds()
	if err == nil {
		err = t.holds(firstUser, incoming, n, 1)
	}
	if err == nil {
		err = t.remove(firstUser, incoming)
	}
	return err
}
