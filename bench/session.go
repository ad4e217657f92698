package main

import "tidemark/bench/client"

// warm logs each of the users in once, so that passwords are known where a server keeps
// them in mind.
func (t *turn) warm(first, n int) error {
	list, err := dial(n, func(i int) (*client.Conn, error) { return t.login(t.srv, first+i) })
	closeAll(list)
	return err
}

func (t *turn) runLogin(conns, n int) error {
	if err := t.warm(firstUser, conns); err != nil {
		return err
	}
	elapsed, err := t.timed(0, func() (int, error) {
		return n, concurrently(conns, n, func(worker, _ int) error {
			c, err := t.login(t.srv, firstUser+worker)
			if err != nil {
				return err
			}
			return c.Logout()
		})
	})
	t.figures[0].Value = float64(n) / elapsed.Seconds()
	return err
}

func (t *turn) runNoop(n int) error {
	c, err := t.open(fullUser, t.opts.fullMailbox().name)
	if err != nil {
		return err
	}
	defer c.Close()
	return t.latency(0, n, func() error { return c.Do("NOOP") })
}
