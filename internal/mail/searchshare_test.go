package mail

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// If this fails, a search uses one processor only, or many searches use more than there
// are.
func TestSearchHelpers(t *testing.T) {
	h := make(searchHelpers, 3)
	var together, tried sync.WaitGroup
	together.Add(1 + cap(h))
	tried.Add(1 + cap(h))
	err := h.run(t.Context(), 10, func(ctx context.Context) error {
		together.Done()
		together.Wait()
		// All helpers are at work: who comes now has to do it alone.
		alone := 0
		err := h.run(ctx, 10, func(context.Context) error { alone++; return nil })
		if alone != 1 {
			t.Errorf("%d at work, where no helper is free", alone)
		}
		tried.Done()
		tried.Wait()
		return err
	})
	if err != nil || len(h) != 0 {
		t.Errorf("%v, and %d helpers have not come back", err, len(h))
	}
	var calls atomic.Int32
	err = h.run(t.Context(), 1, func(context.Context) error { calls.Add(1); return nil })
	if err != nil || calls.Load() != 2 {
		t.Errorf("%d calls with one helper: %v", calls.Load(), err)
	}
}

// If this fails, a search goes on when it cannot succeed any more, or damage stays
// unnoticed because a helper saw it.
func TestSearchHelpersEnd(t *testing.T) {
	damage := errors.New("damage")
	h := make(searchHelpers, 3)
	var order atomic.Int32
	err := h.run(t.Context(), 3, func(ctx context.Context) error {
		if order.Add(1) == 3 {
			return damage
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if err != damage || len(h) != 0 {
		t.Errorf("got %v, %d helpers at work", err, len(h))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.run(ctx, 3, func(ctx context.Context) error { return ctx.Err() }); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

// If this fails, a message that the search cannot cope with ends the server and not the
// session alone.
func TestSearchHelpersPanic(t *testing.T) {
	for _, inHelper := range []bool{true, false} {
		h := make(searchHelpers, 1)
		caught := func() (p any) {
			defer func() { p = recover() }()
			return h.run(t.Context(), 1, func(ctx context.Context) error {
				if strings.Contains(string(debug.Stack()), "mail.contained(") == inHelper {
					panic("strange message")
				}
				<-ctx.Done()
				return nil
			})
		}()
		text, _ := caught.(string)
		if !strings.HasPrefix(text, "strange message") || inHelper && !strings.Contains(text, "searchshare_test.go") {
			t.Errorf("in helper %v: caught %v", inHelper, caught)
		}
		if len(h) != 0 {
			t.Errorf("in helper %v: the helper has not come back", inHelper)
		}
	}
}

// If this fails, a search forgets messages or looks at some twice.
func TestSearchQueue(t *testing.T) {
	for _, n := range []int{0, 1, leastSearchPerRead, 5000, 100_000} {
		all := make([]place, n)
		for i := range all {
			all[i].i = i
		}
		q := &searchQueue{rest: all, parts: 4}
		var got []place
		for part := q.take(); len(part) > 0; part = q.take() {
			if len(part) > searchPerRead {
				t.Fatalf("%d messages at once", len(part))
			}
			got = append(got, part...)
		}
		if !slices.Equal(got, all) {
			t.Errorf("of %d messages, %d are handed out", n, len(got))
		}
	}
}
