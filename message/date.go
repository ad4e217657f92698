package message

import (
	"bytes"
	"time"
)

// ParseDate reads the value of a Date field (RFC 5322 §3.3 and §4.3), also in the
// order of C's asctime. The zone or the time of day may be missing or wrong: they
// are then UTC and midnight (RFC 5256 §2.2). Without a valid day ok is false. The
// time is in the zone that the field names.
func ParseDate(value []byte) (t time.Time, ok bool) {
	var words [8][]byte
	w := dateWords(words[:0], value)
	if len(w) > 0 && monthOf(w[0]) == 0 && isLetter(w[0][0]) {
		w = w[1:] // the day of the week
	}
	if len(w) == 0 {
		return time.Time{}, false
	}
	var d dateFields
	if isLetter(w[0][0]) {
		d.asctime(w)
	} else {
		d.rfc5322(w)
	}
	return d.time()
}

// dateWords cuts value at white space and commas, without comments, into as many
// words as dst has room for.
func dateWords(dst [][]byte, value []byte) [][]byte {
	for i := 0; i < len(value) && len(dst) < cap(dst); {
		switch c := value[i]; {
		case c == '(':
			end := skipComment(value, i)
			if end == 0 {
				return dst // it is not closed: the rest is comment
			}
			i = end
		case isSpace(c) || c == ',' || c == ')':
			i++
		default:
			end := i
			for end < len(value) && !isSpace(value[end]) && value[end] != ',' && value[end] != '(' {
				end++
			}
			dst = append(dst, value[i:end])
			i = end
		}
	}
	return dst
}

// dateFields is a date in work; zero fields are missing or wrong.
type dateFields struct {
	day   int
	month time.Month
	year  int
	clock [3]int
	zone  int // seconds east of UTC
}

// rfc5322 reads "1 Jan 2020 12:00:00 +0100", also with hyphens in the date.
func (d *dateFields) rfc5322(w [][]byte) {
	if parts := bytes.SplitN(w[0], []byte{'-'}, 4); len(parts) == 3 {
		d.date(parts)
		w = w[1:]
	} else {
		d.date(w)
		w = w[min(3, len(w)):]
	}
	if len(w) > 0 {
		d.clock = clockOf(w[0])
	}
	if len(w) > 1 {
		d.zone = zoneOf(w[1])
	}
}

func (d *dateFields) date(w [][]byte) {
	if len(w) >= 3 {
		d.day, d.month, d.year = number(w[0], 2), monthOf(w[1]), yearOf(w[2])
	}
}

// asctime reads "Jan 1 12:00:00 2020", with or without a zone before the year.
func (d *dateFields) asctime(w [][]byte) {
	if len(w) < 4 {
		return
	}
	d.month, d.day, d.clock = monthOf(w[0]), number(w[1], 2), clockOf(w[2])
	if d.year = yearOf(w[3]); d.year == 0 && len(w) > 4 {
		d.zone, d.year = zoneOf(w[3]), yearOf(w[4])
	}
}

func (d *dateFields) time() (time.Time, bool) {
	if d.day < 1 || d.month == 0 || d.year < 1 {
		return time.Time{}, false
	}
	loc := time.UTC
	if d.zone != 0 {
		loc = time.FixedZone("", d.zone)
	}
	t := time.Date(d.year, d.month, d.day, d.clock[0], d.clock[1], d.clock[2], 0, loc)
	return t, t.Day() == d.day // 31 April is no day
}

// number reads up to digits decimal digits; -1 if b is anything else.
func number(b []byte, digits int) int {
	if len(b) == 0 || len(b) > digits {
		return -1
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// yearOf reads a year, also of two or three digits (RFC 5322 §4.3); 0 if b is none.
func yearOf(b []byte) int {
	n := number(b, 4)
	switch {
	case n < 0 || len(b) < 2:
		return 0
	case len(b) == 2 && n < 50:
		return n + 2000
	case len(b) <= 3:
		return n + 1900
	}
	return n
}

// monthOf reads a month by its first three letters; 0 if b is none.
func monthOf(b []byte) time.Month {
	const names = "janfebmaraprmayjunjulaugsepoctnovdec"
	if len(b) < 3 {
		return 0
	}
	key := [3]byte{lower(b[0]), lower(b[1]), lower(b[2])}
	for m := 0; m < 12; m++ {
		if string(key[:]) == names[3*m:3*m+3] {
			return time.Month(m + 1)
		}
	}
	return 0
}

// clockOf reads hh:mm or hh:mm:ss; midnight if b is neither. A leap second is the
// second before it.
func clockOf(b []byte) [3]int {
	var c [3]int
	parts := bytes.SplitN(b, []byte{':'}, 4)
	if len(parts) < 2 || len(parts) > 3 {
		return c
	}
	for i, p := range parts {
		if i == 2 {
			p, _, _ = bytes.Cut(p, []byte{'.'})
		}
		c[i] = number(p, 2)
	}
	if c[2] == 60 {
		c[2] = 59
	}
	for i, limit := range [3]int{23, 59, 59} {
		if c[i] < 0 || c[i] > limit {
			return [3]int{}
		}
	}
	return c
}

// zoneOf returns the seconds east of UTC that b names. Military zones are taken as
// UTC, because they were used with either sign (RFC 5322 §4.3).
func zoneOf(b []byte) int {
	if len(b) == 5 && (b[0] == '+' || b[0] == '-') {
		n := number(b[1:], 4)
		if n < 0 || n/100 > 23 || n%100 > 59 {
			return 0
		}
		seconds := n/100*3600 + n%100*60
		if b[0] == '-' {
			return -seconds
		}
		return seconds
	}
	if len(b) != 3 {
		return 0
	}
	switch key := [3]byte{lower(b[0]), lower(b[1]), lower(b[2])}; string(key[:]) {
	case "edt":
		return -4 * 3600
	case "est", "cdt":
		return -5 * 3600
	case "cst", "mdt":
		return -6 * 3600
	case "mst", "pdt":
		return -7 * 3600
	case "pst":
		return -8 * 3600
	}
	return 0
}

func isLetter(c byte) bool { return 'a' <= lower(c) && lower(c) <= 'z' }
