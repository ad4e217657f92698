// Package store is the storage contract: ordered keys per account, changed in
// serial transactions, and blobs. An engine keeps bytes; what they mean is known
// to package mail alone.
//
// The contract, numbered so that storetest can quote it:
//
//  1. Each account has its own key space. No call reaches another account's keys
//     or blobs.
//  2. View sees one consistent state for its whole length, and nothing that a
//     power cut could still undo.
//  3. Update functions of one account run one after the other, each seeing all
//     that the earlier ones wrote. Several may be applied before the first of
//     them is durable.
//  4. Update returns nil only when the transaction is durable, and so does the
//     wait that Apply returns. After an error from the function nothing is
//     applied. After ErrFailed it is unknown whether the transaction will be there
//     after a restart; nothing may be acknowledged.
//  5. The function given to Update or Apply may run more than once; only its last
//     run counts. It must touch nothing but its Tx. It must not keep a slice that
//     it got from the Tx or an Iterator, unless it copies it.
//  6. Functions given to Tx.OnApply run once, after the transaction is applied and
//     before the account's next update function begins.
//  7. A blob can be read from the moment the transaction that adopted it is
//     applied until one that drops it is. Adopting a blob and everything else in
//     the transaction become durable together.
//  8. A blob that no transaction adopts is garbage; the engine removes it.
//  9. All errors are one of the kinds below, a context's error, or the
//     function's own error unchanged.
//  10. Damaged bytes are never returned: reading them gives ErrCorrupt, and
//     everything else stays readable.
package store

import (
	"context"
	"errors"
	"io"
)

// The kinds of error. Engines wrap them with detail; test with errors.Is.
var (
	// ErrNotFound: no such key or blob.
	ErrNotFound = errors.New("not found")
	// ErrCorrupt: a checksum or a length is wrong.
	ErrCorrupt = errors.New("data is damaged")
	// ErrFull: no room on the disk. Reading goes on; writing works again when
	// there is room.
	ErrFull = errors.New("no space left")
	// ErrFailed: a write or sync failed for good. The store takes no more
	// changes until it is opened again.
	ErrFailed = errors.New("storage has failed")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("storage is closed")
	// ErrFormat: the store's format is not one that this program knows.
	ErrFormat = errors.New("unknown storage format")
)

// AccountID names an account. IDs are never used again.
type AccountID uint64

// Limits of keys and values in bytes. Longer ones are a programmer's error and
// panic.
const (
	MaxKey   = 2 << 10
	MaxValue = 16 << 20
)

// Engine keeps the accounts. All methods may be called concurrently.
type Engine interface {
	// View calls fn once with a consistent, durable state of the account. An
	// account nobody wrote to is empty.
	View(ctx context.Context, id AccountID, fn func(Reader) error) error

	// Update calls fn and commits what it wrote.
	Update(ctx context.Context, id AccountID, fn func(Tx) error) error

	// Apply is Update without its end: the transaction is applied, and wait returns when
	// it is durable too, or never will be. wait must be called, once. Close waits for it.
	Apply(ctx context.Context, id AccountID, fn func(Tx) error) (wait func() error, err error)

	// NewBlob begins a blob of the account. size is what the caller expects; it
	// may be wrong and only chooses a good place.
	NewBlob(ctx context.Context, id AccountID, size int64) (BlobWriter, error)

	// OpenBlob opens a blob for reading.
	OpenBlob(ctx context.Context, id AccountID, blob BlobID) (Blob, error)

	// Accounts calls fn with each account that has keys or blobs, ascending.
	Accounts(ctx context.Context, fn func(AccountID) error) error

	// Blobs calls fn with each adopted blob of the account, ascending.
	Blobs(ctx context.Context, id AccountID, fn func(BlobInfo) error) error

	// Verify reads everything the engine keeps for the account, keys and blobs,
	// and reports each damaged or dangling thing. It returns an error only if it
	// could not go on.
	Verify(ctx context.Context, id AccountID, report func(Damage)) error

	// Close waits for running calls and releases the store.
	Close() error
}

// Reader reads one account. A returned slice is valid until the function that
// got the Reader returns; it must not be changed.
type Reader interface {
	// Get returns the value of key, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Scan goes over the keys from start (included) to end (excluded), backwards
	// if reverse. A nil end means the end of the account. The iterator must be closed.
	Scan(start, end []byte, reverse bool) Iterator
}

// Iterator is used as: for it.Next() { it.Key(); it.Value() }; err = it.Close().
// Key is valid until the next call of Next; Value may fail with ErrCorrupt, after
// which the iteration can go on.
type Iterator interface {
	Next() bool
	Key() []byte
	Value() ([]byte, error)
	Close() error
}

// Tx is a write transaction. It reads its own writes.
type Tx interface {
	Reader
	Set(key, value []byte)
	Delete(key []byte)
	// DeleteRange deletes start (included) to end (excluded); a nil end means the
	// end of the account.
	DeleteRange(start, end []byte)
	// Adopt makes a finished blob of the same account part of the store.
	Adopt(b BlobRef)
	// DropBlob removes an adopted blob.
	DropBlob(id BlobID)
	// OnApply registers fn to run once when the transaction has been applied. It
	// must be quick and must not call the engine.
	OnApply(fn func())
}

// BlobID names a blob within its account. IDs are never used again.
type BlobID [16]byte

// BlobInfo is what the engine knows of a blob without reading it.
type BlobInfo struct {
	ID   BlobID
	Size int64
	Sum  [32]byte // SHA-256 of the content
}

// Damage is something that Verify found wrong with a key or a blob, or with all that
// lie in a range.
type Damage struct {
	// Blobs: Key and Until are BlobIDs, not keys.
	Blobs bool
	// Key is what is damaged. In a range it is the last in front of the damage that
	// can be read, and empty where there is none.
	Key []byte
	// Range: what lies between Key and Until cannot be read. An empty Until is the end
	// of the account.
	Range bool
	Until []byte
	// What is wrong, in words that do not name the place.
	Text string
}

// BlobRef is a finished blob, ready to be adopted by one transaction (or by
// none). Discard releases what it holds; it does nothing to a blob that was
// adopted by a durable transaction and may be called twice.
type BlobRef interface {
	Info() BlobInfo
	Discard()
}

// BlobWriter takes the content of a new blob. Exactly one of Finish and Abort
// ends it; Abort after Finish does nothing.
type BlobWriter interface {
	io.Writer
	Finish() (BlobRef, error)
	Abort()
}

// Blob is an open blob, for one goroutine at a time. It is verified piece by piece as it is
// read, so that to read a part does not take reading the whole. Close releases it; a blob
// that is dropped while it is open stays readable.
type Blob interface {
	io.ReaderAt
	io.Closer
	// Piece returns octets from off on, at least one and as many as the engine has in
	// memory next to each other, or io.EOF at the end. They are valid until the next call.
	Piece(off int64) ([]byte, error)
	// Bytes returns the whole content where the engine has it in memory anyway,
	// else nil. It is valid until Close.
	Bytes() []byte
}
