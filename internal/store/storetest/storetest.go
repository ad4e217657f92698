// Package storetest holds the storage contract as tests that any engine can run,
// and a workload with a ledger that judges an engine after a crash or a fault.
package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"tidemark/internal/store"
)

// OpenFunc opens one store, again and again: what was durable when the engine was
// closed is there when it is opened the next time.
type OpenFunc func() (store.Engine, error)

// NewFunc makes a new, empty store that is removed at the end of the test.
type NewFunc func(t testing.TB) OpenFunc

// Run checks the contract. Each subtest names the sentence that it checks.
func Run(t *testing.T, newStore NewFunc) {
	tests := []struct {
		name string
		test func(*testing.T, *fixture)
	}{
		{"1 accounts are apart", testIsolation},
		{"1 a blob is adopted only by its account", testForeignBlob},
		{"2 a view is consistent", testViewConsistent},
		{"2 a view does not see what comes later", testViewStable},
		{"3 updates are serial", testSerial},
		{"3 accounts do not wait for each other", testAccountsConcurrent},
		{"4 nothing is applied after an error", testUpdateError},
		{"4 an update is there after opening again", testDurable},
		{"4 an applied update is built upon, and durable in the end", testApply},
		{"4 a panic applies nothing", testUpdatePanic},
		{"5 a function may run more than once", testRunAgain},
		{"6 applied functions run once and in order", testOnApply},
		{"7 blobs of all sizes", testBlobSizes},
		{"7 the announced size does not matter", testBlobAnnounced},
		{"7 a dropped blob stays readable while it is open", testBlobDropOpen},
		{"7 blobs and keys change together", testBlobAtomic},
		{"8 a blob nobody adopts does not exist", testBlobGarbage},
		{"9 errors have their kinds", testErrors},
		{"9 a closed engine says so", testClosed},
		{"keys and values up to the limits", testLimits},
		{"slices stay valid until the function returns", testSlices},
		{"scans follow their bounds", testScanBounds},
		{"a transaction reads its own writes", testOwnWrites},
		{"random operations match a sorted map", testModel},
		{"accounts and blobs are listed in order", testListings},
		{"close waits for running calls", testCloseWaits},
		{"verify finds nothing wrong", testVerify},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, newFixture(t, newStore)) })
	}
}

// fixture is the store of one test.
type fixture struct {
	t    *testing.T
	ctx  context.Context
	open OpenFunc
	e    store.Engine
}

