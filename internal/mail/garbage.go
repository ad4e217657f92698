package mail

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tidemark/internal/store"
)

// Garbage: an expunge leaves a garbageRecord with the emails that lost a message.
// Whether they still have one in another mailbox of the account is found out later, by
// looking at the views of all its mailboxes, so that copying needs no counting.
const (
	// garbageGrace is how long an expunged message's content stays. A session that was not
	// told of the expunge yet can go on reading it (RFC 2180 §4.1.1).
	garbageGrace = 15 * time.Minute
	// garbageInterval is how often accounts are looked at.
	garbageInterval = 10 * time.Minute
	// garbageHurry is how often, at most, they are looked at while the disk is full.
	garbageHurry = time.Second
	// garbagePerRun bounds the emails removed by one transaction.
	garbagePerRun = 2_000
)

// collector removes emails that no mailbox has, in the background.
type collector struct {
	svc    *Service
	cancel context.CancelFunc
	done   chan struct{}
	full   chan struct{} // has room for one: the disk is full
}

func startCollector(s *Service) *collector {
	ctx, cancel := context.WithCancel(context.Background())
	c := &collector{s, cancel, make(chan struct{}), make(chan struct{}, 1)}
	go c.run(ctx)
	return c
}

func (c *collector) close() {
	c.cancel()
	<-c.done
}

// hurry has what was expunged removed without delay: whoever makes room on a full disk
// is to have it.
func (c *collector) hurry() {
	select {
	case c.full <- struct{}{}:
	default:
	}
}

func (c *collector) run(ctx context.Context) {
	defer close(c.done)
	tick := time.NewTicker(garbageInterval)
	defer tick.Stop()
	for {
		grace := garbageGrace
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.full:
			grace = 0
		}
		if err := c.svc.Collect(ctx, grace); err != nil && ctx.Err() == nil {
			c.svc.log.Warn("collecting garbage", "error", err)
		}
		if grace == 0 && !c.rest(ctx) {
			return
		}
	}
}

// rest waits between two hurried runs, and says whether to go on.
func (c *collector) rest(ctx context.Context) bool {
	t := time.NewTimer(garbageHurry)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Collect removes, in all accounts, the content of messages that were expunged at
// least grace ago and that no mailbox has, and what is left of removed users. An account
// that is damaged does not keep it from the others.
func (s *Service) Collect(ctx context.Context, grace time.Duration) error {
	var problems []error
	if err := s.endRemovals(ctx); err != nil {
		problems = append(problems, err)
	}
	var ids []store.AccountID
	err := s.engine.Accounts(ctx, func(id store.AccountID) error {
		if id != systemAccount {
			ids = append(ids, id)
		}
		return nil
	})
	if err != nil {
		return s.fault(err)
	}
	for _, id := range ids {
		a := s.acquireAccount(id)
		err := a.collect(ctx, s.now().Add(-grace).Unix())
		s.releaseAccount(a)
		if err == nil {
			continue
		}
		problems = append(problems, fmt.Errorf("account %d: %w", id, err))
		if !errors.Is(err, store.ErrCorrupt) {
			break
		}
	}
	return errors.Join(problems...)
}

// collect works through the account's garbage of up to the given time.
func (a *account) collect(ctx context.Context, before int64) error {
	for {
		more, err := a.collectSome(ctx, before)
		if err != nil || !more {
			return err
		}
	}
}

func (a *account) collectSome(ctx context.Context, before int64) (more bool, err error) {
	due := false
	err = a.svc.engine.View(ctx, a.id, func(r store.Reader) error {
		_, g, err := oldestGarbage(r)
		due = g != nil && g.Time <= before
		return err
	})
	if err != nil || !due {
		return false, err
	}
	err = a.svc.engine.Update(ctx, a.id, func(tx store.Tx) error {
		more = false
		key, g, err := oldestGarbage(tx)
		if err != nil || g == nil {
			return err
		}
		more = true
		now := g.Emails[:min(len(g.Emails), garbagePerRun)]
		if err := a.sweep(tx, now); err != nil {
			return err
		}
		if g.Emails = g.Emails[len(now):]; len(g.Emails) > 0 {
			tx.Set(key, g.encode())
		} else {
			tx.Delete(key)
		}
		return nil
	})
	return more, err
}

// oldestGarbage returns the first record, nil if there is none.
func oldestGarbage(r store.Reader) (key []byte, g *garbageRecord, err error) {
	start, end := kindRange(kindGarbage)
	it := r.Scan(start, end, false)
	defer it.Close()
	if !it.Next() {
		return nil, nil, it.Close()
	}
	b, err := it.Value()
	if err != nil {
		return nil, nil, err
	}
	key = append(key, it.Key()...)
	g, err = decodeGarbageRecord(b)
	return key, g, err
}

// sweep removes those of emails that no mailbox of the account has.
func (a *account) sweep(tx store.Tx, emails []emailID) error {
	dead := make(map[emailID]bool, len(emails))
	for _, e := range emails {
		dead[e] = true
	}
	err := a.eachView(tx, func(_ mailboxID, _ *mailboxMeta, v *view) error {
		for _, c := range v.chunks {
			d, err := c.lazy.look(tx)
			if err != nil {
				return err
			}
			for _, e := range d.email {
				delete(dead, emailID(e))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for e := range dead {
		if err := dropEmail(tx, e); err != nil {
			return err
		}
	}
	return nil
}

// eachView calls fn with every mailbox of the account as r sees it.
func (a *account) eachView(r store.Reader, fn func(mailboxID, *mailboxMeta, *view) error) error {
	ids, err := mailboxIDs(r)
	if err != nil {
		return err
	}
	for _, id := range ids {
		m := a.acquire(id)
		meta, v, err := m.at(r)
		a.release(m)
		if err != nil {
			return fmt.Errorf("mailbox %d: %w", id, err)
		}
		if err := fn(id, meta, v); err != nil {
			return err
		}
	}
	return nil
}

func mailboxIDs(r store.Reader) (ids []mailboxID, err error) {
	start, end := kindRange(kindMailbox)
	it := r.Scan(start, end, false)
	defer it.Close()
	for it.Next() {
		ids = append(ids, mailboxIDOf(it.Key()))
	}
	return ids, it.Close()
}

// dropEmail removes an email's records and content.
func dropEmail(tx store.Tx, e emailID) error {
	b, err := tx.Get(emailKey(e))
	if errors.Is(err, store.ErrNotFound) {
		return nil // it was listed twice
	}
	if err != nil {
		return err
	}
	var rec emailRecord
	if err := decodeEmailRecord(b, &rec); err != nil {
		return err
	}
	tx.DropBlob(rec.Blob)
	tx.Delete(emailKey(e))
	tx.Delete(textKey(e))
	return nil
}
