package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"tidemark/internal/store"
)

// A workload makes random transactions in a few accounts, several at the same time
// in each. A transaction adds to a log in the account what it did, under the next
// number, so the log tells what the account must hold, to the last byte. A ledger
// remembers which transactions were acknowledged, or seen in a view. After a crash
// the ledger's entries must be in the log, and the account must hold exactly what
// the log says: then nothing was lost, and no transaction is there in part.

// Ledger remembers what a workload was told.
type Ledger struct {
	seed uint64
	tags atomic.Uint64
	mu   sync.Mutex
	// told holds, for each account, the tag of each acknowledged transaction by
	// its number.
	told map[store.AccountID]map[uint64]uint64
	// seen holds the highest number that a view showed.
	seen map[store.AccountID]uint64
}

// Accounts is the number of accounts of a workload; they are 0, 1 and so on.
const Accounts = 3

// NewLedger returns an empty ledger. The seed chooses the workload.
func NewLedger(seed uint64) *Ledger {
	return &Ledger{
		seed: seed,
		told: map[store.AccountID]map[uint64]uint64{},
		seen: map[store.AccountID]uint64{},
	}
}

// Snapshot returns a copy of the ledger, to be judged against a copy of the
// storage that is made later.
func (l *Ledger) Snapshot() *Ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := NewLedger(l.seed)
	for id, told := range l.told {
		c.told[id] = maps.Clone(told)
	}
	c.seen = maps.Clone(l.seen)
	return c
}

// Told returns the number of acknowledged transactions.
func (l *Ledger) Told() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, told := range l.told {
		n += len(told)
	}
	return n
}

func (l *Ledger) tell(id store.AccountID, number, tag uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told[id] == nil {
		l.told[id] = map[uint64]uint64{}
	}
	l.told[id][number] = tag
}

func (l *Ledger) see(id store.AccountID, number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[id] = max(l.seen[id], number)
}

