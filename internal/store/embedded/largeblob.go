package embedded

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/internal/store"
)

// chunkSize is the part of a large blob, in bytes, that has its own checksum. A
// read verifies each chunk that it touches.
const chunkSize = 64 << 10

// chunkCount returns the number of chunks of a blob of size bytes.
func chunkCount(size int64) int64 { return (size + chunkSize - 1) / chunkSize }

// blobFiles are the files of large blobs. A file is whole and durable before a
// transaction can adopt it; a file without a blob record is garbage, unless it is
// in use.
type blobFiles struct {
	fs  vfs.FS
	dir string

	dirMu  sync.Mutex // syncs of a directory must not overlap
	handle vfs.File

	mu sync.Mutex
	// inUse holds the files that are being written or wait for their transaction.
	inUse map[string]struct{}

	stop  chan struct{} // closed to end the sweep
	swept sync.WaitGroup
}

func openBlobFiles(fs vfs.FS, dir string) (*blobFiles, error) {
	handle, err := fs.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	return &blobFiles{
		fs:     fs,
		dir:    dir,
		handle: handle,
		inUse:  make(map[string]struct{}),
		stop:   make(chan struct{}),
	}, nil
}

func (f *blobFiles) close() error { return f.handle.Close() }

// fileName names the file of a blob: account and ID in hexadecimal.
func fileName(id store.AccountID, blob store.BlobID) string {
	return fmt.Sprintf("%016x-%x", uint64(id), blob[:])
}

// parseFileName is the inverse of fileName.
func parseFileName(name string) (id store.AccountID, blob store.BlobID, ok bool) {
	var b [8 + 1 + len(blob)]byte
	if len(name) != 2*8+1+2*len(blob) || name[16] != '-' {
		return 0, blob, false
	}
	if _, err := hex.Decode(b[:8], []byte(name[:16])); err != nil {
		return 0, blob, false
	}
	if _, err := hex.Decode(b[9:], []byte(name[17:])); err != nil {
		return 0, blob, false
	}
	id, blob = store.AccountID(binary.BigEndian.Uint64(b[:8])), store.BlobID(b[9:])
	return id, blob, fileName(id, blob) == name
}

func (f *blobFiles) path(name string) string { return f.fs.PathJoin(f.dir, name) }

// fileWriter writes one large blob.
type fileWriter struct {
	files *blobFiles
	space *space
	id    store.BlobID
	name  string
	file  vfs.File
	chunk []byte // what is not written yet, less than chunkSize
	sums  []uint32
}

func (f *blobFiles) create(s *space, id store.AccountID, blob store.BlobID) (*fileWriter, error) {
	w := &fileWriter{files: f, space: s, id: blob, name: fileName(id, blob)}
	f.mu.Lock()
	f.inUse[w.name] = struct{}{}
	f.mu.Unlock()
	var err error
	if w.file, err = f.fs.Create(f.path(w.name), category); err != nil {
		f.forget(id, blob)
		return nil, writeError(err)
	}
	w.chunk = getBuffer(chunkSize)
	return w, nil
}

func (w *fileWriter) write(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), chunkSize-len(w.chunk))
		w.chunk = append(w.chunk, p[:n]...)
		p = p[n:]
		if len(w.chunk) == chunkSize {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes the chunk.
func (w *fileWriter) flush() error {
	if len(w.chunk) == 0 {
		return nil
	}
	if err := w.space.check(toAdd, int64(len(w.chunk))); err != nil {
		return err
	}
	w.sums = append(w.sums, crc32.Checksum(w.chunk, castagnoli))
	_, err := w.file.Write(w.chunk)
	w.chunk = w.chunk[:0]
	return writeError(err)
}

// finish makes the file durable.
func (w *fileWriter) finish() error {
	err := w.flush()
	if err == nil {
		err = writeError(w.file.Sync())
	}
	if cerr := w.file.Close(); err == nil {
		err = writeError(cerr)
	}
	w.file = nil
	if err == nil {
		err = w.files.syncDir()
	}
	putBuffer(w.chunk)
	w.chunk = nil
	return err
}

// abort removes the file.
func (w *fileWriter) abort() {
	if w.file != nil {
		_ = w.file.Close()
	}
	putBuffer(w.chunk)
	w.chunk = nil
	_ = w.files.fs.Remove(w.files.path(w.name))
	w.files.release(w.name)
}

func (f *blobFiles) syncDir() error {
	f.dirMu.Lock()
	defer f.dirMu.Unlock()
	return writeError(f.handle.Sync())
}

// remove removes the file of a blob that is not adopted or not any more. If it
// cannot be removed, the next sweep will try again.
func (f *blobFiles) remove(id store.AccountID, blob store.BlobID) {
	_ = f.fs.Remove(f.path(fileName(id, blob)))
}

// forget says that the file is adopted or gone.
func (f *blobFiles) forget(id store.AccountID, blob store.BlobID) {
	f.release(fileName(id, blob))
}

func (f *blobFiles) release(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.inUse, name)
}

