package main

import (
	"testing"
	"time"
)

// If this fails, the table says the opposite of what was measured.
func TestTimes(t *testing.T) {
	for _, test := range []struct {
		higher     bool
		a, b, want float64
	}{
		{true, 30, 10, 3},
		{false, 10, 30, 3},
		{true, 10, 30, 1.0 / 3},
		{false, 0, 30, 0},
	} {
		if got := times(row{higher: test.higher}, test.a, test.b); got != test.want {
			t.Errorf("times(%t, %g, %g) = %g, want %g", test.higher, test.a, test.b, got, test.want)
		}
	}
}

// If this fails, figures are printed with wrong digits.
func TestSignificant(t *testing.T) {
	for x, want := range map[float64]string{
		0: "–", 0.01234: "0.0123", 1.5: "1.50", 15.55: "15.6", 155.4: "155", 15554: "15,554", 999.6: "1,000",
	} {
		if got := significant(x); got != want {
			t.Errorf("significant(%g) = %q, want %q", x, got, want)
		}
	}
}

// If this fails, medians or percentiles are those of other times.
func TestSpread(t *testing.T) {
	s := spreadOf([]figure{{Value: 3}, {Value: 1}, {Value: 2}, {Value: 10}}, value)
	if s != (spread{2.5, 1, 10}) {
		t.Errorf("spread %v", s)
	}
	var times []time.Duration
	for i := range 100 {
		times = append(times, time.Duration(100-i))
	}
	if m, p99 := median(times), quantile(times, 0.99); m != 51 || p99 != 100 {
		t.Errorf("median %d, p99 %d", m, p99)
	}
}

// If this fails, the mix of commands is another than its table says.
func TestMixAddsUp(t *testing.T) {
	sum := 0
	for _, c := range mixedCommands {
		sum += c.share
	}
	if sum != 100 {
		t.Errorf("the shares add up to %d", sum)
	}
}
