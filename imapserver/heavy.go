package imapserver

import (
	"context"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hangUpInterval is how often a heavy command looks whether its client is still there.
const hangUpInterval = time.Second

// errHungUp ends a heavy command whose client has gone.
var errHungUp = &bye{reason: "client has gone during a command"}

// beginHeavy waits until the client's user may run one more heavy command. The
// context it returns ends when the client hangs up, so that nobody can leave work
// behind by connecting again and again. end must be called.
func (c *conn) beginHeavy(ctx context.Context) (_ context.Context, end func(), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.t.watchHangUp(ctx, cancel)
	}()
	slots := c.srv.guests.heavySlots(c)
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		cancel(nil)
		<-done
		return nil, nil, context.Cause(ctx)
	}
	return ctx, func() {
		<-slots
		cancel(nil)
		<-done
	}, nil
}

// watchHangUp cancels when the client has closed its side of the connection, and
// returns when ctx ends. It takes nothing from the socket and sees the end even where
// octets wait to be read before it, such as the close_notify of TLS.
func (t *transport) watchHangUp(ctx context.Context, cancel context.CancelCauseFunc) {
	socket, ok := t.socket.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	tick := time.NewTicker(hangUpInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if hungUp(raw) {
			cancel(errHungUp)
			return
		}
	}
}

func hungUp(raw syscall.RawConn) bool {
	gone := false
	err := raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(p, 0)
		gone = err == nil && n > 0 && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone || err != nil
}
