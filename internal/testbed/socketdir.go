package testbed

import (
	"os"
	"testing"
)

// SocketDir returns a directory that goes with t. Unlike that of t.TempDir its name does not
// hold the test's, with which the path of a socket can be longer than the system allows.
func SocketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
