package simtest

import (
	"testing"

	"go.uber.org/goleak"
)

// A goroutine that outlives its server would hold a connection, or a mailbox, for
// as long as the process runs.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
