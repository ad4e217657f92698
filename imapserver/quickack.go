package imapserver

import (
	"net"
	"syscall"
)

// quickAck has the kernel acknowledge at once what has been received. A client that
// writes a literal and the line end after it in two pieces, as Python's imaplib does, sends
// the second when the first has been acknowledged (Nagle's algorithm), for which the
// kernel would otherwise wait 40 ms for an answer to go with.
func quickAck(c net.Conn) {
	tcp, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // without it things are only slower
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
}
