package testbed

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main runs the tests of a package and ends the process; it is for TestMain. Goroutines
// that are left behind make it fail. Those that are about to end get Patience for it, where
// goleak itself gives them a second.
func Main(m *testing.M, ignore ...goleak.Option) {
	code := m.Run()
	if code == 0 {
		err := goleak.Find(ignore...)
		for end := time.Now().Add(Patience); err != nil && time.Now().Before(end); {
			err = goleak.Find(ignore...)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
