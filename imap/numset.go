package imap

import (
	"iter"
	"slices"
	"strconv"
)

// Star stands for "*", the largest number in use, in a Range that has not been
// resolved (RFC 9051 §9, seq-number).
const Star uint32 = 0

// Range is the numbers from Start to Stop, both included. In a set as a client
// wrote it either end may be Star and the ends may stand in either order.
type Range struct {
	Start, Stop uint32
}

// NumSet is a sequence set or UID set (RFC 9051 §9, sequence-set).
//
// A set has one of two forms. As parsed, it is what the client wrote. Resolve
// makes the normal form: ascending, merged, without Star. All methods but
// Resolve and Append need the normal form. The zero value is the empty set.
type NumSet []Range

// NumSetOf returns the normal set of the given numbers, in any order. Zeros are
// left out.
func NumSetOf[N ~uint32](nums ...N) NumSet {
	sorted := slices.Sorted(slices.Values(nums))
	var s NumSet
	for _, n := range sorted {
		if n != 0 {
			s.Add(uint32(n))
		}
	}
	return s
}

// Resolve returns the normal form of s where "*" stands for max, the largest
// number in use (RFC 9051 §9: "*" is the largest in use, and "n:*" includes it
// even where n is larger). With max 0 nothing is in use and "*" matches nothing.
// The cost is bounded by the number of ranges, never by their extent.
func (s NumSet) Resolve(max uint32) NumSet {
	out := make(NumSet, 0, len(s))
	for _, r := range s {
		if (r.Start == Star || r.Stop == Star) && max == 0 {
			continue
		}
		if r.Start == Star {
			r.Start = max
		}
		if r.Stop == Star {
			r.Stop = max
		}
		if r.Start > r.Stop {
			r.Start, r.Stop = r.Stop, r.Start
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Range) int {
		switch {
		case a.Start < b.Start:
			return -1
		case a.Start > b.Start:
			return 1
		}
		return 0
	})
	merged := out[:0]
	for _, r := range out {
		merged.addRange(r)
	}
	return merged
}

// HasStar says whether "*" occurs in s.
func (s NumSet) HasStar() bool {
	for _, r := range s {
		if r.Start == Star || r.Stop == Star {
			return true
		}
	}
	return false
}

// Add adds n, which must not be below the set's last number's range.
func (s *NumSet) Add(n uint32) { s.addRange(Range{n, n}) }

// AddRange adds start to stop; start must not be below the start of the set's
// last range.
func (s *NumSet) AddRange(start, stop uint32) { s.addRange(Range{start, stop}) }

func (s *NumSet) addRange(r Range) {
	if k := len(*s); k > 0 {
		last := &(*s)[k-1]
		if uint64(r.Start) <= uint64(last.Stop)+1 {
			last.Stop = max(last.Stop, r.Stop)
			return
		}
	}
	*s = append(*s, r)
}

// Contains says whether n is in s.
func (s NumSet) Contains(n uint32) bool {
	_, found := slices.BinarySearchFunc(s, n, func(r Range, n uint32) int {
		switch {
		case r.Stop < n:
			return -1
		case r.Start > n:
			return 1
		}
		return 0
	})
	return found
}

// Count returns how many numbers are in s.
func (s NumSet) Count() uint64 {
	var n uint64
	for _, r := range s {
		n += uint64(r.Stop) - uint64(r.Start) + 1
	}
	return n
}

// Min returns the smallest number, 0 for the empty set.
func (s NumSet) Min() uint32 {
	if len(s) == 0 {
		return 0
	}
	return s[0].Start
}

// Max returns the largest number, 0 for the empty set.
func (s NumSet) Max() uint32 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].Stop
}

// Clip returns the part of s that lies between lo and hi, both included.
func (s NumSet) Clip(lo, hi uint32) NumSet {
	var out NumSet
	for _, r := range s {
		if r.Start < lo {
			r.Start = lo
		}
		if r.Stop > hi {
			r.Stop = hi
		}
		if r.Start <= r.Stop {
			out = append(out, r)
		}
	}
	return out
}

// Minus returns the numbers of s that are not in o.
func (s NumSet) Minus(o NumSet) NumSet {
	var out NumSet
	j := 0
	for _, r := range s {
		start := uint64(r.Start)
		for j < len(o) && o[j].Stop < r.Start {
			j++
		}
		for k := j; k < len(o) && o[k].Start <= r.Stop && start <= uint64(r.Stop); k++ {
			if uint64(o[k].Start) > start {
				out = append(out, Range{uint32(start), o[k].Start - 1})
			}
			start = uint64(o[k].Stop) + 1
		}
		if start <= uint64(r.Stop) {
			out = append(out, Range{uint32(start), r.Stop})
		}
	}
	return out
}

// Intersect returns the numbers that are in both sets.
func (s NumSet) Intersect(o NumSet) NumSet {
	var out NumSet
	for i, j := 0, 0; i < len(s) && j < len(o); {
		lo, hi := max(s[i].Start, o[j].Start), min(s[i].Stop, o[j].Stop)
		if lo <= hi {
			out = append(out, Range{lo, hi})
		}
		if s[i].Stop < o[j].Stop {
			i++
		} else {
			j++
		}
	}
	return out
}

// All yields the numbers in ascending order.
func (s NumSet) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, r := range s {
			for n := uint64(r.Start); n <= uint64(r.Stop); n++ {
				if !yield(uint32(n)) {
					return
				}
			}
		}
	}
}

// Append appends s in wire form to b. The empty set appends nothing; it has no
// wire form.
func (s NumSet) Append(b []byte) []byte {
	for i, r := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSetNum(b, r.Start)
		if r.Start != r.Stop {
			b = append(b, ':')
			b = appendSetNum(b, r.Stop)
		}
	}
	return b
}

// String returns the wire form.
func (s NumSet) String() string { return string(s.Append(nil)) }

func appendSetNum(b []byte, n uint32) []byte {
	if n == Star {
		return append(b, '*')
	}
	return strconv.AppendUint(b, uint64(n), 10)
}
