package message

import "tidemark/imap"

// ParseAddresses appends to dst the addresses in the value of an address field as
// ENVELOPE has them (RFC 5322 §3.4 and §4.4, RFC 9051 §7.5.2). Names keep their
// encoded words. What is not an address by the grammar is kept as what it
// resembles most: a word alone is a mailbox with an empty host, since NIL would
// make it a group. At most 10,000 addresses are read.
func ParseAddresses(dst []imap.Address, value []byte) []imap.Address {
	p := addressParser{in: value, out: dst, limit: len(dst) + maxAddresses}
	for p.pos < len(p.in) && len(p.out) < p.limit {
		p.address()
	}
	p.endGroup()
	return p.out
}

// addressParser walks over the addresses of one field. Each address is looked at
// twice, once to see of which kind it is and once to take it apart, so that time
// is linear; see the notes at the scans that look further ahead.
type addressParser struct {
	in      []byte
	pos     int
	out     []imap.Address
	limit   int
	inGroup bool

	// No quote, or comment, that is opened from here on is ever closed. Without
	// this memory each of them would be searched to the end.
	openQuote, openComment bool

	// The address in work. Reused, so that an address costs two allocations.
	name, comment, local, host, route []byte
}

// address reads one address, or the head of a group, or what separates two.
func (p *addressParser) address() {
	p.name, p.comment = p.name[:0], p.comment[:0]
	p.local, p.host, p.route = p.local[:0], p.host[:0], p.route[:0]
	start := p.pos
	end := p.scan(start, len(p.in), "<,;:")
	if end < len(p.in) && p.in[end] == ':' && p.inGroup {
		end = p.scan(start, len(p.in), "<,;") // groups do not nest
	}
	var c byte
	if end < len(p.in) {
		c = p.in[end]
	}
	switch c {
	case '<':
		p.name = p.phrase(p.name, start, end)
		p.angle(end + 1)
		p.emit()
		return
	case ':':
		p.beginGroup(start, end)
	default:
		p.bare(start, end)
		if c == ';' {
			p.endGroup()
		}
	}
	p.pos = end + 1
}

// scan returns the first place in [i, end) that holds one of stops outside of
// quotes, comments and domain literals, or end.
func (p *addressParser) scan(i, end int, stops string) int {
	at := false
	for i < end {
		c := p.in[i]
		if next := p.skip(i); next > i {
			i = next
			continue
		}
		for k := 0; k < len(stops); k++ {
			// A colon after an @ is not the end of a group's name.
			if c == stops[k] && !(c == ':' && at) {
				return i
			}
		}
		at = at || c == '@'
		i++
	}
	return end
}

// skip returns the end of the quoted string, comment or domain literal that begins
// at i; i itself if none does, or if it is not closed.
func (p *addressParser) skip(i int) int {
	switch p.in[i] {
	case '"':
		if !p.openQuote {
			if end := skipQuoted(p.in, i); end > 0 {
				return end
			}
			p.openQuote = true
		}
	case '(':
		if !p.openComment {
			if end := skipComment(p.in, i); end > 0 {
				return end
			}
			p.openComment = true
		}
	case '[':
		return max(i, skipLiteral(p.in, i))
	}
	return i
}

// skipQuoted returns the end of the quoted string at i, 0 if it is not closed.
func skipQuoted(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// skipComment returns the end of the comment at i, 0 if it is not closed. Deeper
// than maxCommentDepth parentheses are like other characters.
func skipComment(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '(':
			if depth < maxCommentDepth {
				depth++
			}
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// skipLiteral returns the end of the domain literal at i, 0 if it is not closed. It
// stops at another bracket, so that no octet is looked at for two brackets.
func skipLiteral(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case ']':
			return i + 1
		case '[', '<', '>', '"':
			return 0
		}
	}
	return 0
}

// phrase appends the words in [i, end) to dst, one space between words that white
// space or a comment separates, quoted strings without their quotes. Comments go to
// p.comment.
func (p *addressParser) phrase(dst []byte, i, end int) []byte {
	gap := false
	for i < end {
		if after, apart := p.takeGap(i); after > i {
			i, gap = after, gap || apart
			continue
		}
		c, next := p.in[i], p.skip(i)
		if gap && len(dst) > 0 {
			dst = append(dst, ' ')
		}
		gap = false
		if c == '"' && next > i {
			dst = appendUnquoted(dst, p.in[i+1:next-1])
			i = next
			continue
		}
		next = max(next, i+1)
		dst = unfold(dst, p.in[i:next])
		i = next
	}
	return dst
}

// takeGap returns the place after the white space, NUL or comment at i, i itself if there
// is none, and whether it keeps words apart, which NUL does not. A comment is kept.
func (p *addressParser) takeGap(i int) (after int, apart bool) {
	switch c := p.in[i]; {
	case isSpace(c):
		return i + 1, true
	case c == 0:
		return i + 1, false
	case c == '(':
		if end := p.skip(i); end > i {
			p.takeComment(i, end)
			return end, true
		}
	}
	return i, false
}

// takeComment keeps the text of the comment in [i, end) instead of an earlier one's:
// the full name used to be written after the address.
func (p *addressParser) takeComment(i, end int) {
	p.comment = appendUnquoted(p.comment[:0], trimSpace(p.in[i+1:end-1]))
}

// appendUnquoted appends the inside of a quoted string or comment without its
// backslashes and folds.
func appendUnquoted(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		if s[i] != '\r' && s[i] != '\n' && s[i] != 0 {
			dst = append(dst, s[i])
		}
	}
	return dst
}

