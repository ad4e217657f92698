package testbed

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// firstPort and ports are where free ports are looked for: below the range from which the
// kernel takes the ports of outgoing connections, one of which could be taken before the
// program that is to have it has started.
const firstPort, ports = 20_000, 12_000

// FreePort returns a port of 127.0.0.1 that nobody listens on, for a program that is
// started later. Until t ends no other test gets the same one, of this process or another.
func FreePort(t testing.TB) int {
	t.Helper()
	var err error
	for range 100 {
		port := firstPort + rand.IntN(ports)
		if err = reserve(t, port); err == nil {
			return port
		}
	}
	t.Fatalf("no free port: %v", err)
	return 0
}

// FreeAddr is FreePort as host:port.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", FreePort(t))
}

// reserve makes a port this test's own until it ends, if it is free. What tells the other
// tests is a socket in the abstract name space of Linux, which has the port's number for a
// name and goes with the process, however that ends.
func reserve(t testing.TB, port int) error {
	mine, err := net.Listen("unix", fmt.Sprintf("@tidemark-test-port-%d", port))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		mine.Close()
		return err
	}
	t.Cleanup(func() { mine.Close() })
	return nil
}