func newFixture(t *testing.T, newStore NewFunc) *fixture {
	f := &fixture{t: t, ctx: t.Context(), open: newStore(t)}
	f.e = f.mustOpen()
	// The test's own context has ended when this runs.
	t.Cleanup(func() {
		if err := f.e.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return f
}

func (f *fixture) mustOpen() store.Engine {
	f.t.Helper()
	e, err := f.open()
	if err != nil {
		f.t.Fatalf("open: %v", err)
	}
	return e
}

// reopen closes the store and opens it again.
func (f *fixture) reopen() {
	f.t.Helper()
	if err := f.e.Close(); err != nil {
		f.t.Fatalf("close: %v", err)
	}
	f.e = f.mustOpen()
}

func (f *fixture) update(id store.AccountID, fn func(store.Tx)) {
	f.t.Helper()
	err := f.e.Update(f.ctx, id, func(tx store.Tx) error {
		fn(tx)
		return nil
	})
	if err != nil {
		f.t.Fatalf("update of account %d: %v", id, err)
	}
}

func (f *fixture) set(id store.AccountID, pairs ...string) {
	f.t.Helper()
	f.update(id, func(tx store.Tx) {
		for i := 0; i < len(pairs); i += 2 {
			tx.Set([]byte(pairs[i]), []byte(pairs[i+1]))
		}
	})
}

// dump returns the account's keys and values as "k=v k=v".
func (f *fixture) dump(id store.AccountID) string {
	f.t.Helper()
	var text string
	err := f.e.View(f.ctx, id, func(r store.Reader) (err error) {
		text, err = dumpRange(r, nil, nil, false)
		return err
	})
	if err != nil {
		f.t.Fatalf("view of account %d: %v", id, err)
	}
	return text
}

func (f *fixture) wantDump(id store.AccountID, want string) {
	f.t.Helper()
	if got := f.dump(id); got != want {
		f.t.Errorf("account %d holds %q, want %q", id, got, want)
	}
}

func dumpRange(r store.Reader, start, end []byte, reverse bool) (string, error) {
	var b bytes.Buffer
	it := r.Scan(start, end, reverse)
	for it.Next() {
		v, err := it.Value()
		if err != nil {
			return "", errors.Join(err, it.Close())
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s=%s", it.Key(), v)
	}
	return b.String(), it.Close()
}

// newBlob makes a finished blob with the content.
func (f *fixture) newBlob(id store.AccountID, content []byte) store.BlobRef {
	f.t.Helper()
	ref, err := writeBlob(f.ctx, f.e, id, int64(len(content)), content)
	if err != nil {
		f.t.Fatalf("write a blob of %d bytes: %v", len(content), err)
	}
	return ref
}

// adopt makes a blob with the content part of the account.
func (f *fixture) adopt(id store.AccountID, content []byte) store.BlobID {
	f.t.Helper()
	ref := f.newBlob(id, content)
	f.update(id, func(tx store.Tx) { tx.Adopt(ref) })
	return ref.Info().ID
}

// WriteBlob makes a finished blob with the content.
func WriteBlob(ctx context.Context, e store.Engine, id store.AccountID, content []byte) (store.BlobRef, error) {
	return writeBlob(ctx, e, id, int64(len(content)), content)
}

// writeBlob writes the content in pieces of many sizes.
func writeBlob(ctx context.Context, e store.Engine, id store.AccountID, announced int64, content []byte) (store.BlobRef, error) {
	w, err := e.NewBlob(ctx, id, announced)
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	for n := 1; len(content) > 0; n = n*3 + 1 {
		n := min(n, len(content))
		if _, err := w.Write(content[:n]); err != nil {
			return nil, err
		}
		content = content[n:]
	}
	return w.Finish()
}

// readBlob returns the content of a blob.
func readBlob(ctx context.Context, e store.Engine, id store.AccountID, blob store.BlobID) ([]byte, error) {
	b, err := e.OpenBlob(ctx, id, blob)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	var content []byte
	for {
		piece, err := b.Piece(int64(len(content)))
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		content = append(content, piece...)
	}
	if got := b.Bytes(); got != nil && !bytes.Equal(got, content) {
		return nil, errors.New("blob: Bytes and Piece differ")
	}
	got := make([]byte, len(content)+1)
	if n, err := b.ReadAt(got, 0); err != io.EOF || !bytes.Equal(got[:n], content) {
		return nil, fmt.Errorf("blob: Piece gives %d bytes, ReadAt %d, and %w", len(content), n, err)
	}
	return content, nil
}

func (f *fixture) wantBlob(id store.AccountID, blob store.BlobID, want []byte) {
	f.t.Helper()
	got, err := readBlob(f.ctx, f.e, id, blob)
	if err != nil {
		f.t.Errorf("read blob %x of %d bytes: %v", blob, len(want), err)
	} else if !bytes.Equal(got, want) {
		f.t.Errorf("blob %x: %d bytes that are not the %d written", blob, len(got), len(want))
	}
}

func (f *fixture) wantNoBlob(id store.AccountID, blob store.BlobID) {
	f.t.Helper()
	b, err := f.e.OpenBlob(f.ctx, id, blob)
	if !errors.Is(err, store.ErrNotFound) {
		f.t.Errorf("open blob %x: %v, want %v", blob, err, store.ErrNotFound)
	}
	if err == nil {
		b.Close()
	}
}

// blobs returns the adopted blobs as the engine lists them.
func (f *fixture) blobs(id store.AccountID) []store.BlobInfo {
	f.t.Helper()
	var infos []store.BlobInfo
	err := f.e.Blobs(f.ctx, id, func(info store.BlobInfo) error {
		infos = append(infos, info)
		return nil
	})
	if err != nil {
		f.t.Fatalf("list blobs: %v", err)
	}
	return infos
}

// verify fails the test for each problem that the engine finds.
func (f *fixture) verify(ids ...store.AccountID) {
	f.t.Helper()
	for _, id := range ids {
		if err := f.e.Verify(f.ctx, id, func(d store.Damage) { f.t.Errorf("account %d: %+v", id, d) }); err != nil {
			f.t.Errorf("verify account %d: %v", id, err)
		}
	}
}

// wantPanic fails the test if fn does not panic.
func wantPanic(t *testing.T, what string, fn func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s did not panic", what)
		}
	}()
	fn()
}

// content returns n bytes that depend on the seed.
func content(seed uint64, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	rand.NewChaCha8(key).Read(b)
	return b
}
