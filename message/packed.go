package message

import "encoding/binary"

// packed is a text of up to seven octets, with their number in the highest one. Zero
// stands for a text that is longer or not known.
type packed uint64

// wordSize is the number of octets that are written at once, whatever number of them
// counts: there must be so much room after a text that is being made.
const wordSize = 8

func pack(text []byte) packed {
	if len(text) >= wordSize {
		return 0
	}
	var w [wordSize]byte
	copy(w[:], text)
	w[wordSize-1] = byte(len(text))
	return packed(binary.LittleEndian.Uint64(w[:]))
}

// put writes the text to dst, wordSize octets in all, and returns its length.
func (p packed) put(dst []byte) int {
	binary.LittleEndian.PutUint64(dst, uint64(p))
	return int(p >> 56)
}
