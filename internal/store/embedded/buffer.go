package embedded

import (
	"math/bits"
	"sync"
)

// Buffers for the content of blobs are powers of two in size, each size with its
// pool, so that a buffer grows with what has arrived and never with what was
// announced.
const (
	minBufferBits = 12
	maxBufferBits = 18 // inlineSize
)

var bufferPools [maxBufferBits - minBufferBits + 1]sync.Pool

// getBuffer returns an empty buffer with room for at least n bytes.
func getBuffer(n int) []byte {
	class := max(bits.Len(uint(max(n, 1)-1)), minBufferBits)
	if class > maxBufferBits {
		return make([]byte, 0, n)
	}
	if b, ok := bufferPools[class-minBufferBits].Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 1<<class)
}

// putBuffer takes back a buffer of getBuffer. Nobody may use it any more.
func putBuffer(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if class < minBufferBits || class > maxBufferBits || cap(b) != 1<<class {
		return
	}
	b = b[:0]
	bufferPools[class-minBufferBits].Put(&b)
}
