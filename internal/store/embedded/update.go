package embedded

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"tidemark/internal/store"
)

// Update implements store.Engine. The account's turn lasts until the transaction
// is applied; the sync that makes it durable is waited for outside, so one sync
// may cover many transactions, also of the same account.
func (e *Engine) Update(ctx context.Context, id store.AccountID, fn func(store.Tx) error) error {
	a, t, err := e.begin(ctx, id, fn)
	if err != nil {
		return err
	}
	return e.end(ctx, a, t)
}

// Apply implements store.Engine.
func (e *Engine) Apply(ctx context.Context, id store.AccountID, fn func(store.Tx) error) (wait func() error, err error) {
	a, t, err := e.begin(ctx, id, fn)
	if err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	return func() error { return e.end(ctx, a, t) }, nil
}

// begin applies a transaction, of which end must then be called.
func (e *Engine) begin(ctx context.Context, id store.AccountID, fn func(store.Tx) error) (a *account, t *tx, err error) {
	if err := e.enter(); err != nil {
		return nil, nil, err
	}
	defer func() {
		if t == nil {
			e.exit()
		}
	}()
	if err := e.backlog.admit(ctx); err != nil {
		return nil, nil, err
	}
	a = e.accounts.acquire(id)
	defer func() {
		if t == nil {
			e.accounts.release(a)
		}
	}()
	t, err = e.runAndApply(ctx, a, fn)
	return a, t, err
}

// end waits until a transaction that was applied is durable.
func (e *Engine) end(ctx context.Context, a *account, t *tx) error {
	defer e.exit()
	defer e.accounts.release(a)
	return e.settle(ctx, a, t)
}

// runAndApply takes the account's turn, runs fn and applies what it wrote.
func (e *Engine) runAndApply(ctx context.Context, a *account, fn func(store.Tx) error) (*tx, error) {
	if err := a.lock(ctx); err != nil {
		return nil, err
	}
	defer a.unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, err := e.run(a.id, fn)
	if err != nil {
		return nil, err
	}
	e.apply(a, t)
	hooked := false
	defer func() {
		if !hooked { // a hook panicked: the commit must still come to its end
			_ = e.settle(ctx, a, t)
		}
	}()
	t.runHooks()
	hooked = true
	return t, nil
}

// run calls fn with a new transaction, once more if the options say so.
func (e *Engine) run(id store.AccountID, fn func(store.Tx) error) (*tx, error) {
	if err := e.failure(); err != nil {
		return nil, err
	}
	if e.opts.RunTwice {
		t := e.newTx(id)
		_ = t.call(fn)
		t.discard()
	}
	t := e.newTx(id)
	if err := t.call(fn); err != nil {
		t.discard()
		return nil, err
	}
	if err := e.space.admit(t); err != nil {
		t.discard()
		return nil, err
	}
	t.writeBlobs()
	return t, nil
}

// apply makes the transaction visible.
func (e *Engine) apply(a *account, t *tx) {
	if t.batch.Empty() {
		// What the function saw may not be durable yet.
		t.commit = a.last.Load()
		return
	}
	t.commit = newCommit()
	t.owner = true
	a.last.Store(t.commit)
	for _, b := range t.adopted {
		b.state.Store(blobAdopted)
	}
	if err := e.db.ApplyNoSyncWait(t.batch, pebble.Sync); err != nil {
		e.fail(fmt.Errorf("apply a transaction: %w", err))
	}
}

// settle waits until the transaction is durable.
func (e *Engine) settle(ctx context.Context, a *account, t *tx) error {
	if !t.owner {
		c := t.commit
		t.discard()
		if c == nil {
			return nil
		}
		return c.wait(ctx)
	}
	err := e.failure()
	if err == nil {
		if serr := t.batch.SyncWait(); serr != nil {
			e.fail(fmt.Errorf("sync a transaction: %w", serr))
		}
		// A sync that failed is not passed on to Pebble, so only this tells.
		err = e.failure()
	}
	t.commit.finish(err)
	if err != nil {
		// Nobody may see the account's state again: it may be undone by a restart.
		e.accounts.pin(a)
		return err
	}
	a.last.CompareAndSwap(t.commit, nil)
	for _, b := range t.adopted {
		b.release()
	}
	e.removeFiles(a.id, t.dropped)
	if t.drops {
		e.reclaimer.dropped(a.id)
	}
	t.discard()
	return nil
}

// tx is one transaction.
type tx struct {
	*reader // nil when the function has returned
	id      store.AccountID
	batch   *pebble.Batch
	adopted []*blobRef
	dropped []store.BlobID // blobs in files, to be unlinked
	drops   bool           // blobs of either kind
	hooks   []func()
	commit  *commit // what to wait for; may be nil
	owner   bool    // the commit is this transaction's
}

func (e *Engine) newTx(id store.AccountID) *tx {
	b := e.db.NewIndexedBatch()
	return &tx{reader: newReader(e, b, id), id: id, batch: b}
}

// call runs fn and, if it panics, releases the transaction first.
func (t *tx) call(fn func(store.Tx) error) error {
	returned := false
	defer func() {
		if !returned {
			t.discard()
		}
	}()
	err := fn(t)
	t.endReads()
	returned = true
	return err
}

// endReads gives back what the function read; it has returned.
func (t *tx) endReads() {
	if t.reader != nil {
		t.reader.release()
		t.reader = nil
	}
}

func (t *tx) discard() {
	t.endReads()
	_ = t.batch.Close()
}

func (t *tx) runHooks() {
	for _, fn := range t.hooks {
		fn()
	}
}

// Set implements store.Tx.
func (t *tx) Set(key, value []byte) {
	checkKey(key)
	if len(value) > store.MaxValue {
		panic(fmt.Sprintf("embedded: value of %d bytes", len(value)))
	}
	t.setSealed(spaceKeys, key, value)
}

// setSealed puts value with its checksum straight into the batch.
func (t *tx) setSealed(space byte, key, value []byte) {
	op := t.batch.SetDeferred(prefixLen+len(key), len(value)+sumLen)
	appendKey(op.Key[:0], space, t.id, key)
	seal(op.Value, op.Key, value)
	t.check(op.Finish())
}

// Delete implements store.Tx.
func (t *tx) Delete(key []byte) {
	checkKey(key)
	t.deleteIn(spaceKeys, key)
}

func (t *tx) deleteIn(space byte, key []byte) {
	op := t.batch.DeleteDeferred(prefixLen + len(key))
	appendKey(op.Key[:0], space, t.id, key)
	t.check(op.Finish())
}

// DeleteRange implements store.Tx.
func (t *tx) DeleteRange(start, end []byte) {
	if emptyRange(start, end) {
		return
	}
	t.key = appendKey(t.key[:0], spaceKeys, t.id, start)
	n := len(t.key)
	t.key = appendEnd(t.key, spaceKeys, t.id, end)
	t.check(t.batch.DeleteRange(t.key[:n], t.key[n:], nil))
}

// OnApply implements store.Tx.
func (t *tx) OnApply(fn func()) { t.hooks = append(t.hooks, fn) }

// check panics on an error of a batch in memory, which only wrong use causes.
func (t *tx) check(err error) {
	if err != nil {
		panic(fmt.Sprintf("embedded: batch: %v", err))
	}
}
