package mail

import (
	"encoding/binary"
	"math/bits"
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

// packedColumn is a packed column as it is stored. Its rests alias what it was read from.
type packedColumn struct {
	base, slope uint64
	width       int
	rests       []byte
}

// packed reads a packed column of n numbers, which the caller has bounded.
func (r *reader) packed(n int) packedColumn {
	base, shape := r.uint(), r.byte()
	p := packedColumn{base: base, slope: uint64(shape & risingLine / risingLine), width: int(shape &^ risingLine)}
	if p.width > 8 || bits.OnesCount(uint(p.width)) > 1 || n*p.width > len(r.b) {
		r.fail()
		return packedColumn{}
	}
	p.rests = r.b[: n*p.width : n*p.width]
	r.b = r.b[n*p.width:]
	return p
}

// unpack returns the n numbers of a packed column.
func unpack[T number](p packedColumn, n int) []T {
	column, base, slope, rests := make([]T, n), p.base, p.slope, p.rests
	switch p.width {
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
	}
	return column
}

// takePacked reads the n numbers of a packed column.
func takePacked[T number](r *reader, n int) []T { return unpack[T](r.packed(n), n) }

// at returns one number.
func (p *packedColumn) at(i int) uint64 {
	n := p.base + uint64(i)*p.slope
	switch p.width {
	case 1:
		n += uint64(p.rests[i])
	case 2:
		n += uint64(binary.LittleEndian.Uint16(p.rests[2*i:]))
	case 4:
		n += uint64(binary.LittleEndian.Uint32(p.rests[4*i:]))
	case 8:
		n += binary.LittleEndian.Uint64(p.rests[8*i:])
	}
	return n
}

// below says whether the n numbers are less than limit.
func (p *packedColumn) below(limit uint64, n int) bool {
	if p.width == 0 {
		return p.at(n-1) < limit
	}
	for i := range n {
		if p.at(i) >= limit {
			return false
		}
	}
	return true
}

// ascending says whether each of the n numbers is greater than the one before.
func (p *packedColumn) ascending(n int) bool {
	if p.width == 0 {
		return n == 1 || p.slope > 0
	}
	for i := 1; i < n; i++ {
		if p.at(i) <= p.at(i-1) {
			return false
		}
	}
	return true
}
