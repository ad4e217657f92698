package embedded

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"tidemark/internal/store"
)

// Blobs implements store.Engine. Blobs whose record is damaged are left out, and
// make it return store.ErrCorrupt when it has come to the end.
func (e *Engine) Blobs(ctx context.Context, id store.AccountID, fn func(store.BlobInfo) error) error {
	return e.withSnapshot(ctx, id, func(s *pebble.Snapshot) error {
		var problems []error
		err := walk(ctx, s, spaceInfo, id, func(at entry) error {
			record, err := at.value()
			if err == nil {
				var info store.BlobInfo
				if info, _, err = decodeInfo(at.key, record); err == nil {
					return fn(info)
				}
			}
			problems = append(problems, err)
			return nil
		}, func(d store.Damage) {
			problems = append(problems, fmt.Errorf("%w: blobs of account %d: %s", store.ErrCorrupt, id, d.Text))
		})
		if err != nil {
			return err
		}
		return errors.Join(problems...)
	})
}

// Verify implements store.Engine.
func (e *Engine) Verify(ctx context.Context, id store.AccountID, report func(store.Damage)) error {
	return e.withSnapshot(ctx, id, func(s *pebble.Snapshot) error {
		v := &verifier{ctx: ctx, engine: e, snapshot: s, id: id, report: report}
		for _, step := range []func() error{v.keys, v.blobs, v.bodies} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
}

// verifier checks one account.
type verifier struct {
	ctx      context.Context
	engine   *Engine
	snapshot *pebble.Snapshot
	id       store.AccountID
	report   func(store.Damage)
}

// problem reports an error of reading key.
func (v *verifier) problem(key []byte, err error) {
	text := err.Error()
	if c, ok := errors.AsType[*corruptError](err); ok {
		text = c.how
	}
	v.report(store.Damage{Blobs: key[0] != spaceKeys, Key: bytes.Clone(withoutPiece(key)[prefixLen:]), Text: text})
}

func (v *verifier) keys() error {
	return walk(v.ctx, v.snapshot, spaceKeys, v.id, func(at entry) error {
		if _, err := at.value(); err != nil {
			v.problem(at.key, err)
		}
		return nil
	}, v.report)
}

// blobs checks each blob record and what it refers to.
func (v *verifier) blobs() error {
	return walk(v.ctx, v.snapshot, spaceInfo, v.id, func(at entry) error {
		record, err := at.value()
		if err != nil {
			v.problem(at.key, err)
			return nil
		}
		info, _, err := decodeInfo(at.key, record)
		if err == nil && inFile(info.ID) {
			err = v.file(info)
		} else if err == nil {
			err = v.body(info)
		}
		if v.ctx.Err() != nil {
			return v.ctx.Err()
		}
		if err != nil {
			v.problem(at.key, err)
		}
		return nil
	}, v.report)
}

// body checks the content of a small blob.
func (v *verifier) body(info store.BlobInfo) error {
	key := appendKey(nil, spaceBody, v.id, info.ID[:])
	sum, size := sha256.New(), int64(0)
	for i := range pieces(info.ID) {
		err := readPiece(v.snapshot, v.id, info.ID, i, func(piece []byte) {
			sum.Write(piece)
			size += int64(len(piece))
		})
		if errors.Is(err, store.ErrNotFound) {
			return damaged(key, "the content is missing")
		}
		if err != nil {
			return err
		}
	}
	return compare(key, info, size, [sha256.Size]byte(sum.Sum(nil)))
}

// file checks the content of a large blob.
func (v *verifier) file(info store.BlobInfo) error {
	b, err := v.engine.openFileBlob(v.id, info.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil // dropped since the snapshot
	}
	if err != nil {
		return err
	}
	defer b.Close()
	sum, size := sha256.New(), int64(0)
	for {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		piece, err := b.Piece(size)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		sum.Write(piece)
		size += int64(len(piece))
	}
	key := appendKey(nil, spaceInfo, v.id, info.ID[:])
	return compare(key, info, size, [sha256.Size]byte(sum.Sum(nil)))
}

// compare compares what was read with what the record says.
func compare(key []byte, info store.BlobInfo, size int64, sum [sha256.Size]byte) error {
	switch {
	case size != info.Size:
		return damaged(key, fmt.Sprintf("%d bytes, but the record says %d", size, info.Size))
	case sum != info.Sum:
		return damaged(key, "the SHA-256 is not the one in the record")
	}
	return nil
}

// bodies looks for content of small blobs that no record refers to.
func (v *verifier) bodies() error {
	var last []byte
	return walk(v.ctx, v.snapshot, spaceBody, v.id, func(at entry) error {
		record := append([]byte{spaceInfo}, withoutPiece(at.key)[1:]...)
		if bytes.Equal(record, last) {
			return nil // another piece
		}
		last = record
		_, closer, err := v.snapshot.Get(record)
		switch {
		case err == nil:
			return closer.Close()
		case errors.Is(err, pebble.ErrNotFound):
			v.problem(at.key, damaged(at.key, "there is content, but no record of it"))
		}
		return nil // another error was reported with the records
	}, v.report)
}

// entry is a key and the means to read its value.
type entry struct {
	key   []byte
	value func() ([]byte, error)
}

// walk goes over the keys of the account in one space. A damaged table ends an
// iteration; then walk goes on from the other end, and lost is told of what lies
// between and cannot be read. Each key is visited once.
func walk(ctx context.Context, s *pebble.Snapshot, space byte, id store.AccountID,
	visit func(entry) error, lost func(store.Damage)) error {
	lower, upper := appendPrefix(nil, space, id), appendEnd(nil, space, id, nil)
	last, damage, err := walkOneWay(ctx, s, lower, upper, false, visit)
	if damage == nil || err != nil {
		return err
	}
	gap := store.Damage{Blobs: space != spaceKeys, Key: bytes.Clone(withoutPiece(last)[prefixLen:]), Range: true, Text: damage.Error()}
	if unreadable(damage) {
		gap.Text = unreadableBecause(damage)
	}
	if len(last) > prefixLen {
		lower = append(last, 0) // the least key after it
	}
	last, _, err = walkOneWay(ctx, s, lower, upper, true, visit)
	if !bytes.Equal(last, lower) {
		gap.Until = bytes.Clone(withoutPiece(last)[prefixLen:])
	}
	lost(gap)
	return err
}

// walkOneWay returns the last key that it visited, or the bound it began at; what
// damage ended the iteration; and the error of visit or of the context.
func walkOneWay(ctx context.Context, s *pebble.Snapshot, lower, upper []byte, reverse bool,
	visit func(entry) error) (last []byte, damage, err error) {
	last = bytes.Clone(lower)
	it, damage := s.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if damage != nil {
		return last, damage, nil
	}
	defer func() {
		if cerr := it.Close(); damage == nil {
			damage = cerr
		}
	}()
	begin, next := it.First, it.Next
	if reverse {
		begin, next = it.Last, it.Prev
	}
	for ok := begin(); ok; ok = next() {
		if err := ctx.Err(); err != nil {
			return last, nil, err
		}
		last = append(last[:0], it.Key()...)
		if err := visit(entry{last, func() ([]byte, error) { return iterValue(it) }}); err != nil {
			return last, nil, err
		}
	}
	return last, nil, nil
}
