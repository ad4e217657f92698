package testbed

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Program is a server of others that runs for a test.
type Program struct {
	cmd    *exec.Cmd
	output Log
	ended  chan struct{} // closed when it has, with all that it has started
	stop   os.Signal
}

// StartProgram starts a server and waits until it accepts connections at addr, host:port.
// The end of t stops it by the signal.
func StartProgram(t testing.TB, cmd *exec.Cmd, addr string, stop os.Signal) *Program {
	t.Helper()
	p := &Program{cmd: cmd, ended: make(chan struct{}), stop: stop}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; scripts/install-test-deps installs what is missing", err)
	}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended shows in its output
	}()
	t.Cleanup(p.Stop)
	p.awaitListener(t, addr)
	return p
}

// awaitListener asks again and again: the program has no way to tell.
func (p *Program) awaitListener(t testing.TB, addr string) {
	t.Helper()
	late := time.NewTimer(Patience)
	defer late.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
			return
		}
		select {
		case <-tick.C:
		case <-p.ended:
			t.Fatalf("%s has ended: %s", p.cmd.Path, &p.output)
		case <-late.C:
			t.Fatalf("%s does not listen: %s", p.cmd.Path, &p.output)
		}
	}
}

// Stop ends the program, if it has not ended yet, and waits for its end.
func (p *Program) Stop() {
	late := time.AfterFunc(Patience, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	_ = p.cmd.Process.Signal(p.stop) // fails only if it has ended
	<-p.ended
}