func (f *blobFiles) used(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.inUse[name]
	return ok
}

// removeFiles removes the files of blobs whose removal is durable. A reader that
// has one open can go on reading.
func (e *Engine) removeFiles(id store.AccountID, blobs []store.BlobID) {
	for _, b := range blobs {
		e.files.remove(id, b)
	}
}

// startSweep begins to remove the files that a crash left behind.
func (f *blobFiles) startSweep(e *Engine) {
	f.swept.Go(func() {
		if err := f.sweep(e); err != nil {
			e.log.Warn("storage: cannot remove unused files of blobs", "error", err)
		}
	})
}

func (f *blobFiles) stopSweep() {
	close(f.stop)
	f.swept.Wait()
}

func (f *blobFiles) sweep(e *Engine) error {
	names, err := f.fs.List(f.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		select {
		case <-f.stop:
			return nil
		default:
		}
		if !f.orphan(e, name) {
			continue
		}
		if err := f.fs.Remove(f.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		e.log.Info("storage: removed an unused file of a blob", "file", name)
	}
	return nil
}

// orphan tells whether nobody refers to the file, nor will. A file in use gets
// its record before it is out of use, so this order of questions is safe.
func (f *blobFiles) orphan(e *Engine, name string) bool {
	id, blob, ok := parseFileName(name)
	if !ok || f.used(name) {
		return false
	}
	_, _, err := e.blobRecord(id, blob)
	return errors.Is(err, store.ErrNotFound)
}

// writeError gives an error of writing a file its kind.
func writeError(err error) error {
	switch {
	case err == nil:
		return nil
	case noSpace(err):
		return fmt.Errorf("%w: %v", store.ErrFull, err)
	case errors.Is(err, store.ErrFull):
		return err
	default:
		return fmt.Errorf("%w: %v", store.ErrFailed, err)
	}
}

// fileBlob implements store.Blob for large blobs.
type fileBlob struct {
	key  []byte // of the record, for messages
	size int64
	sums []uint32
	file vfs.File

	chunk  []byte // the chunk that was read last
	number int64  // of that chunk
	closed bool
}

func (e *Engine) openFileBlob(id store.AccountID, blob store.BlobID) (store.Blob, error) {
	info, sums, err := e.blobRecord(id, blob)
	if err != nil {
		return nil, err
	}
	key := appendKey(nil, spaceInfo, id, blob[:])
	file, err := e.fs.Open(e.files.path(fileName(id, blob)))
	if errors.Is(err, os.ErrNotExist) {
		// It may have been dropped a moment ago.
		if _, _, again := e.blobRecord(id, blob); again != nil {
			return nil, again
		}
		return nil, damaged(key, "the file is missing")
	}
	if err != nil {
		return nil, readError(key, err)
	}
	return &fileBlob{key: key, size: info.Size, sums: sums, file: file, number: -1}, nil
}

func (b *fileBlob) Bytes() []byte { return nil }

func (b *fileBlob) ReadAt(p []byte, off int64) (int, error) { return readAt(b, p, off) }

func (b *fileBlob) Piece(off int64) ([]byte, error) {
	if off >= b.size {
		return nil, io.EOF
	}
	if err := b.load(off / chunkSize); err != nil {
		return nil, err
	}
	return b.chunk[off%chunkSize:], nil
}

// load reads a chunk and verifies it.
func (b *fileBlob) load(number int64) error {
	switch {
	case b.closed:
		return store.ErrClosed
	case b.number == number:
		return nil
	case b.chunk == nil:
		b.chunk = getBuffer(chunkSize)
	}
	b.number = -1
	start := number * chunkSize
	b.chunk = b.chunk[:min(chunkSize, b.size-start)]
	switch n, err := b.file.ReadAt(b.chunk, start); {
	case n == len(b.chunk):
	case err == io.EOF || err == nil:
		return damaged(b.key, "the file is too short")
	default:
		return readError(b.key, err)
	}
	if crc32.Checksum(b.chunk, castagnoli) != b.sums[number] {
		return damaged(b.key, fmt.Sprintf("wrong checksum from byte %d on", start))
	}
	b.number = number
	return nil
}

func (b *fileBlob) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	putBuffer(b.chunk)
	b.chunk = nil
	return b.file.Close()
}
