package mail

import (
	"encoding/binary"
	"fmt"

	"tidemark/imap"
	"tidemark/internal/store"
)

// A record is a version byte and then its fields in a fixed order: numbers as
// varints, byte strings with their length before them. A record with a version
// that is not known is refused, never guessed at.

// reader takes a record apart. After the first error all further reads return
// zero values and err stays.
type reader struct {
	b   []byte
	err error
}

func newReader(b []byte, version byte, what string) *reader {
	r := &reader{b: b}
	if len(b) == 0 || b[0] != version {
		r.err = fmt.Errorf("%w: %s: unknown record version", store.ErrCorrupt, what)
		return r
	}
	r.b = b[1:]
	return r
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = fmt.Errorf("%w: record ends too early or a number in it is wrong", store.ErrCorrupt)
	}
	r.b = nil
}

func (r *reader) uint() uint64 {
	n, k := binary.Uvarint(r.b)
	if k <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[k:]
	return n
}

func (r *reader) uint32() uint32 {
	n := r.uint()
	if n > 1<<32-1 {
		r.fail()
		return 0
	}
	return uint32(n)
}

func (r *reader) int() int64 {
	n, k := binary.Varint(r.b)
	if k <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[k:]
	return n
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// bytes returns a field without copying it.
func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	f := r.b[:n:n]
	r.b = r.b[n:]
	return f
}

func (r *reader) string() string { return string(r.bytes()) }

// count reads the number of elements that follow, each of at least one byte, so
// that a damaged count cannot make the caller allocate without bound.
func (r *reader) count() int {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) set() imap.NumSet {
	n := r.count()
	if n == 0 {
		return nil
	}
	s := make(imap.NumSet, 0, n)
	var last uint64
	for range n {
		start := last + r.uint()
		stop := start + r.uint()
		if start == 0 || stop > 1<<32-1 {
			r.fail()
			return nil
		}
		s = append(s, imap.Range{Start: uint32(start), Stop: uint32(stop)})
		last = stop
	}
	return s
}

// done returns the first error, or one if octets are left over.
func (r *reader) done() error {
	if r.err == nil && len(r.b) > 0 {
		return fmt.Errorf("%w: record is longer than its fields", store.ErrCorrupt)
	}
	return r.err
}

func appendField(b, field []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(field))), field...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendSet(b []byte, s imap.NumSet) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	var last uint32
	for _, r := range s {
		b = binary.AppendUvarint(b, uint64(r.Start-last))
		b = binary.AppendUvarint(b, uint64(r.Stop-r.Start))
		last = r.Stop
	}
	return b
}
