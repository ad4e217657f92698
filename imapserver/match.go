package imapserver

import (
	"context"
	"strings"

	"tidemark/imap"
	"tidemark/imapwire"
)

// maxPatterns is how many different patterns a LIST may have. Clients send a handful.
const maxPatterns = 100

// errPatterns refuses a LIST or LSUB that would take too long.
var errPatterns = imap.Refuse(imap.CodeLimit, "Too many patterns or names")

// matcher holds the patterns of a LIST or LSUB.
type matcher struct {
	patterns      []pattern
	endsInPercent bool // of the only pattern
}

// newMatcher refuses more than maxPatterns patterns; equal ones are one.
func newMatcher(reference string, patterns []string) (*matcher, error) {
	reference = collapse(reference)
	m, seen := &matcher{}, make(map[string]bool)
	for _, p := range patterns {
		if p == "" || seen[p] {
			continue // RFC 5258 §3: an empty one matches nothing
		}
		if len(seen) == maxPatterns {
			return nil, errPatterns
		}
		seen[p] = true
		m.patterns = append(m.patterns, newPattern(reference+p))
		m.endsInPercent = strings.HasSuffix(p, "%")
	}
	return m, nil
}

// maxMatchCost and heavyMatchCost are what the matching of one command may cost, and
// from where on it is a heavy command. One unit takes 1 to 2 ns.
const (
	maxMatchCost   = 200_000_000
	heavyMatchCost = 10_000_000
)

// matchNames says of each name of t whether it matches. It refuses what would take
// much more than a moment: patterns times names would be minutes.
func (c *conn) matchNames(ctx context.Context, m *matcher, t *mailboxTree) ([]bool, error) {
	cost := m.cost(t)
	if cost > maxMatchCost {
		return nil, errPatterns
	}
	if cost > heavyMatchCost {
		heavy, end, err := c.beginHeavy(ctx)
		if err != nil {
			return nil, err
		}
		defer end()
		ctx = heavy
	}
	matched := make([]bool, len(t.nodes))
	for i := range t.nodes {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		matched[i] = m.matches(t.nodes[i].name)
	}
	return matched, nil
}

// cost estimates what it costs to match all names of t.
func (m *matcher) cost(t *mailboxTree) int {
	names, patterns := 0, 0
	for i := range t.nodes {
		names += len(t.nodes[i].name)
	}
	for i := range m.patterns {
		if n := len(m.patterns[i].wildcard); n > 0 {
			patterns += n + 4 // for each octet of a name, whatever the pattern's length
		}
	}
	return names * patterns
}

// matches says whether at least one pattern matches.
func (m *matcher) matches(name string) bool {
	for i := range m.patterns {
		if m.patterns[i].matches(name) {
			return true
		}
	}
	return false
}

// pattern is a mailbox name with wildcards (RFC 9051 §6.3.9): "*" stands for any
// octets, "%" for any but the delimiter.
//
// It is run as a set of states, one bit for each position in the pattern, so that a
// name costs its length times the pattern's over 64, whatever the wildcards: trying
// them out one by one is exponential for "*%*%*%".
type pattern struct {
	text string // runs of wildcards are one

	exact    bool // no wildcards
	tooLong  bool // matches no name there can be
	star     []uint64
	percent  []uint64
	wildcard []uint64    // star or percent
	octets   [][]uint64  // the positions at which an octet stands
	octet    [256]uint16 // where in octets, from 1; 0 where it stands nowhere
	scratch  [2][]uint64 // the states before and after an octet
}

// longestPattern is the length of a pattern that can match a name of the greatest
// length with a wildcard before and after each octet.
const longestPattern = 2*imapwire.MaxMailboxName + 1

func newPattern(text string) pattern {
	p := pattern{text: collapse(imap.FoldInbox(text))}
	if !strings.ContainsAny(p.text, "*%") {
		p.exact = true
		return p
	}
	if p.tooLong = len(p.text) > longestPattern; p.tooLong {
		return p
	}
	words := len(p.text)/64 + 1
	p.star, p.percent, p.wildcard = make([]uint64, words), make([]uint64, words), make([]uint64, words)
	p.scratch = [2][]uint64{make([]uint64, words), make([]uint64, words)}
	for i := range len(p.text) {
		bit := uint64(1) << (i % 64)
		switch c := p.text[i]; c {
		case '*':
			p.star[i/64] |= bit
			p.wildcard[i/64] |= bit
		case '%':
			p.percent[i/64] |= bit
			p.wildcard[i/64] |= bit
		default:
			if p.octet[c] == 0 {
				p.octets = append(p.octets, make([]uint64, words))
				p.octet[c] = uint16(len(p.octets))
			}
			p.octets[p.octet[c]-1][i/64] |= bit
		}
	}
	return p
}

// collapse replaces each run of wildcards by the strongest of them.
func collapse(text string) string {
	out := make([]byte, 0, min(len(text), longestPattern+1))
	for i := range len(text) {
		c := text[i]
		if n := len(out); n > 0 && (c == '*' || c == '%') && (out[n-1] == '*' || out[n-1] == '%') {
			if c == '*' {
				out[n-1] = '*'
			}
			continue
		}
		out = append(out, c)
	}
	return string(out)
}

// matches says whether the pattern matches the whole of name. INBOX is matched in any
// case (RFC 9051 §5.1), also where it is the first level of name.
func (p *pattern) matches(name string) bool {
	switch {
	case p.exact && name == imap.Inbox:
		return strings.EqualFold(p.text, name)
	case p.exact:
		return p.text == name
	case p.tooLong:
		return false
	}
	now, next := p.scratch[0], p.scratch[1]
	clear(now)
	now[0] = 1
	p.passWildcards(now)
	anyCase := 0 // so many octets at the beginning
	if name == imap.Inbox || strings.HasPrefix(name, imap.Inbox+string(imap.Delimiter)) {
		anyCase = len(imap.Inbox)
	}
	for i := range len(name) {
		p.step(now, next, name[i], i < anyCase)
		now, next = next, now
	}
	end := len(p.text)
	return now[end/64]&(1<<(end%64)) != 0
}

// step computes the states after octet c: a wildcard that takes it stays, a position at
// which it stands moves on by one.
func (p *pattern) step(now, next []uint64, c byte, anyCase bool) {
	literal, other := p.positions(c), []uint64(nil)
	if anyCase {
		other = p.positions(c | 0x20) // INBOX is letters only
	}
	var carry uint64
	for w := range now {
		moving := uint64(0)
		if literal != nil {
			moving = now[w] & literal[w]
		}
		if other != nil {
			moving |= now[w] & other[w]
		}
		next[w] = moving<<1 | carry | now[w]&p.star[w]
		if c != imap.Delimiter {
			next[w] |= now[w] & p.percent[w]
		}
		carry = moving >> 63
	}
	p.passWildcards(next)
}

// positions returns where c stands, nil for nowhere.
func (p *pattern) positions(c byte) []uint64 {
	if i := p.octet[c]; i != 0 {
		return p.octets[i-1]
	}
	return nil
}

// passWildcards adds the states after wildcards that stand for nothing. No two
// wildcards are neighbours, so that once is enough.
func (p *pattern) passWildcards(states []uint64) {
	var carry uint64
	for w := range states {
		passing := states[w] & p.wildcard[w]
		states[w] |= passing<<1 | carry
		carry = passing >> 63
	}
}
