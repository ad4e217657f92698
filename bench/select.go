package main

import (
	"fmt"

	"tidemark/bench/client"
)

func (t *turn) runSelect() error {
	m := t.opts.bigMailbox()
	if err := t.srv.Restart(); err != nil {
		return err
	}
	c, err := t.login(t.srv, m.user)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := t.once(0, func() error { return c.Do("SELECT " + m.name) }); err != nil {
		return err
	}
	return t.reselect(c, 1, 200, "SELECT "+m.name, 0)
}

// reselect gives a SELECT n times, of which alone the time counts.
// The answer has a number of FETCH lines.
func (t *turn) reselect(c *client.Conn, row, n int, command string, fetches int) error {
	inner := &stopwatch{}
	err := t.latency(row, n, func() error {
		if err := c.Do("UNSELECT"); err != nil {
			return err
		}
		return inner.measure(func() error { return counted(c, command, " FETCH ", fetches) })
	})
	t.figures[row].Value = milliseconds(median(inner.times))
	return err
}

// runQResync asks what has changed since a state of the mailbox before 100 changes.
func (t *turn) runQResync() error {
	m := t.opts.bigMailbox()
	c, err := t.login(t.srv, m.user)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Do("ENABLE QRESYNC"); err != nil {
		return err
	}
	before, err := state(c, m.name)
	if err != nil {
		return err
	}
	const changes = 100
	set := ""
	for i := range changes {
		set += fmt.Sprintf(",%d", 1+i*m.count/changes)
	}
	if err := c.Do("STORE " + set[1:] + " +FLAGS.SILENT ($Bench)"); err != nil {
		return err
	}
	after, err := state(c, m.name)
	if err != nil {
		return err
	}
	since := func(s mailboxState) string {
		return fmt.Sprintf("SELECT %s (QRESYNC (%d %d))", m.name, s.uidValidity, s.modSeq)
	}
	if err := t.reselect(c, 0, 100, since(after), 0); err != nil {
		return err
	}
	if err := t.reselect(c, 1, 100, since(before), changes); err != nil {
		return err
	}
	changed := fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)", before.modSeq)
	if err := t.latency(2, 100, func() error { return counted(c, changed, " FETCH ", changes) }); err != nil {
		return err
	}
	return c.Do("STORE " + set[1:] + " -FLAGS.SILENT ($Bench)")
}

type mailboxState struct{ uidValidity, modSeq uint64 }

// state selects a mailbox and returns what QRESYNC needs to know of it.
func state(c *client.Conn, name string) (s mailboxState, err error) {
	err = c.Each("SELECT "+name, func(line []byte) {
		for format, to := range map[string]*uint64{
			"* OK [UIDVALIDITY %d]":   &s.uidValidity,
			"* OK [HIGHESTMODSEQ %d]": &s.modSeq,
		} {
			_, _ = fmt.Sscanf(string(line), format, to) // other lines do not match
		}
	})
	if err == nil && (s.uidValidity == 0 || s.modSeq == 0) {
		err = fmt.Errorf("SELECT gave UIDVALIDITY %d and HIGHESTMODSEQ %d", s.uidValidity, s.modSeq)
	}
	return s, err
}
