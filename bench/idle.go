package main

import (
	"time"

	"tidemark/bench/client"
	"tidemark/bench/corpus"
)

// pushes is how many changes are pushed to each number of watchers.
const pushes = 10

// runPush appends a message to a mailbox that many watch, and measures from the tagged OK
// until the last of them has been told. One that was told before the OK has waited for
// nothing.
func (t *turn) runPush(watchers []int) error {
	for row, n := range watchers {
		if err := t.push(row, n); err != nil {
			return err
		}
	}
	return t.empty(firstUser, "INBOX")
}

func (t *turn) push(row, n int) error {
	list, err := t.idlers(n, func(int) int { return firstUser })
	defer closeAll(list)
	if err != nil {
		return err
	}
	watch, err := client.NewWatch(list)
	if err != nil {
		return err
	}
	defer watch.Close()
	c, err := t.login(t.srv, firstUser)
	if err != nil {
		return err
	}
	defer c.Close()
	message := corpus.Generator{Seed: seed, Limit: small}.Append(nil, 1)
	var times []time.Duration
	for range pushes {
		if err := watch.Drain(50 * time.Millisecond); err != nil {
			return err
		}
		d, err := t.pushOnce(row, c, watch, message)
		if err != nil {
			return err
		}
		times = append(times, d)
	}
	t.figures[row].Value = milliseconds(median(times))
	return nil
}

func (t *turn) pushOnce(row int, c *client.Conn, watch *client.Watch, message []byte) (d time.Duration, err error) {
	type arrival struct {
		at  time.Time
		err error
	}
	_, err = t.timed(row, func() (int, error) {
		last := make(chan arrival, 1)
		go func() {
			at, err := watch.All()
			last <- arrival{at, err}
		}()
		if err := c.Append("INBOX", client.Message{Text: message}); err != nil {
			return 0, err
		}
		ok := time.Now()
		a := <-last
		d = max(a.at.Sub(ok), 0)
		return 1, a.err
	})
	return d, err
}

// idlers makes n sessions that have selected their inbox and wait with IDLE.
func (t *turn) idlers(n int, user func(i int) int) ([]*client.Conn, error) {
	return dial(n, func(i int) (*client.Conn, error) {
		c, err := t.open(user(i), "INBOX")
		if err != nil {
			return nil, err
		}
		if err := c.Idle(); err != nil {
			c.Close()
			return nil, err
		}
		c.Park()
		return c, nil
	})
}

// runIdleMemory measures what the memory of a server that was just started grows by with
// idle sessions.
func (t *turn) runIdleMemory(sessions []int) error {
	for row, n := range sessions {
		if err := t.srv.Restart(); err != nil {
			return err
		}
		if err := t.warm(userCount, fileUserCount); err != nil {
			return err
		}
		before, err := t.steadyMemory()
		if err != nil {
			return err
		}
		list, err := t.idlers(n, func(i int) int { return userCount + i%fileUserCount })
		if err == nil {
			t.figures[row].Memory, err = t.steadyMemory()
		}
		closeAll(list)
		if err != nil {
			return err
		}
		t.figures[row].Ops = n
		t.figures[row].Value = float64(t.figures[row].Memory-before) / 1024 / float64(n)
	}
	return nil
}

// steadyMemory waits until the memory does not change any more, or for some time, and
// returns it.
func (t *turn) steadyMemory() (int64, error) {
	const times, pause = 20, 500 * time.Millisecond
	var last int64
	for range times {
		if err := t.settle(); err != nil {
			return 0, err
		}
		now, err := t.srv.Memory()
		if err != nil {
			return 0, err
		}
		if diff := now - last; diff > -last/200 && diff < last/200 {
			return now, nil
		}
		last = now
		time.Sleep(pause)
	}
	return last, nil
}
