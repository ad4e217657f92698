package auth

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
)

// If it fails, a flood of logins from one address makes everybody wait, or its traces
// stay in memory.
func TestLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLanes()
		one, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
		enter := func(p netip.Prefix) func() {
			leave, err := l.enter(t.Context(), p)
			if err != nil {
				t.Error(err)
			}
			return leave
		}
		var leave []func()
		for range laneWidth {
			leave = append(leave, enter(one))
		}
		entered := false
		go func() {
			last := enter(one)
			entered = true
			last()
		}()
		synctest.Wait()
		if entered {
			t.Error("more than the width at once")
		}
		enter(other)()

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.enter(ctx, one); !errors.Is(err, context.Canceled) {
			t.Errorf("waits for a client that has gone: %v", err)
		}
		for _, f := range leave {
			f()
		}
		synctest.Wait()
		if !entered || len(l.open) != 0 {
			t.Errorf("entered %v, %d lanes left", entered, len(l.open))
		}
	})
}
