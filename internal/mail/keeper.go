package mail

import (
	"context"
	"sync"
	"time"
)

// A snapshot is written when so much has come since the last that replaying it would
// be felt when the mailbox is opened.
const (
	snapshotRecords  = 1_000   // log records
	snapshotMessages = 4_096   // new messages
	snapshotChanges  = 1 << 16 // changes of messages, of which one record can make many
)

// At the end less is enough, because nearly all mailboxes are opened again soon.
const (
	lastRecords  = 64
	lastMessages = 256
	lastChanges  = 4_096
	lastTime     = 5 * time.Second // bounds the work, not the wait for a disk
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

// close ends the work. Mailboxes whose log would make the next start slow get a snapshot, as
// far as there is time.
func (k *keeper) close() {
	k.cancel()
	<-k.done
	ctx, cancel := context.WithTimeout(context.Background(), lastTime)
	defer cancel()
	for _, m := range k.svc.mailboxes() {
		if v := m.durable.Load(); v == nil || m.gone.Load() || !m.behind(v, lastRecords, lastMessages, lastChanges) {
			continue
		}
		if _, _, err := m.update(ctx, func(c *change) error { return c.writeSnapshot() }); err != nil {
			k.svc.log.Info("no last snapshots of mailboxes", "error", err)
			return
		}
	}
}

// behind says whether v has so many log records, new messages or changes of messages more
// than the snapshot.
func (m *mailbox) behind(v *view, records uint64, messages uint32, changes uint64) bool {
	s := m.snapshotState()
	return v.modseq-s.modseq >= records || v.uidNext-s.uidNext >= messages || v.changes-s.changes >= changes
}

// grown is called with each new view of a mailbox.
func (k *keeper) grown(m *mailbox, v *view) {
	if !m.behind(v, snapshotRecords, snapshotMessages, snapshotChanges) {
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
