package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"testing"

	"tidemark/internal/store"
)

// If this fails, one user can see or destroy another's mail.
func testIsolation(t *testing.T, f *fixture) {
	ids := []store.AccountID{0, 1, 2, 255, 256, math.MaxUint64 - 1, math.MaxUint64}
	for _, id := range ids {
		f.set(id, "", "empty", "a", fmt.Sprint(id), "z\xff\xff", "last")
	}
	for _, id := range ids {
		f.wantDump(id, fmt.Sprintf("=empty a=%d z\xff\xff=last", id))
	}
	// A range without an end stops at the account's end.
	f.update(256, func(tx store.Tx) { tx.DeleteRange(nil, nil) })
	f.update(math.MaxUint64, func(tx store.Tx) { tx.DeleteRange([]byte("b"), nil) })
	f.wantDump(255, "=empty a=255 z\xff\xff=last")
	f.wantDump(256, "")
	f.wantDump(math.MaxUint64-1, fmt.Sprintf("=empty a=%d z\xff\xff=last", uint64(math.MaxUint64-1)))
	f.wantDump(math.MaxUint64, fmt.Sprintf("=empty a=%d", uint64(math.MaxUint64)))

	blob := f.adopt(1, []byte("mine"))
	f.wantNoBlob(2, blob)
	f.update(2, func(tx store.Tx) { tx.DropBlob(blob) })
	f.wantBlob(1, blob, []byte("mine"))
}

// If this fails, a blob can get into an account without its owner's doing.
func testForeignBlob(t *testing.T, f *fixture) {
	ref := f.newBlob(1, []byte("x"))
	defer ref.Discard()
	wantPanic(t, "adopting another account's blob", func() {
		_ = f.e.Update(f.ctx, 2, func(tx store.Tx) error { tx.Adopt(ref); return nil })
	})
	f.set(2, "still", "works")
}

// If this fails, a reader can see half of a change.
func testViewConsistent(t *testing.T, f *fixture) {
	const rounds = 200
	f.set(1, "a", "0", "b", "0")
	var writers sync.WaitGroup
	writers.Go(func() {
		for i := range rounds {
			f.set(1, "a", strconv.Itoa(i), "b", strconv.Itoa(i))
		}
	})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range rounds {
				checkPair(t, f)
			}
		})
	}
	writers.Wait()
	readers.Wait()
}

func checkPair(t *testing.T, f *fixture) {
	err := f.e.View(f.ctx, 1, func(r store.Reader) error {
		a, err := r.Get([]byte("a"))
		if err != nil {
			return err
		}
		text, err := dumpRange(r, []byte("b"), nil, false)
		if want := "b=" + string(a); text != want {
			t.Errorf("a view sees %q and a=%s", text, a)
		}
		return err
	})
	if err != nil {
		t.Errorf("view: %v", err)
	}
}