// Work makes n transactions in each of several goroutines, and returns the errors
// that ended goroutines early.
func (l *Ledger) Work(ctx context.Context, e store.Engine, n int) error {
	var mu sync.Mutex
	var errs []error
	var running sync.WaitGroup
	for g := range 2 * Accounts {
		running.Go(func() {
			id := store.AccountID(g % Accounts)
			for range n {
				if err := l.transact(ctx, e, id); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// maxLive is the number of blobs above which a transaction drops the oldest.
const maxLive = 4

// transact makes one transaction and looks at the account afterwards.
func (l *Ledger) transact(ctx context.Context, e store.Engine, id store.AccountID) error {
	tag := l.tags.Add(1)
	rng := rand.New(rand.NewPCG(l.seed, tag))
	var refs []store.BlobRef
	for i := range rng.IntN(3) {
		ref, err := writeBlob(ctx, e, id, 0, blobContent(l.seed, tag, i))
		if err != nil {
			return err
		}
		defer ref.Discard()
		refs = append(refs, ref)
	}
	var number uint64
	fn := func(tx store.Tx) (err error) {
		number, err = l.record(tx, tag, refs)
		return err
	}
	if rng.IntN(4) == 0 {
		wait, err := e.Apply(ctx, id, fn)
		if err != nil {
			return err
		}
		if err := wait(); err != nil {
			return err
		}
	} else if err := e.Update(ctx, id, fn); err != nil {
		return err
	}
	l.tell(id, number, tag)
	return e.View(ctx, id, func(r store.Reader) error {
		last, err := lastNumber(r)
		if err == nil {
			l.see(id, last)
		}
		return err
	})
}

// blobContent is the content of the i-th blob of a transaction: mostly small,
// sometimes large.
func blobContent(seed, tag uint64, i int) []byte {
	rng := rand.New(rand.NewPCG(seed^tag, uint64(i)))
	n := rng.IntN(5000)
	if rng.IntN(12) == 0 {
		n = 262_144 + rng.IntN(100_000)
	}
	return content(tag<<8|uint64(i), n)
}

// record writes the transaction's log entry and does what it says.
func (l *Ledger) record(tx store.Tx, tag uint64, refs []store.BlobRef) (number uint64, err error) {
	last, err := lastNumber(tx)
	if err != nil {
		return 0, err
	}
	s, err := loadState(tx, l.seed)
	if err != nil {
		return 0, err
	}
	entry := logEntry{tag: tag}
	for _, ref := range refs {
		entry.blobs = append(entry.blobs, ref.Info().ID)
		tx.Adopt(ref)
	}
	for _, id := range s.apply(entry, tx) {
		tx.DropBlob(id)
	}
	tx.Set(logKey(last+1), entry.encode())
	return last + 1, nil
}

// logEntry says what a transaction did: its tag chooses the changes of keys.
type logEntry struct {
	tag   uint64
	blobs []store.BlobID
}

func logKey(number uint64) []byte { return binary.BigEndian.AppendUint64([]byte("log/"), number) }

func (e logEntry) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, e.tag)
	for _, id := range e.blobs {
		b = append(b, id[:]...)
	}
	return b
}

func decodeEntry(b []byte) (e logEntry, err error) {
	if len(b) < 8 || len(b[8:])%16 != 0 {
		return e, fmt.Errorf("log entry of %d bytes", len(b))
	}
	e.tag = binary.BigEndian.Uint64(b)
	for id := range slices.Chunk(b[8:], 16) {
		e.blobs = append(e.blobs, store.BlobID(id))
	}
	return e, nil
}

// lastNumber returns the number of the last entry, 0 if there is none.
func lastNumber(r store.Reader) (uint64, error) {
	it := r.Scan([]byte("log/"), []byte("log0"), true)
	var last uint64
	if it.Next() {
		last = binary.BigEndian.Uint64(it.Key()[4:])
	}
	return last, it.Close()
}

// state is what an account must hold besides its log.
type state struct {
	seed  uint64
	tags  []uint64 // of the log's entries, from number 1 on
	keys  map[string]string
	blobs []liveBlob // oldest first
}

type liveBlob struct {
	id    store.BlobID
	tag   uint64
	index int
}

// keyWriter takes the changes of keys that a transaction makes.
type keyWriter interface {
	Set(key, value []byte)
	Delete(key []byte)
	DeleteRange(start, end []byte)
}

// loadState replays the log.
func loadState(r store.Reader, seed uint64) (*state, error) {
	s := &state{seed: seed, keys: map[string]string{}}
	it := r.Scan([]byte("log/"), []byte("log0"), false)
	for it.Next() {
		v, err := it.Value()
		var entry logEntry
		if err == nil {
			entry, err = decodeEntry(v)
		}
		if want := logKey(uint64(len(s.tags) + 1)); err == nil && !bytes.Equal(it.Key(), want) {
			err = fmt.Errorf("the log has %x, where %x must be", it.Key(), want)
		}
		if err != nil {
			return nil, errors.Join(err, it.Close())
		}
		s.apply(entry, s)
	}
	return s, it.Close()
}

// apply makes the changes of one entry, those of keys in w too, and returns the
// blobs to drop.
func (s *state) apply(e logEntry, w keyWriter) (drop []store.BlobID) {
	s.tags = append(s.tags, e.tag)
	rng := rand.New(rand.NewPCG(e.tag, s.seed))
	key := func() []byte { return fmt.Appendf(nil, "k/%02d", rng.IntN(20)) }
	for range 1 + rng.IntN(5) {
		w.Set(key(), content(rng.Uint64(), rng.IntN(300)))
	}
	if rng.IntN(3) == 0 {
		w.Delete(key())
	}
	if rng.IntN(8) == 0 {
		a, b := key(), key()
		w.DeleteRange(a, b)
	}
	for i, id := range e.blobs {
		s.blobs = append(s.blobs, liveBlob{id, e.tag, i})
	}
	for len(s.blobs) > maxLive {
		drop = append(drop, s.blobs[0].id)
		s.blobs = s.blobs[1:]
	}
	return drop
}

// Set implements keyWriter.
func (s *state) Set(key, value []byte) { s.keys[string(key)] = string(value) }

// Delete implements keyWriter.
func (s *state) Delete(key []byte) { delete(s.keys, string(key)) }

// DeleteRange implements keyWriter.
func (s *state) DeleteRange(start, end []byte) {
	maps.DeleteFunc(s.keys, func(k, _ string) bool { return string(start) <= k && k < string(end) })
}

// Check judges the store against the ledger: each acknowledged or seen transaction
// is there, each account holds what its log says, and Verify finds nothing.
func (l *Ledger) Check(ctx context.Context, e store.Engine) error {
	var errs []error
	for id := range store.AccountID(Accounts) {
		if err := l.CheckAccount(ctx, e, id); err != nil {
			errs = append(errs, fmt.Errorf("account %d: %w", id, err))
		}
		err := e.Verify(ctx, id, func(d store.Damage) { errs = append(errs, fmt.Errorf("%+v", d)) })
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// CheckAccount judges one account, without Verify.
func (l *Ledger) CheckAccount(ctx context.Context, e store.Engine, id store.AccountID) error {
	var s *state
	err := e.View(ctx, id, func(r store.Reader) (err error) {
		if s, err = loadState(r, l.seed); err != nil {
			return err
		}
		return s.checkKeys(r)
	})
	if err != nil {
		return err
	}
	if err := l.checkTold(id, s); err != nil {
		return err
	}
	return s.checkBlobs(ctx, e, id)
}

func (l *Ledger) checkTold(id store.AccountID, s *state) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for number, tag := range l.told[id] {
		if number > uint64(len(s.tags)) {
			return fmt.Errorf("transaction %d was acknowledged, but the log ends with %d", number, len(s.tags))
		}
		if got := s.tags[number-1]; got != tag {
			return fmt.Errorf("transaction %d has tag %d, but was acknowledged with %d", number, got, tag)
		}
	}
	if seen := l.seen[id]; seen > uint64(len(s.tags)) {
		return fmt.Errorf("a view showed transaction %d, but the log ends with %d", seen, len(s.tags))
	}
	return nil
}

func (s *state) checkKeys(r store.Reader) error {
	found := 0
	it := r.Scan([]byte("k/"), []byte("k0"), false)
	for it.Next() {
		v, err := it.Value()
		if want, ok := s.keys[string(it.Key())]; err == nil && (!ok || want != string(v)) {
			err = fmt.Errorf("key %q holds what no transaction wrote last", it.Key())
		}
		if err != nil {
			return errors.Join(err, it.Close())
		}
		found++
	}
	if err := it.Close(); err != nil {
		return err
	}
	if found != len(s.keys) {
		return fmt.Errorf("%d keys, but the log makes it %d", found, len(s.keys))
	}
	return nil
}

func (s *state) checkBlobs(ctx context.Context, e store.Engine, id store.AccountID) error {
	for _, b := range s.blobs {
		got, err := readBlob(ctx, e, id, b.id)
		if err != nil {
			return fmt.Errorf("blob %x: %w", b.id, err)
		}
		if !bytes.Equal(got, blobContent(s.seed, b.tag, b.index)) {
			return fmt.Errorf("blob %x has another content", b.id)
		}
	}
	listed := 0
	if err := e.Blobs(ctx, id, func(store.BlobInfo) error { listed++; return nil }); err != nil {
		return err
	}
	if listed != len(s.blobs) {
		return fmt.Errorf("%d blobs are listed, but the log makes it %d", listed, len(s.blobs))
	}
	return nil
}
