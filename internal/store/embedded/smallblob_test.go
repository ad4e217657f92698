package embedded

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/internal/store"
	"tidemark/internal/store/storetest"
)

// adoptBlob makes a blob part of account 1.
func adoptBlob(t *testing.T, e *Engine, content []byte) store.BlobID {
	t.Helper()
	ref, err := storetest.WriteBlob(t.Context(), e, 1, content)
	if err != nil {
		t.Fatal(err)
	}
	err = e.Update(t.Context(), 1, func(tx store.Tx) error {
		tx.Adopt(ref)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ref.Info().ID
}

// bodyKeys returns how many values lie in the space of contents.
func bodyKeys(t *testing.T, e *Engine) (n int) {
	t.Helper()
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceBody}, UpperBound: []byte{spaceEnd}})
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

// If this fails, pieces of a message are lost, overlap, or stay when it is dropped.
func TestPieces(t *testing.T) {
	for _, tt := range []struct{ size, want int }{
		{0, 1}, {firstPiece, 1}, {firstPiece + 1, 2}, {pieceSize, 2}, {pieceSize + 1, 3}, {inlineSize, 5},
	} {
		e := mustOpen(t, "store", Options{FS: vfs.NewMem()})
		id := adoptBlob(t, e, make([]byte, tt.size))
		if got := bodyKeys(t, e); got != tt.want || pieces(id) != tt.want || inFile(id) {
			t.Errorf("%d bytes: %d values, %d pieces by the ID %x, want %d", tt.size, got, pieces(id), id, tt.want)
		}
		err := e.Update(t.Context(), 1, func(tx store.Tx) error {
			tx.DropBlob(id)
			return nil
		})
		if got := bodyKeys(t, e); got != 0 || err != nil {
			t.Errorf("%d bytes: %d values are left, %v", tt.size, got, err)
		}
		mustClose(t, e)
	}
	for number := range pieceCount(inlineSize) {
		start, end := pieceBounds(number)
		if pieceAt(start) != number || pieceAt(end-1) != number || pieceAt(end) != number+1 {
			t.Errorf("piece %d from %d to %d is not where its offsets are", number, start, end)
		}
	}
}

// If this fails, a message of which an attachment is damaged cannot be read at all, or
// nobody is told of the damage.
func TestMissingPiece(t *testing.T) {
	e := mustOpen(t, "store", Options{FS: vfs.NewMem()})
	defer mustClose(t, e)
	id := adoptBlob(t, e, make([]byte, 200_000))
	key := appendPiece(appendPrefix(nil, spaceBody, 1), id, 2)
	if err := e.db.Delete(key, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	b, err := e.OpenBlob(t.Context(), 1, id)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for off, want := range map[int64]error{0: nil, pieceSize - 1: nil, pieceSize: store.ErrCorrupt, 2 * pieceSize: nil, 200_000: io.EOF} {
		if _, err := b.Piece(off); !errors.Is(err, want) {
			t.Errorf("offset %d: %v, want %v", off, err, want)
		}
	}
	var found []store.Damage
	if err := e.Verify(t.Context(), 1, func(d store.Damage) { found = append(found, d) }); err != nil {
		t.Error(err)
	}
	if len(found) != 1 || !found[0].Blobs || !bytes.Equal(found[0].Key, id[:]) {
		t.Errorf("reported: %v", found)
	}
}

// If this fails, messages that were stored before blobs were cut cannot be read, found
// sound, or dropped.
func TestWholeBlob(t *testing.T) {
	e := mustOpen(t, "store", Options{FS: vfs.NewMem()})
	defer mustClose(t, e)
	content := bytes.Repeat([]byte("tide "), 40_000)
	ref, err := storetest.WriteBlob(t.Context(), e, 1, content)
	if err != nil {
		t.Fatal(err)
	}
	old := ref.(*blobRef)
	old.info.ID[0] = 0
	err = e.Update(t.Context(), 1, func(tx store.Tx) error {
		tx.Adopt(old)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	id := old.info.ID
	if n := bodyKeys(t, e); n != 1 {
		t.Fatalf("%d values", n)
	}
	b, err := e.OpenBlob(t.Context(), 1, id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Piece(100_000)
	if err != nil || !bytes.Equal(got, content[100_000:]) || !bytes.Equal(b.Bytes(), content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := e.Verify(t.Context(), 1, func(d store.Damage) { t.Error(d) }); err != nil {
		t.Error(err)
	}
	err = e.Update(t.Context(), 1, func(tx store.Tx) error {
		tx.DropBlob(id)
		return nil
	})
	if n := bodyKeys(t, e); n != 0 || err != nil {
		t.Errorf("%d values are left, %v", n, err)
	}
}
