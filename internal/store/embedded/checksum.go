package embedded

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"tidemark/internal/store"
)

// castagnoli is the polynomial that amd64 and arm64 compute in hardware.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumLen is the number of bytes that a checksum adds to a stored value.
const sumLen = 4

// checksum covers the whole stored key as well as the value, so that a value
// which turns up under another key or in another account is found out.
func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// seal writes value and its checksum to dst, which must be sumLen bytes longer
// than value.
func seal(dst, key, value []byte) {
	n := copy(dst, value)
	binary.LittleEndian.PutUint32(dst[n:], checksum(key, value))
}

// open returns the value in a sealed one, or false if it is damaged.
func open(key, sealed []byte) ([]byte, bool) {
	n := len(sealed) - sumLen
	if n < 0 || binary.LittleEndian.Uint32(sealed[n:]) != checksum(key, sealed[:n]) {
		return nil, false
	}
	return sealed[:n:n], true
}

// unseal is open with an error that names the key.
func unseal(key, sealed []byte) ([]byte, error) {
	value, ok := open(key, sealed)
	if !ok {
		return nil, damaged(key, "wrong checksum")
	}
	return value, nil
}

// damaged says which stored key is damaged, and how.
func damaged(key []byte, how string) error {
	return &corruptError{key: bytes.Clone(key), how: how}
}

// corruptError is a store.ErrCorrupt with its place.
type corruptError struct {
	key []byte // as stored
	how string
}

func (e *corruptError) Error() string { return describeKey(e.key) + ": " + e.how }

func (e *corruptError) Unwrap() error { return store.ErrCorrupt }
