package transcript

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// rest in an expected response stands for any number of further values, and as
// a response of its own for any number of further responses.
const rest = "..."

// anyValue is the variable that matches every value and keeps none.
const anyValue = "<any>"

type variables map[string]string

// isVariable reports whether text is "<name>". A name begins with a letter, so
// "<0>" is none.
func isVariable(text string) bool {
	if len(text) < 3 || text[0] != '<' || text[len(text)-1] != '>' {
		return false
	}
	for i, c := range []byte(text[1 : len(text)-1]) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// match compares got with what a script expects. It returns the variables with
// those that were bound on the way, or nil if the two differ.
func match(want, got Response, vars variables) variables {
	m := matcher{vars: maps.Clone(vars)}
	if m.response(want, got) {
		return m.vars
	}
	return nil
}

type matcher struct{ vars variables }

func (m *matcher) response(want, got Response) bool {
	if want.Tag != got.Tag {
		return false
	}
	if want.Tag == "+" {
		return want.Text == "" || want.Text == got.Text
	}
	if want.Status != got.Status {
		return false
	}
	if want.Status != "" {
		return m.code(want.Code, got.Code) && (want.Text == "" || want.Text == got.Text)
	}
	return m.data(want.Data, got.Data)
}

// code compares response codes. A code that is not expected is allowed: servers
// may always say more (RFC 9051 §7.1).
func (m *matcher) code(want, got []Node) bool {
	if want == nil {
		return true
	}
	return m.nodes(want, got, exact)
}

// data compares untagged data. What the RFCs leave to the server does not
// matter: the order of FETCH items, flags and attributes.
func (m *matcher) data(want, got []Node) bool {
	if len(want) == 0 || len(got) == 0 {
		return len(want) == len(got)
	}
	name := Response{Data: got}.Name()
	switch name {
	case "FETCH":
		return len(want) == 3 && len(got) == 3 && m.node(want[0], got[0], exact) && want[1].Is(name) &&
			m.node(want[2], got[2], pairs)
	case "LIST", "LSUB":
		return m.list(want, got)
	case "STATUS":
		return len(want) == 3 && len(got) == 3 && want[0].Is(name) && m.node(want[1], got[1], exact) &&
			m.node(want[2], got[2], pairs)
	case "CAPABILITY", "ENABLED", "SEARCH", "FLAGS":
		return want[0].Is(name) && m.nodes(want[1:], got[1:], set)
	case "ESEARCH":
		return m.esearch(want, got)
	}
	return m.nodes(want, got, exact)
}

// list: LIST (attributes) delimiter name [(extended items)] (RFC 9051 §7.3.1).
func (m *matcher) list(want, got []Node) bool {
	if len(want) < 4 || len(got) < 4 || !want[0].Is(got[0].Text) || !m.node(want[1], got[1], set) ||
		!m.nodes(want[2:4], got[2:4], exact) {
		return false
	}
	if len(want) == 5 && len(got) == 5 && want[4].Kind == List {
		return m.node(want[4], got[4], pairs)
	}
	return m.nodes(want[4:], got[4:], exact)
}

// esearch: ESEARCH [(TAG "t")] [UID] pairs (RFC 9051 §7.3.4).
func (m *matcher) esearch(want, got []Node) bool {
	fixed := func(n []Node) int {
		i := 1
		if i < len(n) && n[i].Kind == List && len(n[i].Kids) > 0 && n[i].Kids[0].Is("TAG") {
			i++
		}
		if i < len(n) && n[i].Is("UID") {
			i++
		}
		return i
	}
	w, g := fixed(want), fixed(got)
	return m.nodes(want[:w], got[:g], exact) && m.nodes(want[w:], got[g:], pairs)
}

// order says which order matters in a list.
type order int

const (
	exact    order = iota
	set            // members in any order
	pairs          // names with values, in any order
	foldCase       // exact, but strings compare without regard to case
)

func (m *matcher) node(want, got Node, o order) bool {
	if want.Kind == Atom && isVariable(want.Text) {
		return m.variable(want.Text, got)
	}
	if want.Kind == List || got.Kind == List {
		return want.Kind == got.Kind && m.nodes(want.Kids, got.Kids, o)
	}
	if want.Kind == Atom && got.Kind == Atom || o == foldCase {
		return strings.EqualFold(normalAtom(want.Text), normalAtom(got.Text))
	}
	// NIL is not the string "NIL"; apart from that an astring may take any form.
	return want.Text == got.Text && !(want.Is("NIL") || got.Is("NIL"))
}

func (m *matcher) variable(name string, got Node) bool {
	if name == anyValue {
		return true
	}
	if got.Kind == List {
		return false
	}
	if bound, ok := m.vars[name]; ok {
		return normalAtom(bound) == normalAtom(got.Text)
	}
	m.vars[name] = got.Text
	return true
}

func (m *matcher) nodes(want, got []Node, o order) bool {
	switch o {
	case set:
		return m.sets(want, got)
	case pairs:
		return m.pairs(want, got)
	}
	for i, w := range want {
		if w.Kind == Atom && w.Text == rest {
			return true
		}
		inner := o
		if o == exact && i > 0 && want[i-1].Is("PERMANENTFLAGS") {
			inner = set
		}
		if i >= len(got) || !m.node(w, got[i], inner) {
			return false
		}
	}
	return len(want) == len(got)
}

// sets compares without order. \Recent belongs to one session alone and comes
// and goes with it (RFC 3501 §2.3.2), so it counts only where it is expected.
func (m *matcher) sets(want, got []Node) bool {
	left := slices.Clone(got)
	open, recent := false, false
	for _, w := range want {
		if w.Kind == Atom && w.Text == rest {
			open = true
			continue
		}
		recent = recent || w.Is(`\Recent`)
		i := slices.IndexFunc(left, func(g Node) bool { return m.node(w, g, exact) })
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	if !recent {
		left = slices.DeleteFunc(left, func(g Node) bool { return g.Is(`\Recent`) })
	}
	return open || len(left) == 0
}

func (m *matcher) pairs(want, got []Node) bool {
	open := len(want)%2 == 1 && want[len(want)-1].Is(rest)
	if open {
		want = want[:len(want)-1]
	}
	if len(want)%2 != 0 || len(got)%2 != 0 || len(want) > len(got) || !open && len(want) != len(got) {
		return false
	}
	for i := 0; i < len(want); i += 2 {
		j := slices.IndexFunc(got, func(g Node) bool {
			return strings.EqualFold(normalItem(g.Text), normalItem(want[i].Text))
		})
		if j < 0 || j%2 != 0 || !m.node(want[i+1], got[j+1], orderOf(want[i].Text)) {
			return false
		}
	}
	return true
}

// orderOf says how the value of a FETCH item compares.
func orderOf(item string) order {
	switch strings.ToUpper(item) {
	case "FLAGS":
		return set
	case "BODY", "BODYSTRUCTURE": // types, subtypes and charsets have no case
		return foldCase
	}
	return exact
}

// normalItem makes the name of a FETCH item comparable: header field names may
// be quoted or not.
func normalItem(name string) string { return strings.ReplaceAll(name, `"`, "") }

// normalAtom merges and orders the numbers of a set, so that 2:4 equals 3:4,2.
func normalAtom(text string) string {
	if !strings.ContainsAny(text, ":,") || strings.Trim(text, "0123456789:,") != "" {
		return text
	}
	var ranges [][2]uint64
	for part := range strings.SplitSeq(text, ",") {
		first, last, ok := strings.Cut(part, ":")
		if !ok {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 64)
		b, err2 := strconv.ParseUint(last, 10, 64)
		if err1 != nil || err2 != nil {
			return text
		}
		ranges = append(ranges, [2]uint64{min(a, b), max(a, b)})
	}
	slices.SortFunc(ranges, func(a, b [2]uint64) int { return int(a[0]) - int(b[0]) })
	merged := ranges[:1]
	for _, r := range ranges[1:] {
		if last := &merged[len(merged)-1]; r[0] <= last[1]+1 {
			last[1] = max(last[1], r[1])
		} else {
			merged = append(merged, r)
		}
	}
	parts := make([]string, len(merged))
	for i, r := range merged {
		parts[i] = strconv.FormatUint(r[0], 10)
		if r[1] != r[0] {
			parts[i] = fmt.Sprintf("%d:%d", r[0], r[1])
		}
	}
	return strings.Join(parts, ",")
}

// expungedPositions turns a run of EXPUNGE responses, each of which shifts the
// numbers after it, into the positions before the first of them.
func expungedPositions(numbers []uint32) []uint32 {
	var gone []uint32 // ascending
	for _, n := range numbers {
		i := 0
		for i < len(gone) && gone[i] <= n {
			n++
			i++
		}
		gone = slices.Insert(gone, i, n)
	}
	return gone
}
