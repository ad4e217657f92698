package mail

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"tidemark/imap"
	"tidemark/internal/store"
)

// errGone is the answer about a mailbox that was deleted while it was open.
var errGone = imap.Refuse(imap.CodeNonExistent, "The mailbox has been deleted")

// mailbox is what this process knows of a mailbox, shared by all sessions: two
// versions of its view, and the watchers that want to know of the next.
type mailbox struct {
	account *account
	id      mailboxID
	table   *flagTable

	refs int // under Service.mu

	// durable is the newest view that sessions may see; nil until loaded.
	durable atomic.Pointer[view]
	gone    atomic.Bool

	recent atomic.Uint32 // UIDs from here on have been \Recent in no session

	mu          sync.Mutex
	applied     *view // the newest view in the store, perhaps not durable yet
	uidValidity uint32
	snapshot    snapshotState
	watchers    map[*watcher]struct{}
}

type watcher struct{ wake func() }

// maxKeyword is the longest keyword, in octets: all of a mailbox's are part of its head.
const maxKeyword = 128

// change collects what one transaction does to one mailbox.
type change struct {
	tx   store.Tx
	mbox *mailbox
	meta *mailboxMeta
	view *view  // as of meta
	base uint64 // the MODSEQ at the beginning
	time int64
}

// update runs fn in a transaction and, when it is durable, publishes the view that
// came of it. before and after are the views without and with the change; they are
// the same if fn made no record.
func (m *mailbox) update(ctx context.Context, fn func(c *change) error) (before, after *view, err error) {
	err = m.account.svc.engine.Update(ctx, m.account.id, m.transaction(fn, &before, &after))
	if err != nil {
		return nil, nil, m.account.svc.fault(err)
	}
	m.publish(after)
	return before, after, nil
}

// transaction makes the engine's function of fn. It leaves the views without and with the
// change in before and after.
func (m *mailbox) transaction(fn func(c *change) error, before, after **view) func(store.Tx) error {
	return func(tx store.Tx) error {
		c, err := m.begin(tx)
		if err != nil {
			return err
		}
		*before = c.view
		if err := fn(c); err != nil {
			return err
		}
		*after = c.view
		c.finish()
		return nil
	}
}

// begin returns a change of m within tx, in which m must not have been changed yet.
func (m *mailbox) begin(tx store.Tx) (*change, error) {
	meta, v, err := m.at(tx)
	if err != nil {
		return nil, err
	}
	return &change{tx: tx, mbox: m, meta: meta, view: v, base: v.modseq, time: m.account.svc.now().Unix()}, nil
}

// record adds a record to the mailbox's log and moves the change's view to it.
func (c *change) record(rec *logRecord) error {
	rec.Time = c.time
	c.meta.ModSeq++
	next, err := c.view.apply(c.tx, rec, c.meta.ModSeq, slices.Clip(c.meta.Keywords))
	if err != nil {
		return err
	}
	c.view = next
	c.tx.Set(logKey(c.mbox.id, c.meta.ModSeq), rec.encode())
	c.meta.UIDNext = next.uidNext
	c.meta.Messages, c.meta.Unseen = next.Len(), next.unseen
	c.meta.Deleted, c.meta.Size = next.deleted, next.octets
	return nil
}

// finish writes the mailbox's head. Without a record it writes nothing.
func (c *change) finish() {
	m, v := c.mbox, c.view
	if c.meta.ModSeq == c.base {
		return
	}
	c.meta.Recent = max(c.meta.Recent, m.recent.Load())
	c.tx.Set(mailboxKey(m.id), c.meta.encode())
	c.tx.OnApply(func() { m.setApplied(v) })
}

// learn gives a keyword a number.
func (c *change) learn(f imap.Flag) (int, error) {
	if len(c.meta.Keywords) >= c.mbox.account.svc.limits.Keywords {
		return 0, imap.Refuse(imap.CodeLimit, "Too many keywords in this mailbox")
	}
	if len(f) > maxKeyword {
		return 0, imap.Refuse(imap.CodeLimit, "The keyword is too long")
	}
	c.meta.Keywords = append(c.meta.Keywords, f)
	return firstKeyword + len(c.meta.Keywords) - 1, nil
}

