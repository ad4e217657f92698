package client

import (
	"os"
	"syscall"
	"time"
)

// Watch tells when connections have something to read, without reading it: what the
// generator does with an event must not delay the next.
type Watch struct {
	epoll  int
	conns  map[int]*Conn
	events []syscall.EpollEvent
}

// NewWatch watches conns until Close, which leaves them open.
func NewWatch(conns []*Conn) (*Watch, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	w := &Watch{epoll: epoll, conns: make(map[int]*Conn), events: make([]syscall.EpollEvent, 1024)}
	for _, c := range conns {
		w.conns[c.FD()] = c
		if err := w.arm(syscall.EPOLL_CTL_ADD, c.FD()); err != nil {
			w.Close()
			return nil, err
		}
	}
	return w, nil
}

// Close ends the watch.
func (w *Watch) Close() error { return syscall.Close(w.epoll) }

// arm makes the connection tell once more.
func (w *Watch) arm(op, fd int) error {
	e := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLONESHOT, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(w.epoll, op, fd, &e))
}

// All waits until each connection has had something to read since Drain, and returns
// when the last one had.
func (w *Watch) All() (time.Time, error) {
	deadline := time.Now().Add(stallLimit)
	for missing := len(w.conns); missing > 0; {
		n, err := w.wait(time.Second)
		if err != nil {
			return time.Time{}, err
		}
		missing -= n
		if time.Now().After(deadline) {
			return time.Time{}, os.ErrDeadlineExceeded
		}
	}
	return time.Now(), nil
}

// Drain reads what there is until nothing has come for the time quiet.
func (w *Watch) Drain(quiet time.Duration) error {
	for fd := range w.conns {
		if err := w.arm(syscall.EPOLL_CTL_MOD, fd); err != nil {
			return err
		}
	}
	for {
		n, err := w.wait(quiet)
		if err != nil || n == 0 {
			return err
		}
		for _, e := range w.events[:n] {
			c := w.conns[int(e.Fd)]
			if err := c.Read(); err != nil {
				return err
			}
			c.Park()
			if err := w.arm(syscall.EPOLL_CTL_MOD, int(e.Fd)); err != nil {
				return err
			}
		}
	}
}

func (w *Watch) wait(timeout time.Duration) (n int, err error) {
	err = uninterrupted(func() (err error) {
		n, err = syscall.EpollWait(w.epoll, w.events, int(timeout.Milliseconds()))
		return err
	})
	return max(n, 0), os.NewSyscallError("epoll_wait", err)
}
