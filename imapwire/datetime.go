package imapwire

import (
	"time"

	"tidemark/imap"
)

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// date reads a date, quoted or not (RFC 9051 §9, date).
func (d *Decoder) date() imap.Date {
	quoted := d.accept('"')
	var day imap.Date
	day.Day = d.digits(1, 2)
	d.dash()
	day.Month = d.month()
	d.dash()
	day.Year = d.digits(4, 4)
	if quoted {
		d.expect('"', "invalid date")
	}
	d.checkDay(day)
	return day
}

// dateTime reads a date-time (RFC 9051 §9, date-time).
func (d *Decoder) dateTime() time.Time {
	var day imap.Date
	d.expect('"', "date-time expected")
	if d.accept(' ') {
		day.Day = d.digits(1, 1)
	} else {
		day.Day = d.digits(1, 2) // two by the grammar; some clients leave out the space
	}
	d.dash()
	day.Month = d.month()
	d.dash()
	day.Year = d.digits(4, 4)
	d.sp()
	h := d.digits(2, 2)
	d.expect(':', "invalid time")
	m := d.digits(2, 2)
	d.expect(':', "invalid time")
	s := d.digits(2, 2)
	d.sp()
	zone := d.zone()
	d.expect('"', "invalid date-time")
	d.checkDay(day)
	if h > 23 || m > 59 || s > 60 { // 60 is a leap second
		d.fail("invalid time")
	}
	if d.err != nil {
		return time.Time{}
	}
	return time.Date(day.Year, day.Month, day.Day, h, m, s, 0, time.FixedZone("", zone*60))
}

// zone reads a zone and returns it in minutes east of UTC.
func (d *Decoder) zone() int {
	sign := 1
	if d.accept('-') {
		sign = -1
	} else {
		d.expect('+', "invalid zone")
	}
	h, m := d.digits(2, 2), d.digits(2, 2)
	if m > 59 {
		d.fail("invalid zone")
	}
	return sign * (h*60 + m)
}

func (d *Decoder) dash() { d.expect('-', "invalid date") }

// digits reads a number of at least lo and at most hi digits.
func (d *Decoder) digits(lo, hi int) int {
	n, k := 0, 0
	for k < hi && isDigit(d.peek()) {
		n = n*10 + int(d.peek()-'0')
		d.pos++
		k++
	}
	if k < lo {
		d.fail("digit expected in date or time")
	}
	return n
}

func (d *Decoder) month() time.Month {
	if d.err != nil || len(d.line)-d.pos < 3 {
		d.fail("invalid month")
		return 0
	}
	name := d.line[d.pos : d.pos+3]
	for i := range 12 {
		if equalFold(name, months[3*i:3*i+3]) {
			d.pos += 3
			return time.Month(i + 1)
		}
	}
	d.fail("invalid month")
	return 0
}

// checkDay refuses days that the calendar does not have.
func (d *Decoder) checkDay(day imap.Date) {
	if d.err != nil {
		return
	}
	t := time.Date(day.Year, day.Month, day.Day, 0, 0, 0, 0, time.UTC)
	if imap.DateOf(t) != day {
		d.fail("no such day")
	}
}

// equalFold compares in the way that ABNF compares strings: ASCII letters in any case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if lower(c) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// AppendDateTime appends a date-time: the given second since 1970 in a zone that is so
// many minutes east of UTC. Years outside of 0 to 9999, which have no form on the wire,
// are brought to the nearest that has one.
func AppendDateTime(b []byte, unix int64, zone int16) []byte {
	const first, last = -62167219200, 253402300799 // 0000-01-01 and 9999-12-31T23:59:59
	local := min(max(unix+int64(zone)*60, first), last)
	days, secs := floorDiv(local, 86400)
	year, month, day := civil(days)
	b = append(b, '"')
	if day < 10 {
		b = append(b, ' ', byte('0'+day))
	} else {
		b = append2(b, day)
	}
	b = append(b, '-')
	b = append(b, months[3*month-3:3*month]...)
	b = append(b, '-')
	b = append2(append2(b, year/100), year%100)
	b = append2(append(b, ' '), int(secs/3600))
	b = append2(append(b, ':'), int(secs/60%60))
	b = append2(append(b, ':'), int(secs%60))
	sign, z := byte('+'), int(zone)
	if z < 0 {
		sign, z = '-', -z
	}
	b = append2(append(b, ' ', sign), z/60%100)
	return append(append2(b, z%60), '"')
}

func append2(b []byte, n int) []byte {
	return append(b, byte('0'+n/10), byte('0'+n%10))
}

func floorDiv(n, by int64) (quotient, rest int64) {
	quotient, rest = n/by, n%by
	if rest < 0 {
		return quotient - 1, rest + by
	}
	return quotient, rest
}

// civil turns days since 1970-01-01 into a day of the Gregorian calendar. It counts
// years from March, so that the leap day is a year's last.
func civil(days int64) (year, month, day int) {
	const perEra = 146097 // days in 400 years
	era, dayOfEra := floorDiv(days+719468, perEra)
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36524 - dayOfEra/(perEra-1)) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	m := (5*dayOfYear + 2) / 153 // 0 is March
	day = int(dayOfYear-(153*m+2)/5) + 1
	month = int(m) + 3
	year = int(yearOfEra + era*400)
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}