// at returns the head of the mailbox as r sees it, and the view that belongs to it.
// The view is made of the cached one and the log records after it.
func (m *mailbox) at(r store.Reader) (*mailboxMeta, *view, error) {
	meta, err := get(r, mailboxKey(m.id), decodeMailboxMeta)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, errGone
	}
	if err != nil {
		return nil, nil, err
	}
	v := m.newest(meta.ModSeq)
	if v == nil {
		if v, err = loadSnapshot(r, m.id, meta, m.table); err != nil {
			return nil, nil, err
		}
		m.setSnapshot(v)
	}
	if v, err = replay(r, m.id, v, meta); err != nil {
		return nil, nil, fmt.Errorf("mailbox %d: %w", m.id, err)
	}
	return meta, m.loaded(meta, v), nil
}

// load makes sure that there is a view for sessions to see. One that is there need not
// be read again: every change is published before it is acknowledged.
//
// A view that a transaction has overtaken since it was read is not published, because
// later ones were not made of it: see lazyDetails. The next look waits for the transaction.
func (m *mailbox) load(ctx context.Context) error {
	for m.durable.Load() == nil {
		err := m.account.svc.engine.View(ctx, m.account.id, func(r store.Reader) error {
			_, v, err := m.at(r)
			if err == nil && m.isApplied(v) {
				m.publish(v)
			}
			return err
		})
		if err != nil {
			return m.account.svc.fault(err)
		}
	}
	return nil
}

// isApplied says whether v is the newest known view.
func (m *mailbox) isApplied(v *view) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied == v
}

// newest returns the newest known view that is not newer than modseq, nil if there
// is none: others may have gone on since the reader's state.
func (m *mailbox) newest(modseq uint64) *view {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := m.applied; v != nil && v.modseq <= modseq {
		return v
	}
	if v := m.durable.Load(); v != nil && v.modseq <= modseq {
		return v
	}
	return nil
}

// loaded takes a view that was read as the newest known. It returns the one to use: where
// others have read the same, all use the first, so that later views are made of it.
func (m *mailbox) loaded(meta *mailboxMeta, v *view) *view {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uidValidity = meta.UIDValidity
	m.raiseRecent(meta.Recent)
	switch {
	case m.applied == nil || m.applied.modseq < v.modseq:
		m.applied = v
	case m.applied.modseq == v.modseq:
		return m.applied
	}
	return v
}

func (m *mailbox) setApplied(v *view) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.applied == nil || m.applied.modseq < v.modseq {
		m.applied = v
	}
}

// publish lets sessions see v, which is durable, unless they see a newer one.
func (m *mailbox) publish(v *view) {
	for {
		old := m.durable.Load()
		if old != nil && old.modseq >= v.modseq {
			return
		}
		if m.durable.CompareAndSwap(old, v) {
			if old != nil {
				m.wake()
				m.account.svc.keeper.grown(m, v)
			}
			return
		}
	}
}

// remove marks the mailbox as deleted.
func (m *mailbox) remove() {
	m.gone.Store(true)
	m.wake()
}

func (m *mailbox) watch(wake func()) (stop func()) {
	w := &watcher{wake}
	m.mu.Lock()
	m.watchers[w] = struct{}{}
	m.mu.Unlock()
	return func() {
		m.mu.Lock()
		delete(m.watchers, w)
		m.mu.Unlock()
	}
}

// wake tells all watchers, without the lock: the first are at work before the last know.
func (m *mailbox) wake() {
	m.mu.Lock()
	watchers := slices.Collect(maps.Keys(m.watchers))
	m.mu.Unlock()
	for _, w := range watchers {
		w.wake()
	}
}

// raiseRecent sets recent to at least uid and returns what it was.
func (m *mailbox) raiseRecent(uid uint32) (before uint32) {
	for {
		before = m.recent.Load()
		if before >= uid || m.recent.CompareAndSwap(before, uid) {
			return before
		}
	}
}

// claimRecent returns the first UID that no session was told of as \Recent. Unless
// the session only looks, all up to the view's end count as told. The claim becomes
// durable with the mailbox's next change; lost in a crash, it makes a message \Recent twice,
// which RFC 3501 §2.3.2 allows.
func (m *mailbox) claimRecent(v *view, look bool) uint32 {
	if look {
		return max(m.recent.Load(), 1)
	}
	return max(m.raiseRecent(v.uidNext), 1)
}

// memory is about how many octets the mailbox takes.
func (m *mailbox) memory() int {
	m.mu.Lock()
	v := m.applied
	m.mu.Unlock()
	const own = 1 << 10 // an empty mailbox takes memory, too
	if v == nil {
		return own
	}
	n := own
	for _, c := range v.chunks {
		n += c.memory()
	}
	return n
}
