package daemon

import (
	"net"
	"strings"
	"testing"
)

// If this failed, a socket handed over under a name that nothing serves would let clients
// wait for ever.
func TestBugUnknownSocketName(t *testing.T) {
	if err := checkNames(map[string][]net.Listener{forIMAPS: nil, forAdmin: nil}); err != nil {
		t.Error(err)
	}
	err := checkNames(map[string][]net.Listener{"LISTEN_FD_3": nil})
	if err == nil || !strings.Contains(err.Error(), `"LISTEN_FD_3"`) || !strings.Contains(err.Error(), forIMAPS) {
		t.Errorf("unknown name: %v", err)
	}
}
