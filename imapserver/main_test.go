package imapserver

import (
	"testing"

	"tidemark/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }
