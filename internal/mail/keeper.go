package mail

import (
	"context"
	"sync"
)

// A snapshot is written when so much has come since the last that replaying it would
// be felt when the mailbox is opened.
const (
	snapshotRecords  = 1_000 // log records
	snapshotMessages = 4_096 // new messages
)

// keeper writes snapshots and text columns of mailboxes in the background.
type keeper struct {
	svc    *Service
	cancel context.CancelFunc
	done   chan struct{}
	ready  chan struct{} // has room for one

	mu      sync.Mutex
	waiting map[*mailbox]bool // each held, so that it stays the one of its id
}

func startKeeper(s *Service) *keeper {
	ctx, cancel := context.WithCancel(context.Background())
	k := &keeper{
		svc: s, cancel: cancel, done: make(chan struct{}), ready: make(chan struct{}, 1),
		waiting: make(map[*mailbox]bool),
	}
	go k.run(ctx)
	return k
}

func (k *keeper) close() {
	k.cancel()
	<-k.done
}

// grown is called with each new view of a mailbox.
func (k *keeper) grown(m *mailbox, v *view) {
	s := m.snapshotState()
	if v.modseq-s.modseq < snapshotRecords && v.uidNext-s.uidNext < snapshotMessages {
		return
	}
	k.mu.Lock()
	if !k.waiting[m] {
		k.waiting[m] = true
		m.account.hold(m)
	}
	k.mu.Unlock()
	select {
	case k.ready <- struct{}{}:
	default:
	}
}

func (k *keeper) run(ctx context.Context) {
	defer close(k.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.ready:
		}
		for m := k.next(); m != nil && ctx.Err() == nil; m = k.next() {
			k.keep(ctx, m)
			m.account.release(m)
		}
	}
}

func (k *keeper) next() *mailbox {
	k.mu.Lock()
	defer k.mu.Unlock()
	for m := range k.waiting {
		delete(k.waiting, m)
		return m
	}
	return nil
}

// keep writes a snapshot of one mailbox, and its text columns. Failure is no harm: the log
// and the text records have everything, and the next change asks again.
func (k *keeper) keep(ctx context.Context, m *mailbox) {
	if m.gone.Load() {
		return
	}
	_, _, err := m.update(ctx, func(c *change) error { return c.writeSnapshot() })
	if err == nil {
		err = m.writeTexts(ctx)
	}
	if err != nil && ctx.Err() == nil && !m.gone.Load() {
		k.svc.log.Warn("no snapshot of a mailbox", "account", m.account.id, "mailbox", m.id, "error", err)
	}
}
