package main

import (
	"bytes"
	"fmt"
	"strconv"

	"tidemark/bench/client"
	"tidemark/bench/corpus"
	"tidemark/bench/peer"
)

// mailbox is a mailbox with generated mail that stays from one workload to the next.
type mailbox struct {
	user  int
	name  string
	count int
	gen   corpus.Generator
}

const (
	bigUser   = 0
	fullUser  = 1
	firstUser = 2 // and up: users whose mailboxes come and go

	seed = 4711
	// small is the size of messages of which there are very many.
	small = 2 << 10
)

// bigMailbox has many messages with little text: what counts is their number.
func (o *options) bigMailbox() mailbox { return sized("big", o.messages) }

func sized(name string, count int) mailbox {
	return mailbox{bigUser, name, count, corpus.Generator{Seed: seed, Limit: small}}
}

// fullMailbox has messages of real sizes.
func (o *options) fullMailbox() mailbox {
	return mailbox{fullUser, "full", max(o.messages/20, 100), corpus.Generator{Seed: seed}}
}

// load makes those of the mailboxes that are not there yet.
func (b *bench) load(s *peer.Server, list []mailbox) error {
	for _, m := range list {
		if err := b.loadOne(s, m); err != nil {
			return fmt.Errorf("mailbox %s: %w", m.name, err)
		}
	}
	return nil
}

func (b *bench) loadOne(s *peer.Server, m mailbox) error {
	c, err := b.login(s, m.user)
	if err != nil {
		return err
	}
	defer c.Close()
	switch n, err := count(c, m.name); {
	case err == nil && n == m.count:
		return nil
	case err == nil:
		if err := c.Do("DELETE " + m.name); err != nil {
			return err
		}
	}
	if m.count >= 1000 {
		logf("loading %d messages into %s of %s", m.count, m.name, s.Name)
	}
	if err := c.Do("CREATE " + m.name); err != nil {
		return err
	}
	return fill(c, m, b.lacks(s, []string{"MULTIAPPEND"}) == "")
}

// count returns the number of messages of a mailbox.
func count(c *client.Conn, name string) (n int, err error) {
	err = c.Each("STATUS "+name+" (MESSAGES)", func(line []byte) {
		if _, number, ok := bytes.Cut(line, []byte("(MESSAGES ")); ok {
			n, _ = strconv.Atoi(string(bytes.TrimSuffix(number, []byte(")")))) // 0 is noticed by those who ask
		}
	})
	return n, err
}

// What is sent at once while loading.
const (
	batchMessages = 500
	batchOctets   = 4 << 20
)

// fill appends all messages of the mailbox, many at once where the server allows it.
func fill(c *client.Conn, m mailbox, multi bool) error {
	send := func(batch []client.Message) error {
		if multi {
			return c.Append(m.name, batch...)
		}
		for _, msg := range batch {
			if err := c.Append(m.name, msg); err != nil {
				return err
			}
		}
		return nil
	}
	var batch []client.Message
	octets := 0
	for i := range m.count {
		msg := client.Message{Text: m.gen.Append(nil, i), Seen: m.gen.Seen(i), Date: m.gen.Date(i)}
		batch = append(batch, msg)
		octets += len(msg.Text)
		if len(batch) == batchMessages || octets > batchOctets || i == m.count-1 {
			if err := send(batch); err != nil {
				return err
			}
			batch, octets = batch[:0], 0
		}
	}
	return nil
}

// create makes an empty mailbox for a user, without what was left of an earlier one.
func (t *turn) create(user int, name string) error {
	c, err := t.login(t.srv, user)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.Do("DELETE " + name) // there may be none
	return c.Do("CREATE " + name)
}

// remove deletes a mailbox of a user.
func (t *turn) remove(user int, name string) error {
	c, err := t.login(t.srv, user)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Do("DELETE " + name)
}

// empty expunges all messages of a mailbox.
func (t *turn) empty(user int, name string) error {
	c, err := t.open(user, name)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Do(`UID STORE 1:* +FLAGS.SILENT (\Deleted)`); err != nil {
		return err
	}
	return c.Do("EXPUNGE")
}
