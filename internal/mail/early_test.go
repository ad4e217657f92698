package mail

import (
	"context"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
)

// slowEngine holds back what Apply waits for: each wait reports itself to waiting and then
// takes its error from let.
type slowEngine struct {
	store.Engine
	waiting chan struct{}
	let     chan error
}

func (e *slowEngine) Apply(ctx context.Context, id store.AccountID, fn func(store.Tx) error) (func() error, error) {
	wait, err := e.Engine.Apply(ctx, id, fn)
	if err != nil {
		return nil, err
	}
	return func() error {
		e.waiting <- struct{}{}
		held := <-e.let
		return errors.Join(wait(), held)
	}, nil
}

// slowAccount returns an account with one message on a slowEngine, opened twice.
func slowAccount(t *testing.T) (e *slowEngine, one, two *Selected) {
	t.Helper()
	e = &slowEngine{openEngine(t, vfs.NewMem()), make(chan struct{}, 100), make(chan error, 100)}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	s := New(Options{Engine: e})
	t.Cleanup(s.Close)
	if err := s.CreateUser(t.Context(), "alice", nil); err != nil {
		t.Fatal(err)
	}
	a := openAccount(t, s)
	appendOne(t, a, "INBOX", 1)
	return e, openMailbox(t, a, "INBOX"), openMailbox(t, a, "INBOX")
}

func storeEarly(t *testing.T, m *Selected, flag imap.Flag) imapserver.StoreResult {
	t.Helper()
	r, err := m.Store(t.Context(), imapserver.StoreChange{
		UIDs: imap.NumSetOf[uint32](1), Op: imap.StoreAdd, Flags: []imap.Flag{flag}, Early: true,
	})
	if err != nil {
		t.Error(err)
	}
	return r
}

// If this fails, whoever changes flags waits for the disk although it was set otherwise, or
// others are told of what a power cut may undo.
func TestEarlyFlagsAreForTheirSession(t *testing.T) {
	e, one, two := slowAccount(t)
	first := storeEarly(t, one, imap.FlagSeen)
	second := storeEarly(t, one, imap.FlagFlagged)
	if second.Before != first.After {
		t.Error("the second change is not made of the first")
	}
	if !second.After.Row(1).Flags.Has(imap.FlagSeen) || !second.After.Row(1).Flags.Has(imap.FlagFlagged) {
		t.Error("the session does not see its flags")
	}
	if v := two.View(); v.ModSeq() >= first.After.ModSeq() || v.Row(1).Flags.Has(imap.FlagSeen) {
		t.Error("another session sees flags that are not on the disk")
	}
	e.let <- nil
	e.let <- nil
	if err := one.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := two.View(); v != second.After {
		t.Errorf("settled at %d, and others see %d", second.After.ModSeq(), v.ModSeq())
	}
}

// If this fails, a session is told early of what another one changed: nobody promised it
// that those flags may be lost.
func TestEarlyFlagsWaitForOthers(t *testing.T) {
	e, one, two := slowAccount(t)
	storeEarly(t, one, imap.FlagSeen)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r := storeEarly(t, two, imap.FlagFlagged)
		if v := two.View(); v.ModSeq() < r.Before.ModSeq() {
			t.Errorf("answered on version %d while %d is durable", r.Before.ModSeq(), v.ModSeq())
		}
	}()
	for range 2 {
		<-e.waiting
	}
	e.let <- nil
	e.let <- nil
	<-done
	if err := one.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// If this fails, a client that sends faster than the disk takes memory without end.
func TestEarlyFlagsAreBounded(t *testing.T) {
	e, one, _ := slowAccount(t)
	flags := []imap.Flag{imap.FlagSeen, imap.FlagFlagged}
	for i := range maxEarly {
		storeEarly(t, one, flags[i%2])
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		storeEarly(t, one, imap.FlagAnswered)
	}()
	for range maxEarly {
		<-e.waiting
	}
	for range maxEarly {
		e.let <- nil
	}
	<-e.waiting // the last was not begun before
	e.let <- nil
	<-done
	if one.unsettled != 1 {
		t.Errorf("%d changes are on their way", one.unsettled)
	}
}

// If this fails, flags that could not be stored are shown to others, or nobody hears of it.
func TestEarlyFlagsThatFail(t *testing.T) {
	e, one, two := slowAccount(t)
	r := storeEarly(t, one, imap.FlagSeen)
	e.let <- store.ErrFailed
	if err := one.Settle(t.Context()); !errors.Is(err, imapserver.ErrUnavailable) {
		t.Errorf("settled with %v", err)
	}
	if two.View() == r.After {
		t.Error("flags that failed are seen")
	}
}

// If this fails, a session that ends leaves changes behind that are never shown.
func TestEarlyFlagsSettleAtTheEnd(t *testing.T) {
	e, one, two := slowAccount(t)
	r := storeEarly(t, one, imap.FlagSeen)
	e.let <- nil
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	if two.View() != r.After {
		t.Error("the flags are not seen")
	}
}
