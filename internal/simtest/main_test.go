package simtest

import (
	"testing"

	"tidemark/internal/testbed"
)

// A goroutine that outlives its server would hold a connection, or a mailbox, for
// as long as the process runs.
func TestMain(m *testing.M) { testbed.Main(m) }
