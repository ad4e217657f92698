package mail

import (
	"encoding/binary"
	"math/bits"
)

// A packed column is how numbers of neighbouring messages are stored. A line is taken
// from them that is level or rises by one with each message, and what is left of each takes
// 0, 1, 2, 4, 8, 16, 32 or 64 bits, the same for all: UIDs without gaps and flags that all
// messages share take none. It is
//
//	base    varint    where the line begins
//	shape   1 octet   the bits of each number, plus risingLine
//	rests             little endian; the least significant bits of an octet come first

// risingLine marks a packed column whose line rises.
const risingLine = 0x80

type number interface{ ~uint32 | ~uint64 | ~int64 }

func appendPacked[T number](b []byte, column []T) []byte {
	base, width := fit(column, 0)
	shape, slope := width, uint64(0)
	if base1, width1 := fit(column, 1); width1 < width {
		base, shape, width, slope = base1, width1|risingLine, width1, 1
	}
	b = binary.AppendUvarint(b, base)
	b = append(b, byte(shape))
	var octet uint64
	for i, n := range column {
		rest := uint64(n) - base - uint64(i)*slope
		if width >= 8 {
			b = append(b, binary.LittleEndian.AppendUint64(nil, rest)[:width/8]...)
			continue
		}
		octet |= rest << (i * width % 8)
		if width > 0 && ((i+1)*width%8 == 0 || i == len(column)-1) {
			b = append(b, byte(octet))
			octet = 0
		}
	}
	return b
}

// fit returns the base of the line with the given slope below column, and how many bits
// the largest rest takes. Numbers wrap around: a bad fit is one with long rests.
func fit[T number](column []T, slope uint64) (base uint64, width int) {
	lowest, highest, line := ^uint64(0), uint64(0), uint64(0)
	for _, n := range column {
		lowest = min(lowest, uint64(n)-line)
		highest = max(highest, uint64(n)-line)
		line += slope
	}
	for width < bits.Len64(highest-lowest) {
		width = max(1, 2*width)
	}
	return lowest, width
}

// packedColumn is a packed column as it is stored. Its rests alias what it was read from.
type packedColumn struct {
	base, slope uint64
	width       int // bits
	rests       []byte
}

// packed reads a packed column of n numbers, which the caller has bounded.
func (r *reader) packed(n int) packedColumn {
	base, shape := r.uint(), r.byte()
	p := packedColumn{base: base, slope: uint64(shape / risingLine), width: int(shape &^ risingLine)}
	size := (n*p.width + 7) / 8
	if p.width > 64 || bits.OnesCount(uint(p.width)) > 1 || size > len(r.b) {
		r.fail()
		return packedColumn{}
	}
	p.rests = r.b[:size:size]
	r.b = r.b[size:]
	return p
}

// takePacked reads the n numbers of a packed column.
func takePacked[T number](r *reader, n int) []T { return unpack[T](r.packed(n), n) }

// unpack returns the n numbers of a packed column.
func unpack[T number](p packedColumn, n int) []T {
	column := make([]T, n)
	for i := range column {
		column[i] = T(p.at(i))
	}
	return column
}

// at returns one number.
func (p *packedColumn) at(i int) uint64 {
	n := p.base + uint64(i)*p.slope
	switch p.width {
	case 1, 2, 4:
		bit := i * p.width
		n += uint64(p.rests[bit/8]>>(bit%8)) & (1<<p.width - 1)
	case 8:
		n += uint64(p.rests[i])
	case 16:
		n += uint64(binary.LittleEndian.Uint16(p.rests[2*i:]))
	case 32:
		n += uint64(binary.LittleEndian.Uint32(p.rests[4*i:]))
	case 64:
		n += binary.LittleEndian.Uint64(p.rests[8*i:])
	}
	return n
}

// below says whether the n numbers are less than limit.
func (p *packedColumn) below(limit uint64, n int) bool {
	most := p.base + uint64(n-1)*p.slope + 1<<p.width - 1
	if p.base < limit && p.width < 32 && most < limit {
		return true
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
