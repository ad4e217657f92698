package imap

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The sets below draw from the numbers 1 to space, so that a plain array can judge them,
// and are shifted to the end of the 32 bits now and then, where sums wrap.
const space = 40

// drawn is a set as a client might write it and what it should contain.
type drawn struct {
	set  NumSet
	want [space + 1]bool
}

func drawSet(t *rapid.T, label string) drawn {
	var d drawn
	for range rapid.IntRange(0, 6).Draw(t, label+" ranges") {
		r := Range{
			Start: uint32(rapid.IntRange(0, space).Draw(t, label+" start")),
			Stop:  uint32(rapid.IntRange(0, space).Draw(t, label+" stop")),
		}
		d.set = append(d.set, r)
		lo, hi := r.Start, r.Stop
		if lo == Star {
			lo = space
		}
		if hi == Star {
			hi = space
		}
		for n := min(lo, hi); n <= max(lo, hi); n++ {
			d.want[n] = true
		}
	}
	return d
}

// shifted returns the normal form of d.set with by added to each number.
func (d *drawn) shifted(by uint32) NumSet {
	s := d.set.Resolve(space)
	for i := range s {
		s[i].Start += by
		s[i].Stop += by
	}
	return s
}

// checkSet wants s, less by, to contain just the numbers of want, in the normal form.
func checkSet(t *rapid.T, what string, s NumSet, by uint32, want [space + 1]bool) {
	var all []uint32
	for n := range uint32(space + 1) {
		if n > 0 && s.Contains(n+by) != want[n] {
			t.Fatalf("%s: %v contains %d: %v", what, s, n+by, !want[n])
		}
		if want[n] {
			all = append(all, n+by)
		}
	}
	if got := slices.Collect(s.All()); !slices.Equal(got, all) {
		t.Fatalf("%s: all of %v are %v, want %v", what, s, got, all)
	}
	if s.Count() != uint64(len(all)) {
		t.Fatalf("%s: count of %v is %d", what, s, s.Count())
	}
	if len(all) > 0 && (s.Min() != all[0] || s.Max() != all[len(all)-1]) || len(all) == 0 && (s.Min() != 0 || s.Max() != 0) {
		t.Fatalf("%s: %v has min %d and max %d", what, s, s.Min(), s.Max())
	}
	if !slices.Equal(s, NumSetOf(all...)) {
		t.Fatalf("%s: %v is not in the normal form", what, s)
	}
}

// If this failed, commands would work on other messages than those in the set. An array
// of booleans is the judge.
func TestNumSetAgainstArray(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		by := rapid.SampledFrom([]uint32{0, 1<<32 - 1 - space}).Draw(t, "shift")
		a, b := drawSet(t, "a"), drawSet(t, "b")
		x, y := a.shifted(by), b.shifted(by)
		checkSet(t, "Resolve", x, by, a.want)

		var minus, both, clipped [space + 1]bool
		lo, hi := uint32(rapid.IntRange(0, space).Draw(t, "lo")), uint32(rapid.IntRange(0, space).Draw(t, "hi"))
		for n := range uint32(space + 1) {
			minus[n] = a.want[n] && !b.want[n]
			both[n] = a.want[n] && b.want[n]
			clipped[n] = a.want[n] && n >= lo && n <= hi
		}
		checkSet(t, "Minus", x.Minus(y), by, minus)
		checkSet(t, "Intersect", x.Intersect(y), by, both)
		checkSet(t, "Clip", x.Clip(lo+by, hi+by), by, clipped)
	})
}

// If this failed, "*" would mean a message that is not there (RFC 9051 §9, seq-number).
func TestNumSetStar(t *testing.T) {
	for _, test := range []struct {
		set  NumSet
		max  uint32
		want string
	}{
		{NumSet{{5, Star}}, 3, "3:5"},
		{NumSet{{Star, Star}}, 7, "7"},
		{NumSet{{Star, 4}, {5, 7}}, 10, "4:10"},
		{NumSet{{1, Star}, {9, 9}}, 0, "9"},
		{NumSet{{2, 2}, {4, 7}, {9, 9}, {12, Star}}, 15, "2,4:7,9,12:15"},
		{NumSet{{1, 1<<32 - 1}, {1<<32 - 1, 1<<32 - 1}}, 1, "1:4294967295"},
		{nil, 5, ""},
	} {
		if got := test.set.Resolve(test.max).String(); got != test.want {
			t.Errorf("%v with %d: got %s, want %s", test.set, test.max, got, test.want)
		}
	}
	if !(NumSet{{1, 2}, {3, Star}}).HasStar() || (NumSet{{1, 2}}).HasStar() {
		t.Error("HasStar is wrong")
	}
}

// If this failed, sets would be sent in a form that clients cannot read.
func TestNumSetString(t *testing.T) {
	if got := (NumSet{{1, 1}, {3, 5}, {Star, 4}, {Star, Star}}).String(); got != "1,3:5,*:4,*" {
		t.Errorf("got %s", got)
	}
	if got := NumSetOf[uint32](3, 0, 1, 2, 2, 7).String(); got != "1:3,7" {
		t.Errorf("got %s", got)
	}
}

// If this failed, a set of few ranges and all numbers would cost what it has numbers.
func TestNumSetCostFollowsRanges(t *testing.T) {
	huge := NumSet{{1, 1<<32 - 1}}
	for range 1000 {
		s := huge.Resolve(1<<32-1).Minus(NumSet{{5, 6}}).Intersect(huge).Clip(2, 1<<32-2)
		if s.Count() != 1<<32-5 || !s.Contains(4) || s.Contains(5) {
			t.Fatalf("got %v", s)
		}
	}
	for n := range huge.All() {
		if n == 3 {
			break
		}
	}
}
