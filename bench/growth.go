package main

import (
	"fmt"

	"tidemark/bench/client"
)

// growthQuestions are what is asked of mailboxes of every size.
var growthQuestions = []struct {
	name string
	ask  func(c *client.Conn, m mailbox) error
}{
	{"SELECT", func(c *client.Conn, m mailbox) error { return c.Do("SELECT " + m.name) }},
	{"STATUS", func(c *client.Conn, m mailbox) error {
		return c.Do("STATUS " + m.name + " (MESSAGES UNSEEN UIDNEXT)")
	}},
	{"NOOP", func(c *client.Conn, _ mailbox) error { return c.Do("NOOP") }},
	{"UID FETCH 1:* (FLAGS)", func(c *client.Conn, m mailbox) error {
		return atLeast(c, "UID FETCH 1:* (FLAGS)", m.count)
	}},
	{"FETCH of the last 50", func(c *client.Conn, m mailbox) error {
		return c.Do(fmt.Sprintf("FETCH %d:* (UID FLAGS ENVELOPE)", max(1, m.count-49)))
	}},
}

// growthWorkload asks the same of mailboxes of which each is ten times the one before.
func growthWorkload(o *options) workload {
	sizes := []int{max(o.messages/100, 10), max(o.messages/10, 10), o.messages}
	if o.big {
		sizes = append(sizes, 10*o.messages)
	}
	w := workload{name: "growth", run: func(t *turn) error { return t.runGrowth(sizes) }}
	for _, size := range sizes {
		w.data = append(w.data, growthMailbox(o, size))
		for _, q := range growthQuestions {
			w.rows = append(w.rows, row{name: fmt.Sprintf("growth: %s at %s", q.name, number(size)), unit: millis, op: "command"})
		}
	}
	return w
}

func growthMailbox(o *options, size int) mailbox {
	if size == o.messages {
		return o.bigMailbox()
	}
	return sized(fmt.Sprintf("growth%d", size), size)
}

func (t *turn) runGrowth(sizes []int) error {
	for i, size := range sizes {
		if err := t.growthOf(growthMailbox(t.opts, size), i*len(growthQuestions)); err != nil {
			return err
		}
	}
	return nil
}

// growthOf asks all questions of a mailbox and sets as many rows from the first on.
func (t *turn) growthOf(m mailbox, first int) error {
	c, err := t.open(m.user, m.name)
	if err != nil {
		return err
	}
	defer c.Close()
	for i, q := range growthQuestions {
		if err := t.latency(first+i, 20, func() error { return q.ask(c, m) }); err != nil {
			return err
		}
	}
	return nil
}
