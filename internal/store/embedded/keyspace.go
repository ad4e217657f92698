package embedded

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"tidemark/internal/store"
)

// A stored key is a space byte, the account (8 bytes, big endian) and the key
// within the account. The space comes first so that the small keys of all
// accounts lie together, apart from the bodies: each table then holds one kind
// of data and is stored in the way that suits it.
const (
	spaceKeys byte = 1 // the account's keys
	spaceInfo byte = 2 // what is known of each blob, by BlobID
	spaceBody byte = 3 // the content of small blobs, by BlobID and number of the piece
	spaceEnd  byte = 4 // after the last space
)

// prefixLen is the length of space and account.
const prefixLen = 1 + 8

// appendPrefix appends what all keys of the account in a space begin with.
func appendPrefix(dst []byte, space byte, id store.AccountID) []byte {
	return binary.BigEndian.AppendUint64(append(dst, space), uint64(id))
}

// appendKey appends the stored form of key.
func appendKey(dst []byte, space byte, id store.AccountID, key []byte) []byte {
	return append(appendPrefix(dst, space, id), key...)
}

// appendEnd appends the stored form of the end of a range, which is the
// account's end if end is nil.
func appendEnd(dst []byte, space byte, id store.AccountID, end []byte) []byte {
	switch {
	case end != nil:
		return appendKey(dst, space, id, end)
	case id == math.MaxUint64:
		return append(dst, space+1)
	default:
		return appendPrefix(dst, space, id+1)
	}
}

// withoutPiece returns a stored key without the number of a piece.
func withoutPiece(key []byte) []byte {
	if key[0] == spaceBody {
		return key[:min(len(key), prefixLen+len(store.BlobID{}))]
	}
	return key
}

// emptyRange tells whether no key can lie from start to end.
func emptyRange(start, end []byte) bool {
	return end != nil && bytes.Compare(start, end) >= 0
}

// accountOf returns the account of a stored key.
func accountOf(key []byte) store.AccountID {
	return store.AccountID(binary.BigEndian.Uint64(key[1:prefixLen]))
}

// describeKey puts a stored key in words.
func describeKey(key []byte) string {
	if len(key) < prefixLen {
		return fmt.Sprintf("stored key %x", key)
	}
	kind := "key"
	switch key[0] {
	case spaceInfo:
		kind = "record of blob"
	case spaceBody:
		kind = "content of blob"
	}
	if len(key) == prefixLen {
		return fmt.Sprintf("account %d, a range from its first %s on", accountOf(key), kind)
	}
	return fmt.Sprintf("account %d, %s %x", accountOf(key), kind, key[prefixLen:])
}
