package embedded

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"tidemark/internal/store"
)

// View implements store.Engine.
func (e *Engine) View(ctx context.Context, id store.AccountID, fn func(store.Reader) error) error {
	return e.withSnapshot(ctx, id, func(s *pebble.Snapshot) error {
		r := newReader(e, s, id)
		defer r.release()
		return fn(r)
	})
}

// withSnapshot makes a call of the engine that reads the account's newest state.
func (e *Engine) withSnapshot(ctx context.Context, id store.AccountID, fn func(*pebble.Snapshot) error) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.exit()
	snapshot, err := e.snapshot(ctx, id)
	if err != nil {
		return err
	}
	defer snapshot.Close()
	return fn(snapshot)
}

// snapshot returns the account's newest state when all of it is durable.
func (e *Engine) snapshot(ctx context.Context, id store.AccountID) (*pebble.Snapshot, error) {
	snapshot := e.anchor.newSnapshot()
	// The order matters: see account.last.
	if c := e.accounts.pending(id); c != nil {
		if err := c.wait(ctx); err != nil {
			snapshot.Close()
			return nil, err
		}
	}
	return snapshot, nil
}

// source is what a reader reads from: a snapshot or an indexed batch.
type source interface {
	Get(key []byte) ([]byte, io.Closer, error)
	NewIter(o *pebble.IterOptions) (*pebble.Iterator, error)
}

// reader reads one account's keys.
type reader struct {
	engine *Engine
	source source
	id     store.AccountID
	key    []byte // scratch for stored keys
	arena  arena
	open   *iterator // the iterators that were not closed yet
}

var readers = sync.Pool{New: func() any { return new(reader) }}

func newReader(e *Engine, s source, id store.AccountID) *reader {
	r := readers.Get().(*reader)
	r.engine, r.source, r.id = e, s, id
	return r
}

// release closes what the function left open and takes back the memory that it
// was given.
func (r *reader) release() {
	for r.open != nil {
		if r.engine.opts.RunTwice {
			panic("embedded: an iterator was not closed")
		}
		_ = r.open.Close()
	}
	r.arena.reset()
	r.engine, r.source = nil, nil
	readers.Put(r)
}

// Get implements store.Reader.
func (r *reader) Get(key []byte) ([]byte, error) {
	checkKey(key)
	r.key = appendKey(r.key[:0], spaceKeys, r.id, key)
	sealed, closer, err := r.source.Get(r.key)
	if err != nil {
		return nil, readError(r.key, err)
	}
	defer closer.Close()
	value, err := unseal(r.key, sealed)
	if err != nil {
		return nil, err
	}
	return r.arena.copy(value), nil
}

// Scan implements store.Reader. In a transaction the iterator sees what was
// written before Scan was called.
func (r *reader) Scan(start, end []byte, reverse bool) store.Iterator {
	i := &iterator{reader: r, reverse: reverse}
	if emptyRange(start, end) {
		return i
	}
	bounds := make([]byte, 0, 2*prefixLen+len(start)+len(end))
	bounds = appendKey(bounds, spaceKeys, r.id, start)
	n := len(bounds)
	bounds = appendEnd(bounds, spaceKeys, r.id, end)
	i.it, i.err = r.source.NewIter(&pebble.IterOptions{LowerBound: bounds[:n:n], UpperBound: bounds[n:]})
	i.next = r.open
	if r.open != nil {
		r.open.prev = i
	}
	r.open = i
	return i
}

// iterator implements store.Iterator. Those of a reader form a list.
type iterator struct {
	reader     *reader
	it         *pebble.Iterator // nil: nothing to iterate over
	err        error
	reverse    bool
	begun      bool
	closed     bool
	prev, next *iterator
}

func (i *iterator) Next() bool {
	if i.it == nil || i.err != nil {
		return false
	}
	if !i.begun {
		i.begun = true
		if i.reverse {
			return i.it.Last()
		}
		return i.it.First()
	}
	if i.reverse {
		return i.it.Prev()
	}
	return i.it.Next()
}

func (i *iterator) Key() []byte { return i.it.Key()[prefixLen:] }

func (i *iterator) Value() ([]byte, error) {
	value, err := iterValue(i.it)
	if err != nil {
		return nil, err
	}
	return i.reader.arena.copy(value), nil
}

// iterValue returns the verified value at the iterator's position.
func iterValue(it *pebble.Iterator) ([]byte, error) {
	sealed, err := it.ValueAndErr()
	if err != nil {
		return nil, readError(it.Key(), err)
	}
	return unseal(it.Key(), sealed)
}

func (i *iterator) Close() error {
	if i.closed {
		return nil
	}
	i.closed = true
	if i.it == nil {
		return nil
	}
	i.unlink()
	err := i.err
	if cerr := i.it.Close(); err == nil {
		err = cerr
	}
	i.it = nil
	if err != nil {
		return readError(appendPrefix(nil, spaceKeys, i.reader.id), err)
	}
	return nil
}

func (i *iterator) unlink() {
	if i.prev != nil {
		i.prev.next = i.next
	} else {
		i.reader.open = i.next
	}
	if i.next != nil {
		i.next.prev = i.prev
	}
	i.prev, i.next = nil, nil
}

// arena holds copies of values until the function that reads them returns.
// Pebble's own memory cannot be lent for that long: it would pin whole memtables.
type arena struct{ chunk []byte }

const (
	arenaChunk = 16 << 10
	arenaKeep  = 256 << 10 // larger chunks are left to the collector
)

// copy returns a copy of b that lives as long as the arena.
func (a *arena) copy(b []byte) []byte {
	if len(b) > cap(a.chunk)-len(a.chunk) {
		a.chunk = make([]byte, 0, max(len(b), min(2*cap(a.chunk), arenaKeep), arenaChunk))
	}
	n := len(a.chunk)
	a.chunk = append(a.chunk, b...)
	return a.chunk[n:len(a.chunk):len(a.chunk)]
}

func (a *arena) reset() {
	a.chunk = a.chunk[:0]
	if cap(a.chunk) > arenaKeep {
		a.chunk = nil
	}
}

func checkKey(key []byte) {
	if len(key) > store.MaxKey {
		panic(fmt.Sprintf("embedded: key of %d bytes", len(key)))
	}
}
