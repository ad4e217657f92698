package main

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"

	"tidemark/bench/client"
)

// stopwatch collects times of a part of what is done.
type stopwatch struct{ times []time.Duration }

func (s *stopwatch) measure(fn func() error) error {
	start := time.Now()
	err := fn()
	s.times = append(s.times, time.Since(start))
	return err
}

// runFetchFlags is what a mail program does that knows no CONDSTORE.
func (t *turn) runFetchFlags() error {
	m := t.opts.bigMailbox()
	c, err := t.open(m.user, m.name)
	if err != nil {
		return err
	}
	defer c.Close()
	return t.latency(0, 10, func() error { return atLeast(c, "UID FETCH 1:* (FLAGS)", m.count) })
}

// runFetchMetadata is what a mail program does to fill its list of messages.
func (t *turn) runFetchMetadata(n int) error {
	m := t.opts.fullMailbox()
	command := fmt.Sprintf("FETCH 1:%d (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)", n)
	return t.firstAndAgain(m, 10, command)
}

// runFetchHeaders asks for what programs list that do without ENVELOPE.
func (t *turn) runFetchHeaders(n int) error {
	m := t.opts.fullMailbox()
	const fields = "From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To"
	command := fmt.Sprintf("FETCH 1:%d (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (%s)])", n, fields)
	return t.firstAndAgain(m, 10, command)
}

// runQuestion asks something twice.
func (t *turn) runQuestion(m mailbox, command string) error { return t.firstAndAgain(m, 5, command) }

// firstAndAgain gives a command as the first one that ever asks for such things after a
// restart, for row 0, and then some times more for row 1.
func (t *turn) firstAndAgain(m mailbox, times int, command string) error {
	if err := t.srv.Forget(t.users[m.user].Name, m.name); err != nil {
		return err
	}
	c, err := t.open(m.user, m.name)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := t.once(0, func() error { return c.Do(command) }); err != nil {
		return err
	}
	return t.latency(1, times, func() error { return c.Do(command) })
}

// runDownload fetches all bodies of a mailbox, each connection all of them.
func (t *turn) runDownload() error {
	for i, conns := range []int{1, 4} {
		if err := t.download(i, conns); err != nil {
			return err
		}
	}
	return nil
}

func (t *turn) download(row, conns int) error {
	m := t.opts.fullMailbox()
	list, err := dial(conns, func(int) (*client.Conn, error) { return t.open(m.user, m.name) })
	defer closeAll(list)
	if err != nil {
		return err
	}
	var octets atomic.Int64
	elapsed, err := t.timed(row, func() (int, error) {
		err := concurrently(conns, conns, func(worker, _ int) error {
			c := list[worker]
			before := c.Octets
			err := c.Do("UID FETCH 1:* (BODY.PEEK[])")
			octets.Add(c.Octets - before)
			return err
		})
		return int(octets.Load() / 1e6), err
	})
	t.figures[row].Value = float64(octets.Load()) / 1e6 / elapsed.Seconds()
	return err
}

// counted gives a command and checks that there were n lines with a word in them. An
// answer that is too short would be too fast.
func counted(c *client.Conn, command, word string, n int) error {
	lines := 0
	err := c.Each(command, func(line []byte) {
		if bytes.Contains(line, []byte(word)) {
			lines++
		}
	})
	if err == nil && lines != n {
		err = fmt.Errorf("%s: %d lines with %q, %d were expected", command, lines, word, n)
	}
	return err
}

// atLeast gives a command of which at least n lines are expected, and no literals.
func atLeast(c *client.Conn, command string, n int) error {
	lines, err := c.Count(command)
	if err == nil && lines < n {
		err = fmt.Errorf("%s: %d lines, at least %d were expected", command, lines, n)
	}
	return err
}