// If this fails, a view changes while it is read.
func testViewStable(t *testing.T, f *fixture) {
	f.set(1, "k", "old")
	err := f.e.View(f.ctx, 1, func(r store.Reader) error {
		f.set(1, "k", "new", "l", "more")
		f.update(1, func(tx store.Tx) { tx.Delete([]byte("k")) })
		text, err := dumpRange(r, nil, nil, true)
		if text != "k=old" {
			t.Errorf("the view sees %q", text)
		}
		if v, err := r.Get([]byte("k")); err != nil || string(v) != "old" {
			t.Errorf("the view gets %q, %v", v, err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.wantDump(1, "l=more")
}

// If this fails, two sessions can be given the same UID.
func testSerial(t *testing.T, f *fixture) {
	const writers, rounds = 8, 25
	var running sync.WaitGroup
	for range writers {
		running.Go(func() {
			for range rounds {
				f.update(7, increment)
			}
		})
	}
	running.Wait()
	f.wantDump(7, fmt.Sprintf("n=%d", writers*rounds))
}

// increment adds one to the key n.
func increment(tx store.Tx) {
	v, _ := tx.Get([]byte("n"))
	n, _ := strconv.Atoi(string(v))
	tx.Set([]byte("n"), []byte(strconv.Itoa(n+1)))
}

// If this fails, one busy account holds up all others.
func testAccountsConcurrent(t *testing.T, f *fixture) {
	err := f.e.Update(f.ctx, 1, func(store.Tx) error {
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.set(2, "k", "v")
		}()
		<-done // would never come if account 2 waited for account 1
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.wantDump(2, "k=v")
}

// If this fails, a command that was refused has changed something.
func testUpdateError(t *testing.T, f *fixture) {
	f.set(1, "k", "v")
	ref := f.newBlob(1, []byte("content"))
	mine := errors.New("mine")
	err := f.e.Update(f.ctx, 1, func(tx store.Tx) error {
		tx.Set([]byte("k"), []byte("other"))
		tx.Set([]byte("l"), []byte("new"))
		tx.Adopt(ref)
		tx.OnApply(func() { t.Error("OnApply ran for a transaction that was not applied") })
		return mine
	})
	if err != mine {
		t.Errorf("the error came back as %v", err)
	}
	f.wantDump(1, "k=v")
	f.wantNoBlob(1, ref.Info().ID)
	f.update(1, func(tx store.Tx) { tx.Adopt(ref) })
	f.wantBlob(1, ref.Info().ID, []byte("content"))

	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	err = f.e.Update(ctx, 1, func(tx store.Tx) error { tx.Delete([]byte("k")); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("update with a cancelled context: %v", err)
	}
	f.wantDump(1, "k=v")
}

// If this fails, acknowledged mail is lost by a restart.
func testDurable(t *testing.T, f *fixture) {
	small, large := content(1, 1000), content(2, 700_000)
	a, b := f.adopt(3, small), f.adopt(3, large)
	for i := range 50 {
		f.set(3, fmt.Sprintf("k%02d", i), fmt.Sprint(i))
	}
	f.update(3, func(tx store.Tx) { tx.DeleteRange([]byte("k01"), []byte("k49")) })
	for range 2 {
		f.reopen()
		f.wantDump(3, "k00=0 k49=49")
		f.wantBlob(3, a, small)
		f.wantBlob(3, b, large)
		f.verify(3)
	}
}

// If this fails, a change that was answered early is not built upon, or is lost although
// somebody waited for it.
func testApply(t *testing.T, f *fixture) {
	var waits []func() error
	for i := range 20 {
		wait, err := f.e.Apply(f.ctx, 1, func(tx store.Tx) error {
			if v, _ := tx.Get([]byte("n")); i > 0 && string(v) != strconv.Itoa(i) {
				t.Errorf("update %d begins at %q", i, v)
			}
			increment(tx)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, wait)
	}
	slices.Reverse(waits)
	for _, wait := range waits {
		if err := wait(); err != nil {
			t.Errorf("wait: %v", err)
		}
	}
	f.wantDump(1, "n=20")
	f.reopen()
	f.wantDump(1, "n=20")

	mine := errors.New("mine")
	wait, err := f.e.Apply(f.ctx, 1, func(tx store.Tx) error { increment(tx); return mine })
	if err != mine || wait != nil {
		t.Errorf("the error came back as %v", err)
	}
	// The wait is no longer the caller's context's business.
	ctx, cancel := context.WithCancel(f.ctx)
	wait, err = f.e.Apply(ctx, 1, func(store.Tx) error { return nil })
	cancel()
	if err != nil || wait() != nil {
		t.Errorf("apply of nothing: %v", err)
	}
	f.wantDump(1, "n=20")
}

// If this fails, a bug in one session blocks the account for all others.
func testUpdatePanic(t *testing.T, f *fixture) {
	wantPanic(t, "Update", func() {
		_ = f.e.Update(f.ctx, 1, func(tx store.Tx) error {
			tx.Set([]byte("k"), []byte("v"))
			panic("on purpose")
		})
	})
	wantPanic(t, "Apply", func() {
		_, _ = f.e.Apply(f.ctx, 1, func(store.Tx) error { panic("on purpose") })
	})
	wantPanic(t, "View", func() {
		_ = f.e.View(f.ctx, 1, func(store.Reader) error { panic("on purpose") })
	})
	f.set(1, "l", "v")
	f.wantDump(1, "l=v")
}

// If this fails, the engine counts more than the last run of a function.
func testRunAgain(t *testing.T, f *fixture) {
	ref := f.newBlob(1, []byte("content"))
	applied := 0
	f.update(1, func(tx store.Tx) {
		increment(tx)
		tx.Adopt(ref)
		tx.OnApply(func() { applied++ })
	})
	if applied != 1 {
		t.Errorf("OnApply ran %d times", applied)
	}
	f.wantDump(1, "n=1")
	if n := len(f.blobs(1)); n != 1 {
		t.Errorf("%d blobs", n)
	}
}

// If this fails, the caches above the store fall out of step with it.
func testOnApply(t *testing.T, f *fixture) {
	const writers, rounds = 4, 50
	var order []string // guarded by the account's turn
	var running sync.WaitGroup
	for range writers {
		running.Go(func() {
			for range rounds {
				f.update(1, func(tx store.Tx) {
					increment(tx)
					n, _ := tx.Get([]byte("n"))
					text := string(n)
					if last := len(order); strconv.Itoa(last+1) != text {
						t.Errorf("update %s begins after %d applied functions", text, last)
					}
					tx.OnApply(func() { order = append(order, text) })
				})
			}
		})
	}
	running.Wait()
	if len(order) != writers*rounds {
		t.Errorf("%d functions ran, want %d", len(order), writers*rounds)
	}
	var both []int
	f.update(1, func(tx store.Tx) {
		tx.OnApply(func() { both = append(both, 1) })
		tx.OnApply(func() { both = append(both, 2) })
	})
	if !slices.Equal(both, []int{1, 2}) {
		t.Errorf("two functions of a transaction without changes: %v", both)
	}
}

// If this fails, callers cannot tell what happened.
func testErrors(t *testing.T, f *fixture) {
	mine := errors.New("mine")
	err := f.e.View(f.ctx, 1, func(r store.Reader) error {
		if _, err := r.Get([]byte("none")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("get: %v", err)
		}
		return mine
	})
	if err != mine {
		t.Errorf("view changed the error to %v", err)
	}
	f.adopt(1, []byte("x"))
	if err := f.e.Blobs(f.ctx, 1, func(store.BlobInfo) error { return mine }); err != mine {
		t.Errorf("blobs changed the error to %v", err)
	}
	if err := f.e.Accounts(f.ctx, func(store.AccountID) error { return mine }); err != mine {
		t.Errorf("accounts changed the error to %v", err)
	}
	f.wantNoBlob(1, store.BlobID{1})
	f.wantNoBlob(1, store.BlobID{})
}

// If this fails, calls after Close hang or panic.
func testClosed(t *testing.T, f *fixture) {
	ref := f.newBlob(1, []byte("x"))
	if err := f.e.Close(); err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"View":     func() error { return f.e.View(f.ctx, 1, func(store.Reader) error { return nil }) },
		"Update":   func() error { return f.e.Update(f.ctx, 1, func(store.Tx) error { return nil }) },
		"Apply":    func() error { _, err := f.e.Apply(f.ctx, 1, func(store.Tx) error { return nil }); return err },
		"NewBlob":  func() error { _, err := f.e.NewBlob(f.ctx, 1, 0); return err },
		"OpenBlob": func() error { _, err := f.e.OpenBlob(f.ctx, 1, ref.Info().ID); return err },
		"Accounts": func() error { return f.e.Accounts(f.ctx, func(store.AccountID) error { return nil }) },
		"Blobs":    func() error { return f.e.Blobs(f.ctx, 1, func(store.BlobInfo) error { return nil }) },
		"Verify":   func() error { return f.e.Verify(f.ctx, 1, func(store.Damage) {}) },
		"Close":    f.e.Close,
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: %v, want %v", name, err, store.ErrClosed)
		}
	}
	ref.Discard()
}

// If this fails, stopping the server can cut off a command.
func testCloseWaits(t *testing.T, f *fixture) {
	inside, goOn, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var once sync.Once
	var update sync.WaitGroup
	update.Go(func() {
		f.update(1, func(tx store.Tx) {
			once.Do(func() { close(inside) })
			<-goOn
			tx.Set([]byte("k"), []byte("v"))
		})
	})
	<-inside
	go func() {
		defer close(closed)
		if err := f.e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	// Close has begun when calls are refused.
	for f.e.View(f.ctx, 1, func(store.Reader) error { return nil }) == nil {
	}
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	close(goOn)
	update.Wait()
	<-closed
	f.e = f.mustOpen()
	f.wantDump(1, "k=v")
}

// If this fails, a healthy store is called damaged.
func testVerify(t *testing.T, f *fixture) {
	for i := range 5 {
		f.adopt(1, content(uint64(i), i*150_000))
		f.set(1, fmt.Sprint(i), "v")
	}
	f.verify(1, 2)
	f.update(1, func(tx store.Tx) {
		for _, info := range f.blobs(1)[:3] {
			tx.DropBlob(info.ID)
		}
	})
	f.verify(1, 2)
	f.reopen()
	f.verify(1, 2)
}
