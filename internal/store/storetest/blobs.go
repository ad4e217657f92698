package storetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"tidemark/internal/store"
)

// sizes are those where engines change their ways: pages, chunks, small and large.
var sizes = []int{
	0, 1, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, 131072, 131073,
	262143, 262144, 262145, 300_000, 1 << 20, 3<<20 + 7,
}

// If this fails, some messages come back changed.
func testBlobSizes(t *testing.T, f *fixture) {
	ids := map[int]store.BlobID{}
	for i, n := range sizes {
		body := content(uint64(i), n)
		ref := f.newBlob(1, body)
		want := store.BlobInfo{ID: ref.Info().ID, Size: int64(n), Sum: sha256.Sum256(body)}
		if ref.Info() != want {
			t.Errorf("blob of %d bytes: %v, want %v", n, ref.Info(), want)
		}
		f.update(1, func(tx store.Tx) { tx.Adopt(ref) })
		ref.Discard() // does nothing to an adopted blob
		ids[n] = ref.Info().ID
	}
	for range 2 {
		for i, n := range sizes {
			checkReads(t, f, ids[n], content(uint64(i), n))
		}
		if got := f.blobs(1); len(got) != len(sizes) {
			t.Errorf("%d blobs are listed, want %d", len(got), len(sizes))
		}
		f.reopen()
	}
}

// checkReads reads a blob in ranges, also across its end.
func checkReads(t *testing.T, f *fixture, id store.BlobID, body []byte) {
	f.wantBlob(1, id, body)
	b, err := f.e.OpenBlob(f.ctx, 1, id)
	if err != nil {
		t.Errorf("open blob of %d bytes: %v", len(body), err)
		return
	}
	defer b.Close()
	rng := rand.New(rand.NewPCG(uint64(len(body)), 1))
	for range 20 {
		off, buf := rng.IntN(len(body)+2), make([]byte, rng.IntN(100_000))
		n, err := b.ReadAt(buf, int64(off))
		want := body[min(off, len(body)):min(off+len(buf), len(body))]
		if !bytes.Equal(buf[:n], want) {
			t.Errorf("%d of %d bytes from %d on: got %d, and not the right ones", len(buf), len(body), off, n)
		}
		if n < len(buf) && err != io.EOF || n == len(buf) && err != nil && err != io.EOF {
			t.Errorf("%d of %d bytes from %d on: got %d and %v", len(buf), len(body), off, n, err)
		}
	}
	if _, err := b.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset was read")
	}
}

// If this fails, a client that announces a wrong size breaks its message, or takes
// the server's memory.
func testBlobAnnounced(t *testing.T, f *fixture) {
	for _, announced := range []int64{0, -1, 1, 1 << 20, math.MaxInt64} {
		for _, n := range []int{0, 10, 300_000} {
			body := content(uint64(n), n)
			ref, err := writeBlob(f.ctx, f.e, 1, announced, body)
			if err != nil {
				t.Errorf("%d bytes announced as %d: %v", n, announced, err)
				continue
			}
			f.update(1, func(tx store.Tx) { tx.Adopt(ref) })
			f.wantBlob(1, ref.Info().ID, body)
		}
	}
}

// If this fails, a slow download breaks when the message is expunged.
func testBlobDropOpen(t *testing.T, f *fixture) {
	for _, n := range []int{100, 200_000, 500_000} {
		body := content(5, n)
		id := f.adopt(1, body)
		b, err := f.e.OpenBlob(f.ctx, 1, id)
		if err != nil {
			t.Fatal(err)
		}
		f.update(1, func(tx store.Tx) { tx.DropBlob(id) })
		f.wantNoBlob(1, id)
		got := make([]byte, n)
		if m, err := b.ReadAt(got, 0); m != n || !bytes.Equal(got, body) {
			t.Errorf("a dropped blob of %d bytes that is open: %d bytes, %v", n, m, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		f.update(1, func(tx store.Tx) { tx.DropBlob(id) }) // again: nothing
	}
	if got := f.blobs(1); len(got) != 0 {
		t.Errorf("%d blobs are left", len(got))
	}
}

// If this fails, messages are without bodies, or bodies without messages.
func testBlobAtomic(t *testing.T, f *fixture) {
	for i, n := range []int{50, 100_000, 400_000} {
		old := f.adopt(1, content(1, n))
		ref, unwanted := f.newBlob(1, content(2, n)), f.newBlob(1, content(3, n))
		f.update(1, func(tx store.Tx) {
			tx.Set(fmt.Append(nil, i), []byte("v"))
			tx.DropBlob(old)
			tx.Adopt(ref)
			tx.Adopt(unwanted)
			tx.DropBlob(unwanted.Info().ID)
		})
		f.wantNoBlob(1, old)
		f.wantNoBlob(1, unwanted.Info().ID)
		f.wantBlob(1, ref.Info().ID, content(2, n))
		unwanted.Discard()
	}
	f.reopen()
	f.wantDump(1, "0=v 1=v 2=v")
	if got := f.blobs(1); len(got) != 3 {
		t.Errorf("%d blobs, want 3", len(got))
	}
	f.verify(1)
}

// If this fails, aborted deliveries fill the disk, or appear.
func testBlobGarbage(t *testing.T, f *fixture) {
	for _, n := range []int{10, 400_000} {
		forgotten, discarded := f.newBlob(1, content(1, n)), f.newBlob(1, content(2, n))
		f.wantNoBlob(1, forgotten.Info().ID)
		discarded.Discard()
		discarded.Discard()
		f.wantNoBlob(1, discarded.Info().ID)
		wantPanic(t, "adopting a discarded blob", func() {
			_ = f.e.Update(f.ctx, 1, func(tx store.Tx) error { tx.Adopt(discarded); return nil })
		})

		w, err := f.e.NewBlob(f.ctx, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content(3, n)); err != nil {
			t.Error(err)
		}
		w.Abort()
		w.Abort()
		if _, err := w.Write([]byte("more")); err == nil {
			t.Error("an aborted blob takes content")
		}
		if _, err := w.Finish(); err == nil {
			t.Error("an aborted blob was finished")
		}
		f.reopen()
		f.wantNoBlob(1, forgotten.Info().ID)
	}
	if got := f.blobs(1); len(got) != 0 {
		t.Errorf("%d blobs", len(got))
	}
	if err := f.e.Accounts(f.ctx, func(store.AccountID) error { return errors.New("there is one") }); err != nil {
		t.Errorf("accounts: %v", err)
	}
}
