package embedded

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync/atomic"
	"time"

	"tidemark/internal/store"
)

// newBlobID makes the ID of a blob that is cut into so many pieces, or is in a file if
// there are none. IDs grow with time, so that blobs which arrive together lie together.
// The first byte is 1, and 0 in stores of format 3, where no blob was cut. The last byte
// tells where the content is, so that a blob can be dropped without looking: its lowest bit
// is set for a file, and the next four are the number of pieces less one.
func newBlobID(pieces int) store.BlobID {
	var id store.BlobID
	rand.Read(id[8:])
	binary.BigEndian.PutUint64(id[:], uint64(time.Now().UnixMicro()))
	id[0] = 1
	if pieces == 0 {
		id[15] |= 1
	} else {
		id[15] = id[15]&^0x1f | byte(pieces-1)<<1
	}
	return id
}

func inFile(id store.BlobID) bool { return id[15]&1 == 1 }

// NewBlob implements store.Engine.
func (e *Engine) NewBlob(ctx context.Context, id store.AccountID, size int64) (store.BlobWriter, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.exit()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := e.failure(); err != nil {
		return nil, err
	}
	if err := e.space.check(toAdd, 0); err != nil {
		return nil, err
	}
	return &blobWriter{engine: e, account: id, large: size > inlineSize, sum: sha256.New()}, nil
}

// blobWriter implements store.BlobWriter. Content is gathered in memory, and goes
// to a file when it gets too large, or at once if it is expected to. There is no file
// before there is content: whoever only asks whether there is room costs nothing.
type blobWriter struct {
	engine  *Engine
	account store.AccountID
	large   bool // expected not to fit in memory
	sum     hash.Hash
	size    int64
	buf     []byte
	file    *fileWriter // nil while the content is in memory
	err     error       // once set, the blob cannot be finished
}

// errEnded is what calls after Finish or Abort return.
var errEnded = errors.New("blob has been ended")

func (w *blobWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if err := w.write(p); err != nil {
		w.abort(err)
		return 0, err
	}
	w.sum.Write(p)
	w.size += int64(len(p))
	return len(p), nil
}

func (w *blobWriter) write(p []byte) error {
	if w.file == nil && (w.large || !w.fits(len(p))) {
		if err := w.spill(); err != nil {
			return err
		}
	}
	if w.file != nil {
		return w.file.write(p)
	}
	w.buf = append(w.buf, p...)
	return nil
}

// fits makes room for n bytes in memory, or tells that there is none.
func (w *blobWriter) fits(n int) bool {
	if len(w.buf)+n <= cap(w.buf) {
		return true
	}
	if len(w.buf)+n > inlineSize {
		return false
	}
	buf := getBuffer(max(len(w.buf)+n, 2*len(w.buf)))
	more := int64(cap(buf) - cap(w.buf))
	if w.engine.memory.Add(more) > w.engine.opts.BlobMemory {
		w.engine.memory.Add(-more)
		putBuffer(buf)
		return false
	}
	buf = append(buf, w.buf...)
	putBuffer(w.buf)
	w.buf = buf
	return true
}

// spill moves the content to a file.
func (w *blobWriter) spill() error {
	file, err := w.engine.files.create(w.engine.space, w.account, newBlobID(0))
	if err != nil {
		return err
	}
	w.file = file
	err = file.write(w.buf)
	w.releaseBuffer()
	return err
}

func (w *blobWriter) releaseBuffer() {
	w.engine.memory.Add(-int64(cap(w.buf)))
	putBuffer(w.buf)
	w.buf = nil
}

// Finish implements store.BlobWriter. A blob in a file is durable then.
func (w *blobWriter) Finish() (store.BlobRef, error) {
	if w.err != nil {
		return nil, w.err
	}
	ref := &blobRef{engine: w.engine, account: w.account}
	if w.file != nil {
		if err := w.file.finish(); err != nil {
			w.abort(err)
			return nil, err
		}
		ref.info.ID, ref.sums = w.file.id, w.file.sums
	} else {
		ref.info.ID, ref.content = newBlobID(pieceCount(len(w.buf))), w.buf
	}
	ref.info.Size = w.size
	w.sum.Sum(ref.info.Sum[:0])
	w.buf, w.file, w.err = nil, nil, errEnded
	return ref, nil
}

// Abort implements store.BlobWriter.
func (w *blobWriter) Abort() {
	if w.err == nil {
		w.abort(errEnded)
	}
}

func (w *blobWriter) abort(err error) {
	w.err = err
	if w.file != nil {
		w.file.abort()
		w.file = nil
	}
	w.releaseBuffer()
}

// The states of a blobRef.
const (
	blobFinished int32 = iota
	blobAdopted
	blobDiscarded
)

