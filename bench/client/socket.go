package client

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// socket is a TCP connection whose calls block in the kernel. Go's own connections go
// through the scheduler and epoll, which costs the generator several microseconds a
// round trip; here a waiting reader is woken by the kernel itself.
type socket struct {
	fd     int
	remote *net.TCPAddr
}

var _ net.Conn = (*socket)(nil)

// stallLimit is how long a server may be silent. One that is longer is broken.
const stallLimit = 5 * time.Minute

func dialSocket(addr string) (*socket, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &socket{fd: fd, remote: net.TCPAddrFromAddrPort(ap)}
	if err := s.connect(ap); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return s, nil
}

func (s *socket) connect(ap netip.AddrPort) error {
	timeout := syscall.NsecToTimeval(stallLimit.Nanoseconds())
	err := errors.Join(
		syscall.SetsockoptInt(s.fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.SetsockoptTimeval(s.fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &timeout),
		syscall.SetsockoptTimeval(s.fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &timeout),
	)
	if err != nil {
		return err
	}
	remote := &syscall.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	connect := func() error { return syscall.Connect(s.fd, remote) }
	err = uninterrupted(connect)
	if err == syscall.EADDRNOTAVAIL && ap.Addr().IsLoopback() {
		// This address has no ports left; the network has others.
		local := &syscall.SockaddrInet4{Addr: [4]byte{127, 1, byte(rand.Uint32()), byte(1 + rand.UintN(254))}}
		if err := syscall.Bind(s.fd, local); err != nil {
			return os.NewSyscallError("bind", err)
		}
		err = uninterrupted(connect)
	}
	return err
}

func uninterrupted(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

func (s *socket) Read(p []byte) (n int, err error) {
	err = uninterrupted(func() (err error) {
		n, err = syscall.Read(s.fd, p)
		return err
	})
	switch {
	case err == syscall.EAGAIN:
		return 0, os.ErrDeadlineExceeded
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

func (s *socket) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := syscall.Write(s.fd, p[done:])
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return done, os.ErrDeadlineExceeded
		case err != nil:
			return done, os.NewSyscallError("write", err)
		}
		done += max(n, 0)
	}
	return done, nil
}

func (s *socket) Close() error { return syscall.Close(s.fd) }

func (s *socket) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (s *socket) RemoteAddr() net.Addr { return s.remote }

// The time limit is stallLimit for all calls.

func (s *socket) SetDeadline(time.Time) error      { return nil }
func (s *socket) SetReadDeadline(time.Time) error  { return nil }
func (s *socket) SetWriteDeadline(time.Time) error { return nil }
