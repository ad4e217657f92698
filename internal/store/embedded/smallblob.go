package embedded

import (
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"tidemark/internal/store"
)

const (
	// inlineSize is the size in bytes up to which a blob lies in Pebble. It is then
	// written twice, to the log and to a file of values, but becomes durable together
	// with its transaction by one sync.
	inlineSize = 256 << 10
	// pieceSize is the part of such a blob, in bytes, that is a value of its own. Of the
	// first part the beginning is one by itself, as most of what is looked at in large
	// messages, header and text, stands before their attachments.
	pieceSize  = 64 << 10
	firstPiece = 16 << 10
)

// pieceAt returns the number of the piece that an offset lies in.
func pieceAt(off int64) int {
	if off < firstPiece {
		return 0
	}
	return 1 + int(off/pieceSize)
}

// pieceBounds returns where a piece begins, and where it ends if it is not the last.
func pieceBounds(number int) (start, end int64) {
	switch number {
	case 0:
		return 0, firstPiece
	case 1:
		return firstPiece, pieceSize
	}
	return int64(number-1) * pieceSize, int64(number) * pieceSize
}

// pieceCount returns the number of pieces of a blob of size bytes. An empty one has one.
func pieceCount(size int) int { return 1 + pieceAt(int64(max(size, 1)-1)) }

// pieces returns the number of pieces of a small blob. Those of format 3 are whole.
func pieces(id store.BlobID) int {
	if id[0] == 0 {
		return 1
	}
	return int(id[15]>>1&0xf) + 1
}

// appendPiece appends the key of a piece, within its space and account, to dst: the
// blob's ID, and after it the number of the piece unless it is the first.
func appendPiece(dst []byte, id store.BlobID, number int) []byte {
	dst = append(dst, id[:]...)
	if number > 0 {
		dst = append(dst, byte(number))
	}
	return dst
}

func (t *tx) setPieces(id store.BlobID, content []byte) {
	var scratch [len(id) + 1]byte
	last := pieces(id) - 1
	for i := range last {
		start, end := pieceBounds(i)
		t.setSealed(spaceBody, appendPiece(scratch[:0], id, i), content[start:end])
	}
	start, _ := pieceBounds(last)
	t.setSealed(spaceBody, appendPiece(scratch[:0], id, last), content[start:])
}

func (t *tx) deletePieces(id store.BlobID) {
	var scratch [len(id) + 1]byte
	for i := range pieces(id) {
		t.deleteIn(spaceBody, appendPiece(scratch[:0], id, i))
	}
}

// readPiece calls fn with a piece of a small blob, which is valid until fn returns.
func readPiece(from source, account store.AccountID, id store.BlobID, number int, fn func(piece []byte)) error {
	var scratch [prefixLen + len(id) + 1]byte
	key := appendPiece(appendPrefix(scratch[:0], spaceBody, account), id, number)
	sealed, closer, err := from.Get(key)
	if errors.Is(err, pebble.ErrNotFound) && number > 0 {
		return damaged(key, "a piece is missing")
	}
	if err != nil {
		return readError(key, err)
	}
	defer closer.Close()
	piece, err := unseal(key, sealed)
	if err == nil {
		fn(piece)
	}
	return err
}

// smallBlob implements store.Blob for small blobs. It has a copy of one piece, because a
// slow reader would else pin the memory or the tables that the piece lies in.
type smallBlob struct {
	engine   *Engine
	account  store.AccountID
	id       store.BlobID
	snapshot *pebble.Snapshot // keeps the pieces that were not read yet; nil if there is one
	piece    []byte           // that was read last
	number   int              // of it; -1 for none
	closed   bool
}

func (e *Engine) openSmallBlob(account store.AccountID, id store.BlobID) (store.Blob, error) {
	b := &smallBlob{engine: e, account: account, id: id, number: -1}
	var from source = e.db
	if pieces(id) > 1 {
		b.snapshot = e.anchor.newSnapshot()
		from = b.snapshot
	}
	if err := b.read(from, 0); err != nil {
		_ = b.Close()
		return nil, err
	}
	return b, nil
}

// read makes a piece the one in memory.
func (b *smallBlob) read(from source, number int) error {
	b.number = -1
	err := readPiece(from, b.account, b.id, number, func(piece []byte) {
		if cap(b.piece) < len(piece) {
			putBuffer(b.piece)
			b.piece = getBuffer(len(piece))
		}
		b.piece = append(b.piece[:0], piece...)
	})
	if err != nil {
		return err
	}
	b.number = number
	return nil
}

// load is read for a blob that is open.
func (b *smallBlob) load(number int) error {
	switch {
	case b.closed:
		return store.ErrClosed
	case b.number == number:
		return nil
	}
	if err := b.engine.enter(); err != nil {
		return err
	}
	defer b.engine.exit()
	return b.read(b.snapshot, number)
}

func (b *smallBlob) Bytes() []byte {
	if b.snapshot != nil {
		return nil
	}
	return b.piece
}

func (b *smallBlob) ReadAt(p []byte, off int64) (int, error) { return readAt(b, p, off) }

func (b *smallBlob) Piece(off int64) ([]byte, error) {
	number, start := 0, int64(0)
	if b.snapshot != nil {
		number = pieceAt(off)
		start, _ = pieceBounds(number)
	}
	if number >= pieces(b.id) {
		return nil, io.EOF
	}
	if err := b.load(number); err != nil {
		return nil, err
	}
	if off-start >= int64(len(b.piece)) {
		return nil, io.EOF
	}
	return b.piece[off-start:], nil
}

func (b *smallBlob) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	putBuffer(b.piece)
	b.piece = nil
	if b.snapshot != nil {
		return b.snapshot.Close()
	}
	return nil
}