// blobRef implements store.BlobRef.
type blobRef struct {
	engine  *Engine
	account store.AccountID
	info    store.BlobInfo
	content []byte   // of a small blob
	sums    []uint32 // of the chunks of a large one
	state   atomic.Int32
}

// Info implements store.BlobRef.
func (b *blobRef) Info() store.BlobInfo { return b.info }

// Discard implements store.BlobRef.
func (b *blobRef) Discard() {
	if !b.state.CompareAndSwap(blobFinished, blobDiscarded) {
		return
	}
	if inFile(b.info.ID) {
		b.engine.files.remove(b.account, b.info.ID)
	}
	b.release()
}

// release gives back the memory. The blob is either durable or discarded.
func (b *blobRef) release() {
	if inFile(b.info.ID) {
		b.engine.files.forget(b.account, b.info.ID)
		return
	}
	b.engine.memory.Add(-int64(cap(b.content)))
	putBuffer(b.content)
	b.content = nil
}

// Adopt implements store.Tx.
func (t *tx) Adopt(ref store.BlobRef) {
	b := ref.(*blobRef)
	switch {
	case b.engine != t.engine || b.account != t.id:
		panic("embedded: blob of another account is adopted")
	case b.state.Load() != blobFinished:
		panic("embedded: blob is adopted twice or was discarded")
	case !slices.Contains(t.adopted, b):
		t.adopted = append(t.adopted, b)
	}
}

// DropBlob implements store.Tx.
func (t *tx) DropBlob(id store.BlobID) {
	t.drops = true
	t.deleteIn(spaceInfo, id[:])
	if inFile(id) {
		t.dropped = append(t.dropped, id)
	} else {
		t.deletePieces(id)
	}
	t.adopted = slices.DeleteFunc(t.adopted, func(b *blobRef) bool { return b.info.ID == id })
}

// writeBlobs puts the adopted blobs into the batch when the function has returned.
func (t *tx) writeBlobs() {
	for _, b := range t.adopted {
		t.setSealed(spaceInfo, b.info.ID[:], encodeInfo(&b.info, b.sums))
		if !inFile(b.info.ID) {
			t.setPieces(b.info.ID, b.content)
		}
	}
}

// infoVersion begins each blob record. Behind it are the size (8 bytes), the
// SHA-256, and for large blobs a CRC-32C of each chunk (4 bytes), little endian.
const (
	infoVersion = 1
	infoLen     = 1 + 8 + sha256.Size
)

func encodeInfo(info *store.BlobInfo, sums []uint32) []byte {
	b := make([]byte, 0, infoLen+4*len(sums))
	b = append(b, infoVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(info.Size))
	b = append(b, info.Sum[:]...)
	for _, s := range sums {
		b = binary.LittleEndian.AppendUint32(b, s)
	}
	return b
}

// decodeInfo reads a blob record; key is its stored key.
func decodeInfo(key, value []byte) (info store.BlobInfo, sums []uint32, err error) {
	if len(key) != prefixLen+len(info.ID) {
		return info, nil, damaged(key, "wrong length of the key")
	}
	info.ID = store.BlobID(key[prefixLen:])
	if len(value) < infoLen || value[0] != infoVersion {
		return info, nil, damaged(key, "unknown form")
	}
	info.Size = int64(binary.LittleEndian.Uint64(value[1:]))
	info.Sum = [sha256.Size]byte(value[9:infoLen])
	for rest := value[infoLen:]; len(rest) >= 4; rest = rest[4:] {
		sums = append(sums, binary.LittleEndian.Uint32(rest))
	}
	if inFile(info.ID) && int64(len(sums)) != chunkCount(info.Size) {
		return info, nil, damaged(key, "wrong number of chunks")
	}
	return info, sums, nil
}

// OpenBlob implements store.Engine.
func (e *Engine) OpenBlob(ctx context.Context, id store.AccountID, blob store.BlobID) (store.Blob, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.exit()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if inFile(blob) {
		return e.openFileBlob(id, blob)
	}
	return e.openSmallBlob(id, blob)
}

// blobRecord reads what is known of a blob.
func (e *Engine) blobRecord(id store.AccountID, blob store.BlobID) (store.BlobInfo, []uint32, error) {
	key := appendKey(nil, spaceInfo, id, blob[:])
	sealed, closer, err := e.db.Get(key)
	if err != nil {
		return store.BlobInfo{}, nil, readError(key, err)
	}
	defer closer.Close()
	value, err := unseal(key, sealed)
	if err != nil {
		return store.BlobInfo{}, nil, err
	}
	return decodeInfo(key, value)
}

// readAt is ReadAt of a blob.
func readAt(b store.Blob, p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read blob at offset %d", off)
	}
	for n < len(p) {
		piece, err := b.Piece(off + int64(n))
		if err != nil {
			return n, err
		}
		n += copy(p[n:], piece)
	}
	return n, nil
}
