package main

import (
	"errors"
	"fmt"

	"tidemark/bench/client"
)

// toggle returns the command that sets and, the next time, removes a flag.
func toggle(set string, i int, flag string) string {
	return fmt.Sprintf("STORE %s %cFLAGS (%s)", set, "+-"[i%2], flag)
}

func (t *turn) runStoreOne(n int) error {
	m := t.opts.fullMailbox()
	c, err := t.open(m.user, m.name)
	if err != nil {
		return err
	}
	defer c.Close()
	i := -1
	err = t.latency(0, n, func() error {
		i++
		return c.Do(toggle("7", i, `\Flagged`))
	})
	if err != nil {
		return err
	}
	const conns = 8
	return t.rate(1, conns, n,
		func(int) (*client.Conn, error) { return t.open(m.user, m.name) },
		func(c *client.Conn, i int) error { return c.Do(toggle(fmt.Sprint(8+i%conns), i/conns, `\Flagged`)) })
}

// runStoreEarly is runStoreOne with Tidemark set to what Dovecot does: to answer before
// the disk has it.
func (t *turn) runStoreEarly(n int) error {
	if err := t.srv.RestartWith("storage.early_flags=true"); err != nil {
		return err
	}
	return errors.Join(t.runStoreOne(n), t.srv.RestartWith())
}

func (t *turn) runStoreAll() error {
	m := t.opts.bigMailbox()
	c, err := t.open(m.user, m.name)
	if err != nil {
		return err
	}
	defer c.Close()
	i := -1
	return t.latency(0, 6, func() error {
		i++
		return c.Do(fmt.Sprintf(`STORE 1:* %cFLAGS.SILENT ($Bench)`, "+-"[i%2]))
	})
}

// runCopy copies messages to a mailbox, moves them from there to another, and expunges
// them there.
func (t *turn) runCopy(n int) error {
	m := t.opts.bigMailbox()
	for _, name := range []string{"copied", "moved"} {
		if err := t.create(m.user, name); err != nil {
			return err
		}
	}
	c, err := t.open(m.user, m.name)
	if err != nil {
		return err
	}
	defer c.Close()
	return errors.Join(
		t.once(0, func() error { return c.Do(fmt.Sprintf("COPY 1:%d copied", n)) }),
		c.Do("SELECT copied"),
		t.once(1, func() error { return c.Do("MOVE 1:* moved") }),
		c.Do("SELECT moved"),
		c.Do(`STORE 1:* +FLAGS.SILENT (\Deleted)`),
		t.once(2, func() error { return counted(c, "EXPUNGE", " EXPUNGE", n) }),
		c.Do("UNSELECT"),
		c.Do("DELETE copied"),
		c.Do("DELETE moved"),
	)
}
