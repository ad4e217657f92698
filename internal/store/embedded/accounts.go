package embedded

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"tidemark/internal/store"
)

// Accounts implements store.Engine. Where the store is damaged it returns
// store.ErrCorrupt when it has come to the end of what can be read.
func (e *Engine) Accounts(ctx context.Context, fn func(store.AccountID) error) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.exit()
	snapshot := e.anchor.newSnapshot()
	defer snapshot.Close()
	var ids []store.AccountID
	var damage []error
	for _, space := range []byte{spaceKeys, spaceInfo} {
		found, err := accountsIn(ctx, snapshot, space)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		ids = append(ids, found...)
		if err != nil {
			damage = append(damage, err)
		}
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(id); err != nil {
			return err
		}
	}
	return errors.Join(damage...)
}

// accountsIn returns the accounts that have something in a space, and what was damaged
// in looking for them. A damaged table ends an iteration; then it goes on from the other
// end.
func accountsIn(ctx context.Context, s *pebble.Snapshot, space byte) ([]store.AccountID, error) {
	ids, damage := hopAccounts(ctx, s, space, false)
	if damage == nil {
		return ids, nil
	}
	more, _ := hopAccounts(ctx, s, space, true)
	text := damage.Error()
	if unreadable(damage) {
		text = unreadableBecause(damage)
	}
	return append(ids, more...), fmt.Errorf("%w: list of accounts: %s", store.ErrCorrupt, text)
}

// hopAccounts goes from account to account, down from the last one if reverse.
func hopAccounts(ctx context.Context, s *pebble.Snapshot, space byte, reverse bool) (ids []store.AccountID, err error) {
	it, err := s.NewIter(&pebble.IterOptions{LowerBound: []byte{space}, UpperBound: []byte{space + 1}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	begin, end := it.First, store.AccountID(math.MaxUint64)
	next := func(id store.AccountID) bool { return it.SeekGE(appendPrefix(nil, space, id+1)) }
	if reverse {
		begin, end = it.Last, 0
		next = func(id store.AccountID) bool { return it.SeekLT(appendPrefix(nil, space, id)) }
	}
	for ok := begin(); ok; {
		id := accountOf(it.Key())
		ids = append(ids, id)
		if err := ctx.Err(); err != nil || id == end {
			return ids, err
		}
		ok = next(id)
	}
	return ids, nil
}
