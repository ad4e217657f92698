package mail

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"tidemark/internal/store"
)

// A packed column is how numbers of neighbouring messages are stored. A line is taken
// from them that is level or rises by one with each message, and what is left of each takes
// 0, 1, 2, 4 or 8 octets, the same for all: UIDs without gaps and flags that all
// messages share take none. It is
//
//	base    varint    where the line begins
//	shape   1 octet   the octets of each number, plus risingLine
//	rests             little endian

// risingLine marks a packed column whose line rises.
const risingLine = 0x10

type number interface{ ~uint32 | ~uint64 | ~int64 }

func appendPacked[T number](b []byte, column []T) []byte {
	base, width := fit(column, 0)
	shape, slope := width, uint64(0)
	if base1, width1 := fit(column, 1); width1 < width {
		base, shape, width, slope = base1, width1|risingLine, width1, 1
	}
	b = binary.AppendUvarint(b, base)
	b = append(b, byte(shape))
	for _, n := range column {
		rest := uint64(n) - base
		switch width {
		case 1:
			b = append(b, byte(rest))
		case 2:
			b = binary.LittleEndian.AppendUint16(b, uint16(rest))
		case 4:
			b = binary.LittleEndian.AppendUint32(b, uint32(rest))
		case 8:
			b = binary.LittleEndian.AppendUint64(b, rest)
		}
		base += slope
	}
	return b
}

// fit returns the base of the line with the given slope below column, and how many octets
// the largest rest takes. Numbers wrap around: a bad fit is one with long rests.
func fit[T number](column []T, slope uint64) (base uint64, width int) {
	lowest, highest, line := ^uint64(0), uint64(0), uint64(0)
	for _, n := range column {
		lowest = min(lowest, uint64(n)-line)
		highest = max(highest, uint64(n)-line)
		line += slope
	}
	switch n := bits.Len64(highest - lowest); {
	case n == 0:
		return lowest, 0
	case n <= 8:
		return lowest, 1
	case n <= 16:
		return lowest, 2
	case n <= 32:
		return lowest, 4
	}
	return lowest, 8
}

// takePacked reads a packed column of n numbers, which the caller has bounded.
func takePacked[T number](r *reader, n int) []T {
	base, shape := r.uint(), r.byte()
	width, slope := int(shape&^risingLine), uint64(shape&risingLine/risingLine)
	if r.err != nil || n*width > len(r.b) {
		r.fail()
		return nil
	}
	column, rests := make([]T, n), r.b[:n*width]
	r.b = r.b[n*width:]
	switch width {
	case 0:
		for i := range column {
			column[i] = T(base)
			base += slope
		}
	case 1:
		for i := range column {
			column[i] = T(base + uint64(rests[i]))
			base += slope
		}
	case 2:
		for i := range column {
			column[i] = T(base + uint64(binary.LittleEndian.Uint16(rests[2*i:])))
			base += slope
		}
	case 4:
		for i := range column {
			column[i] = T(base + uint64(binary.LittleEndian.Uint32(rests[4*i:])))
			base += slope
		}
	case 8:
		for i := range column {
			column[i] = T(base + binary.LittleEndian.Uint64(rests[8*i:]))
			base += slope
		}
	default:
		r.err = fmt.Errorf("%w: column of %d octets a number", store.ErrCorrupt, width)
	}
	return column
}
