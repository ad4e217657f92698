package mail

import (
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"tidemark/internal/store"
)

// If this fails, a mailbox comes back from its snapshot with other UIDs, flags or dates.
func TestPackedColumn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.OneOf(rapid.Just[int64](0), rapid.Int64()).Draw(t, "base")
		spread := rapid.SampledFrom([]int64{1, 2, 4, 16, 200, 1 << 16, 1 << 31, 1 << 40, math.MaxInt64}).Draw(t, "spread")
		slope := rapid.Int64Range(-1, 2).Draw(t, "slope")
		column := rapid.SliceOfN(rapid.Int64Range(0, spread-1), 1, 40).Draw(t, "column")
		for i := range column {
			column[i] += base + int64(i)*slope
		}
		b := append(appendPacked(nil, column), "rest"...)
		r := &reader{b: b}
		got := takePacked[int64](r, len(column))
		if r.err != nil || string(r.b) != "rest" || !slices.Equal(got, column) {
			t.Fatalf("%v became %v, %v, followed by %q", column, got, r.err, r.b)
		}
		for n := range len(b) - len("rest") {
			short := &reader{b: b[:n]}
			if takePacked[int64](short, len(column)); !errors.Is(short.err, store.ErrCorrupt) {
				t.Fatalf("%d of %d octets: %v", n, len(b), short.err)
			}
		}
	})
}

// If this fails, what is the same for all messages takes room in each snapshot, and opening a
// large mailbox takes the longer.
func TestPackedColumnSize(t *testing.T) {
	for _, tc := range []struct {
		name   string
		number func(i uint32) uint32
		octets int // without base and shape
	}{
		{"all the same", func(uint32) uint32 { return 7 }, 0},
		{"without gaps", func(i uint32) uint32 { return 3 + i }, 0},
		{"two values", func(i uint32) uint32 { return 5 + i%2 }, 100 / 8},
		{"three values", func(i uint32) uint32 { return i % 3 }, 100 / 4},
		{"few gaps", func(i uint32) uint32 { return 1 + i + i/10 }, 100 / 2},
	} {
		column := make([]uint32, 100)
		for i := range column {
			column[i] = tc.number(uint32(i))
		}
		if got := len(appendPacked(nil, column)) - 2; got < tc.octets || got > tc.octets+1 {
			t.Errorf("%s: %d octets, want %d", tc.name, got, tc.octets)
		}
	}
}

// If this fails, a chunk whose numbers cannot be right is taken for a mailbox.
func TestPackedColumnChecks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		column := rapid.SliceOfN(rapid.Uint32Range(0, 300), 1, 20).Draw(t, "column")
		if rapid.Bool().Draw(t, "sorted") {
			slices.Sort(column)
		}
		limit := rapid.Uint32Range(0, 310).Draw(t, "limit")
		r := &reader{b: appendPacked(nil, column)}
		p := r.packed(len(column))
		if got, want := p.below(uint64(limit), len(column)), slices.Max(column) < limit; got != want {
			t.Errorf("%v below %d: %v", column, limit, got)
		}
		want := slices.IsSorted(column) && len(slices.Compact(slices.Clone(column))) == len(column)
		if got := p.ascending(len(column)); got != want {
			t.Errorf("%v ascending: %v", column, got)
		}
	})
}
