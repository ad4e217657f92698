package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"tidemark/bench/client"
	"tidemark/bench/peer"
)

// turn is one run of one workload on one server.
type turn struct {
	*bench
	srv     *peer.Server
	figures []figure
}

// open connects as a user and selects a mailbox.
func (t *turn) open(user int, mailbox string) (*client.Conn, error) {
	c, err := t.login(t.srv, user)
	if err != nil {
		return nil, err
	}
	if err := c.Do("SELECT " + mailbox); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// timed runs fn, which returns how many operations it did, and adds what it cost to a
// row. The server's processor time counts until the server is quiet again, so that work
// put off until after the answer is work all the same.
func (t *turn) timed(row int, fn func() (ops int, err error)) (time.Duration, error) {
	if err := t.settle(); err != nil {
		return 0, err
	}
	cpu, err := t.srv.CPU()
	if err != nil {
		return 0, err
	}
	generator, start := ownCPU(), time.Now()
	ops, err := fn()
	elapsed := time.Since(start)
	if err != nil {
		return 0, err
	}
	f := &t.figures[row]
	f.Generator += ownCPU() - generator
	f.Ops += ops
	if err := t.settle(); err != nil {
		return 0, err
	}
	after, err := t.srv.CPU()
	if err != nil {
		return 0, err
	}
	f.CPU += after - cpu
	f.Memory, err = t.srv.Memory()
	return elapsed, err
}

// A server is quiet when it has taken less than quietCPU in each of two times quietTime;
// after quietLimit it is taken as it is.
const (
	quietTime  = 40 * time.Millisecond
	quietCPU   = 1 * time.Millisecond
	quietLimit = 5 * time.Second
)

// settle waits until no server is busy.
func (t *turn) settle() error {
	deadline := time.Now().Add(quietLimit)
	last := make([]time.Duration, len(t.servers))
	for quiet := 0; quiet < 3 && time.Now().Before(deadline); quiet++ {
		for i, s := range t.servers {
			cpu, err := s.CPU()
			if err != nil {
				return err
			}
			if cpu-last[i] > quietCPU {
				quiet = 0
			}
			last[i] = cpu
		}
		time.Sleep(quietTime)
	}
	return nil
}

// ownCPU returns the processor time of this program.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // there is nothing in it that can fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// latencyLimit is how long a slow server is asked the same again, once it has been asked
// leastTimes.
const (
	latencyLimit = 8 * time.Second
	leastTimes   = 3
)

// latency does op up to n times, one after the other, and sets the row to the median in
// milliseconds.
func (t *turn) latency(row, n int, op func() error) error {
	times := make([]time.Duration, 0, n)
	_, err := t.timed(row, func() (int, error) {
		begin := time.Now()
		for len(times) < n && (len(times) < leastTimes || time.Since(begin) < latencyLimit) {
			start := time.Now()
			if err := op(); err != nil {
				return 0, err
			}
			times = append(times, time.Since(start))
		}
		return len(times), nil
	})
	t.figures[row].Value = milliseconds(median(times))
	return err
}

// once does op and sets the row to its time in milliseconds.
func (t *turn) once(row int, op func() error) error {
	d, err := t.timed(row, func() (int, error) { return 1, op() })
	t.figures[row].Value = milliseconds(d)
	return err
}

// rate does op n times on connections that connect makes, all at the same time, and sets
// the row to the operations per second.
func (t *turn) rate(row, conns, n int, connect func(i int) (*client.Conn, error), op func(c *client.Conn, i int) error) error {
	list, err := dial(conns, connect)
	defer closeAll(list)
	if err != nil {
		return err
	}
	elapsed, err := t.timed(row, func() (int, error) {
		return n, concurrently(conns, n, func(worker, i int) error { return op(list[worker], i) })
	})
	t.figures[row].Value = float64(n) / elapsed.Seconds()
	return err
}

// concurrently calls op for 0 to n-1 from several goroutines.
func concurrently(workers, n int, op func(worker, i int) error) error {
	// Reads block in the kernel. A worker that has a processor of its own to Go's
	// scheduler goes on at once when it wakes; one without would wait for one.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(runtime.NumCPU(), workers+2)))
	var (
		next atomic.Int64
		wg   sync.WaitGroup
		errs = make([]error, workers)
	)
	for w := range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := op(w, i); err != nil {
					errs[w] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// dialers is how many connections are made at the same time.
const dialers = 4

// dial makes n connections. It returns those that it made also with an error.
func dial(n int, connect func(i int) (*client.Conn, error)) ([]*client.Conn, error) {
	list := make([]*client.Conn, n)
	err := concurrently(min(n, dialers), n, func(_, i int) (err error) {
		if list[i], err = connect(i); err != nil {
			err = fmt.Errorf("connection %d: %w", i, err)
		}
		return err
	})
	return slices.DeleteFunc(list, func(c *client.Conn) bool { return c == nil }), err
}

func closeAll(list []*client.Conn) {
	for _, c := range list {
		c.Close()
	}
}

func median(times []time.Duration) time.Duration { return quantile(times, 0.5) }

// quantile sorts times.
func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(int(q*float64(len(times))), len(times)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
