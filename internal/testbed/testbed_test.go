package testbed

import (
	"net"
	"testing"
	"testing/synctest"
)

// If this fails, two servers of a test are told to take the same port, or a port that a
// test was given goes to another one before its server has started.
func TestFreePort(t *testing.T) {
	given := map[int]bool{}
	for range 50 {
		port := FreePort(t)
		if given[port] {
			t.Errorf("port %d was given twice", port)
		}
		given[port] = true
		if err := reserve(t, port); err == nil {
			t.Errorf("port %d could be had again", port)
		}
	}
	l, err := net.Listen("tcp", FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// If this fails, a test that waits for a line of a log waits for ever, or goes on without it.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Log
		come := false
		go func() {
			l.Await(t, "second")
			come = true
		}()
		for _, line := range []string{"first\n", "sec", "ond\n"} {
			synctest.Wait()
			if come {
				t.Errorf("found in %q", l.String())
			}
			if _, err := l.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if !come {
			t.Errorf("not found in %q", l.String())
		}
		l.Await(t, "first")
	})
}
