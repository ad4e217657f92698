//go:build !linux

package imapserver

import "net"

// quickAck does nothing where the kernel has no such setting.
func quickAck(net.Conn) {}
