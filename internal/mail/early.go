package mail

import "context"

// earlyChange is a change of flags that its session was told of when it was applied.
type earlyChange struct {
	after   *view
	settled chan struct{} // closed when it is durable and published, or failed
	err     error         // set before settled is closed
}

// maxEarly is how many changes of one session may be on their way to the disk.
const maxEarly = 32

// updateEarly is update for a session that need not wait: it returns when the change is
// applied, and a goroutine waits for the disk and publishes.
//
// What others have changed before is not told early. So it waits all the same where the
// change was made on a version that is neither durable nor this session's own.
func (s *Selected) updateEarly(ctx context.Context, fn func(c *change) error) (before, after *view, err error) {
	if s.unsettled >= maxEarly {
		if err := s.Settle(ctx); err != nil {
			return nil, nil, err
		}
	}
	wait, err := s.svc().engine.Apply(ctx, s.account.id, s.transaction(fn, &before, &after))
	if err != nil {
		return nil, nil, s.svc().fault(err)
	}
	own := s.early
	s.early = &earlyChange{after: after, settled: make(chan struct{})}
	s.unsettled++
	go s.settleOne(s.early, wait)
	if before.modseq > s.durable.Load().modseq && (own == nil || own.after != before) {
		err = s.Settle(ctx)
	}
	return before, after, err
}

func (s *Selected) settleOne(e *earlyChange, wait func() error) {
	defer close(e.settled)
	if err := wait(); err != nil {
		e.err = s.svc().fault(err)
		return
	}
	s.publish(e.after)
}

// Settle waits until all that Store has answered early is durable. The last change is
// waited for: those of one account become durable in their order.
func (s *Selected) Settle(ctx context.Context) error {
	if s.early == nil {
		return nil
	}
	select {
	case <-s.early.settled:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := s.early.err
	s.early, s.unsettled = nil, 0
	return err
}
