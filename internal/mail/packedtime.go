package mail

import (
	"time"

	"tidemark/imap"
	"tidemark/imapserver"
)

// packedTime is a time in seconds together with the zone it was given in:
// seconds since 1970 shifted left by 12 bits, plus the zone's minutes east of UTC
// plus 2048. Packed times order like the instants. Zero is "no time": its zone would be
// 34 hours.
type packedTime int64

const (
	zoneBits   = 12
	zoneOffset = 1 << (zoneBits - 1)
	maxUnix    = 1<<(62-zoneBits) - 1
)

func packTime(t time.Time) packedTime {
	if t.IsZero() {
		return 0
	}
	_, seconds := t.Zone()
	zone := min(max(seconds/60, -zoneOffset+1), zoneOffset-1)
	unix := min(max(t.Unix(), -maxUnix), maxUnix)
	return packedTime(unix<<zoneBits | int64(zone+zoneOffset))
}

func (p packedTime) unix() int64 { return int64(p) >> zoneBits }

func (p packedTime) timestamp() imapserver.Timestamp {
	return imapserver.Timestamp{Unix: p.unix(), Zone: int16(int64(p)&(1<<zoneBits-1) - zoneOffset)}
}

// date returns the day in the zone the time was given in: searches by date
// disregard time and zone (RFC 9051 §6.4.4).
func (p packedTime) date() imap.Date {
	t := p.timestamp()
	return imap.DateOf(time.Unix(t.Unix+60*int64(t.Zone), 0).UTC())
}