// angle reads an address in angle brackets, and what follows it up to the next
// separator. start is after the "<".
func (p *addressParser) angle(start int) {
	start = p.past('<', start) // some programs write <<joe@example.org>>
	first := start
	for first < len(p.in) && isSpace(p.in[first]) {
		first++
	}
	end := p.scan(start, len(p.in), "<>")
	if end == len(p.in) || p.in[end] == '<' {
		// Not closed: it ends where a bare address would. The search for ">" stopped
		// at the next "<", so that these searches do not overlap.
		limit := end
		if first < limit && p.in[first] == '@' {
			first = p.scan(first+1, limit, ":;")
		}
		end = p.scan(first, limit, ",;")
		p.addrSpec(p.skipRoute(start, end), end, false)
		p.pos = end
		return
	}
	p.addrSpec(p.skipRoute(start, end), end, false)
	p.pos = p.past('>', end)
	next := p.scan(p.pos, len(p.in), "<,;")
	if next < len(p.in) && p.in[next] == '<' {
		return // a comma is missing; what stands between is the next one's name
	}
	if tail := p.phrase(nil, p.pos, next); len(p.name) == 0 {
		p.name = append(p.name, tail...)
	}
	p.pos = next
}

// past returns the place after the run of c at i.
func (p *addressParser) past(c byte, i int) int {
	for i < len(p.in) && p.in[i] == c {
		i++
	}
	return i
}

// skipRoute puts an obsolete source route at i into p.route and returns the place
// after it (RFC 5322 §4.4, obs-route).
func (p *addressParser) skipRoute(i, end int) int {
	for i < end && isSpace(p.in[i]) {
		i++
	}
	if i == end || p.in[i] != '@' {
		return i
	}
	colon := i + 1
	for colon < end && p.in[colon] != ':' {
		colon = max(p.skip(colon), colon+1)
	}
	if colon >= end {
		return i
	}
	for _, c := range p.in[i:colon] {
		if !isSpace(c) && c != 0 {
			p.route = append(p.route, c)
		}
	}
	return colon + 1
}

// bare reads an address without angle brackets in [start, end), which may be
// nothing at all.
func (p *addressParser) bare(start, end int) {
	if !p.addrSpec(start, end, true) {
		p.name, p.host, p.comment = p.name[:0], p.host[:0], p.comment[:0]
		p.local = p.phrase(p.local[:0], start, end)
		if len(p.local) == 0 {
			return
		}
	}
	p.emit()
}

// addrSpec reads local-part@domain in [i, end) and says whether there was an "@".
// Of several the last counts. With split set, words that stand apart before the
// local part or after the domain go to the name.
func (p *addressParser) addrSpec(i, end int, split bool) (at bool) {
	cur, gap := &p.local, false
	for i < end {
		if after, apart := p.takeGap(i); after > i {
			i, gap = after, gap || apart
			continue
		}
		c, next := p.in[i], p.skip(i)
		if c == '@' {
			if at {
				p.local = append(append(p.local, '@'), p.host...)
				p.host = p.host[:0]
			}
			at, gap = true, false
			cur = &p.host
			i++
			continue
		}
		if gap && len(*cur) > 0 && c != '.' && (*cur)[len(*cur)-1] != '.' {
			cur = p.wordBreak(cur, split)
		}
		gap = false
		if c == '"' && next > i {
			*cur = appendUnquoted(*cur, p.in[i+1:next-1])
			i = next
			continue
		}
		next = max(next, i+1)
		*cur = unfold(*cur, p.in[i:next])
		i = next
	}
	return at
}

// wordBreak is called where a new word begins after white space that no dot
// explains. It returns where that word goes.
func (p *addressParser) wordBreak(cur *[]byte, split bool) *[]byte {
	switch {
	case cur == &p.name:
		p.name = append(p.name, ' ')
	case !split:
		*cur = append(*cur, ' ')
	case cur == &p.local:
		if len(p.name) > 0 {
			p.name = append(p.name, ' ')
		}
		p.name = append(p.name, p.local...)
		p.local = p.local[:0]
	default:
		if len(p.name) > 0 {
			p.name = append(p.name, ' ')
		}
		return &p.name
	}
	return cur
}

// addressText holds the strings that an imap.Address points to.
type addressText struct{ name, adl, mailbox, host string }

// emit adds the address in work. Mailbox and host are never NIL, because NIL means
// a group.
func (p *addressParser) emit() {
	if len(p.name) == 0 {
		// The full name in a comment, as before RFC 822: joe@example.org (Joe).
		p.name = append(p.name, p.comment...)
	}
	n, l, m := len(p.name), len(p.route), len(p.local)
	all := make([]byte, 0, n+l+m+len(p.host))
	all = append(append(append(append(all, p.name...), p.route...), p.local...), p.host...)
	s := string(all)
	t := &addressText{s[:n], s[n : n+l], s[n+l : n+l+m], s[n+l+m:]}
	a := imap.Address{Mailbox: &t.mailbox, Host: &t.host}
	if n > 0 {
		a.Name = &t.name
	}
	if l > 0 {
		a.ADL = &t.adl
	}
	p.out = append(p.out, a)
}

// beginGroup opens the group whose name lies in [start, end).
func (p *addressParser) beginGroup(start, end int) {
	p.name = p.phrase(p.name, start, end)
	name := string(p.name)
	p.out = append(p.out, imap.Address{Mailbox: &name})
	p.inGroup = true
}

// endGroup closes the open group, if there is one.
func (p *addressParser) endGroup() {
	if p.inGroup {
		p.out = append(p.out, imap.Address{})
		p.inGroup = false
	}
}
