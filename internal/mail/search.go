package mail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
	"tidemark/message"
)

// verdict is what a test says of a message.
type verdict uint8

const (
	no verdict = iota
	yes
	unknown // the message's stored text must be looked at
)

func verdictOf(b bool) verdict {
	if b {
		return yes
	}
	return no
}

func fill(verdicts []verdict, v verdict) {
	for i := range verdicts {
		verdicts[i] = v
	}
}

// test is a compiled search key. quick answers from the columns alone; full may read
// the message, and is asked only where quick did not know. A test serves one goroutine.
type test interface {
	// quick writes to out what the columns say of the len(out) messages from p on, all of
	// them in p's chunk: a call for each message would cost more than the look at its flags.
	quick(p place, out []verdict)
	full(p place, m *searched) (bool, error)
}

// Search returns the UIDs of v's messages that match (RFC 9051 §6.4.4).
func (s *Selected) Search(
	ctx context.Context, version imapserver.View, key imap.SearchKey,
) (imap.NumSet, error) {
	v, now := version.(*view), s.svc().now()
	t, err := compile(key, v, now)
	if err != nil {
		return nil, err
	}
	if needsDetails(key) {
		if err := s.loadDetails(ctx, v, v.all()); err != nil {
			return nil, s.svc().fault(err)
		}
	}
	hits, rest := v.quickSearch(t)
	if len(rest) == 0 {
		return hits, nil
	}
	found, err := s.fullSearch(ctx, rest, func() (test, error) { return compile(key, v, now) })
	if err != nil {
		return nil, s.svc().fault(err)
	}
	return append(hits, found...).Resolve(0), nil
}

// quickSearch returns the UIDs that match by the columns alone, and the messages that
// must be looked at.
func (v *view) quickSearch(t test) (hits imap.NumSet, rest []place) {
	verdicts := make([]verdict, chunkSize)
	for _, c := range v.chunks {
		said := verdicts[:c.len()]
		t.quick(place{c, 0}, said)
		for i, is := range said {
			switch is {
			case yes:
				hits.Add(place{c, i}.uid())
			case unknown:
				rest = append(rest, place{c, i})
			}
		}
	}
	return hits, rest
}

// fullSearch returns the UIDs, in no order, of those of rest that match by their stored
// texts. Each call of compile makes a test for one goroutine.
func (m *mailbox) fullSearch(
	ctx context.Context, rest []place, compile func() (test, error),
) (imap.NumSet, error) {
	helpers := m.account.svc.searchHelpers
	queue := &searchQueue{rest: rest, parts: 2 * (1 + cap(helpers))}
	err := helpers.run(ctx, len(rest)/leastSearchPerRead, func(ctx context.Context) error {
		t, err := compile()
		if err != nil {
			return err
		}
		var found imap.NumSet
		for part := queue.take(); len(part) > 0; part = queue.take() {
			if err := m.searchPart(ctx, t, part, &found); err != nil {
				return err
			}
		}
		queue.add(found)
		return nil
	})
	return queue.found, err
}

// searchPart adds the UIDs of the messages in part that match to found.
func (m *mailbox) searchPart(ctx context.Context, t test, part []place, found *imap.NumSet) error {
	return m.account.svc.engine.View(ctx, m.account.id, func(r store.Reader) error {
		texts, err := newTextReader(r, m.id, part)
		if err != nil {
			return err
		}
		defer texts.close()
		emails := newRecordCursor(r, kindEmail)
		defer emails.close()
		for _, p := range part {
			if err := ctx.Err(); err != nil {
				return err
			}
			in := searched{ctx: ctx, account: m.account, reader: r, texts: texts, emails: emails, at: p}
			ok, err := t.full(p, &in)
			in.close()
			switch {
			case errors.Is(err, errExpunged), errors.Is(err, store.ErrNotFound):
			case err != nil:
				return fmt.Errorf("search in UID %d: %w", p.uid(), err)
			case ok:
				found.Add(p.uid())
			}
		}
		return nil
	})
}

// searched is a message that tests look into. What has been read serves all tests.
type searched struct {
	ctx     context.Context
	account *account
	reader  store.Reader
	texts   *textReader
	emails  *recordCursor
	at      place

	content *content
	header  []byte
	said    [1]verdict
}

func (m *searched) close() {
	if m.content != nil {
		m.content.Close()
	}
}

func (m *searched) open() (*content, error) {
	if m.content != nil {
		return m.content, nil
	}
	email, err := m.at.loadEmail(m.reader)
	if err != nil {
		return nil, err
	}
	record, err := m.emails.at(email)
	m.content, err = m.account.openContent(m.ctx, locate(email, record, err))
	return m.content, err
}

func (m *searched) headerSection() ([]byte, error) {
	if m.header != nil {
		return m.header, nil
	}
	c, err := m.open()
	if err != nil {
		return nil, err
	}
	m.header, err = c.read(c.root.Header)
	return m.header, err
}

// compile turns a search key into a test on the messages of v. Recursion is bounded by
// the decoder's limit on nesting.
func compile(key imap.SearchKey, v *view, now time.Time) (test, error) {
	switch k := key.(type) {
	case imap.SearchAnd:
		tests, err := compileAll(k, v, now)
		return &combined{tests: tests, decisive: no, neutral: yes}, err
	case imap.SearchOr:
		tests, err := compileAll([]imap.SearchKey{k.A, k.B}, v, now)
		return &combined{tests: tests, decisive: yes, neutral: no}, err
	case imap.SearchNot:
		t, err := compile(k.Key, v, now)
		return notOf{t}, err
	case imap.SearchHeader:
		return headerTest(k), nil
	case imap.SearchAddress:
		t := headerTest(imap.SearchHeader(k))
		t.addresses = strings.ContainsAny(k.Value, "<>")
		return t, nil
	case imap.SearchBody:
		return &contentTest{needle: message.NewNeedle(k.Value), any: k.Value == ""}, nil
	case imap.SearchText:
		return &contentTest{needle: message.NewNeedle(k.Value), any: k.Value == "", headers: true}, nil
	}
	return compileColumn(key, v, now)
}

func compileAll(keys []imap.SearchKey, v *view, now time.Time) ([]test, error) {
	tests := make([]test, len(keys))
	for i, k := range keys {
		var err error
		if tests[i], err = compile(k, v, now); err != nil {
			return nil, err
		}
	}
	return tests, nil
}

// compileColumn compiles the keys that columns answer.
func compileColumn(key imap.SearchKey, v *view, now time.Time) (test, error) {
	switch k := key.(type) {
	case imap.SearchUID:
		return columnTest(func(p place) bool { return k.Set.Nums.Contains(p.uid()) }), nil
	case imap.SearchFlag:
		return newFlagTest(k, v), nil
	case imap.SearchDate:
		return dateTest(k), nil
	case imap.SearchSize:
		if k.Larger {
			return columnTest(func(p place) bool { return uint64(p.size()) > k.N }), nil
		}
		return columnTest(func(p place) bool { return uint64(p.size()) < k.N }), nil
	case imap.SearchWithin:
		limit := now.Add(-k.Interval).Unix()
		return columnTest(func(p place) bool { return (p.internalDate().unix() < limit) == k.Older }), nil
	case imap.SearchModSeq:
		return columnTest(func(p place) bool { return p.modseq() >= uint64(k.ModSeq) }), nil
	case imap.SearchEmailID:
		return columnTest(func(p place) bool { return p.email().objectID() == k.ID }), nil
	case imap.SearchThreadID: // THREADID is NIL of all messages (RFC 8474 §5.2)
		return columnTest(func(place) bool { return false }), nil
	case imap.SearchSaveDateSupported:
		return columnTest(func(place) bool { return true }), nil
	}
	return nil, fmt.Errorf("search key %T has no test", key)
}

// needsDetails says whether the quick tests of a search key look at details.
func needsDetails(key imap.SearchKey) bool {
	switch k := key.(type) {
	case imap.SearchAnd:
		return slices.ContainsFunc(k, needsDetails)
	case imap.SearchOr:
		return needsDetails(k.A) || needsDetails(k.B)
	case imap.SearchNot:
		return needsDetails(k.Key)
	case imap.SearchDate, imap.SearchSize, imap.SearchWithin, imap.SearchEmailID:
		return true
	}
	return false
}

// combined is what all of some tests match, or any of them: the first test that says
// decisive has the last word, no where all must match and yes where one is enough.
type combined struct {
	tests             []test
	decisive, neutral verdict
	said              []verdict // by one of tests
}

func (c *combined) quick(p place, out []verdict) {
	fill(out, c.neutral)
	c.said = slices.Grow(c.said[:0], len(out))[:len(out)]
	for _, t := range c.tests {
		t.quick(p, c.said)
		decided := true
		for i, is := range c.said {
			if is != c.neutral && out[i] != c.decisive {
				out[i] = is
			}
			decided = decided && out[i] == c.decisive
		}
		if decided {
			return
		}
	}
}

func (c *combined) full(p place, m *searched) (bool, error) {
	for _, t := range c.tests {
		ok, err := m.decide(t, p)
		if err != nil || verdictOf(ok) == c.decisive {
			return ok, err
		}
	}
	return c.neutral == yes, nil
}

type notOf struct{ t test }

func (n notOf) quick(p place, out []verdict) {
	n.t.quick(p, out)
	for i, is := range out {
		if is != unknown {
			out[i] = verdictOf(is == no)
		}
	}
}

func (n notOf) full(p place, m *searched) (bool, error) {
	ok, err := m.decide(n.t, p)
	return !ok, err
}

// decide asks t for its last word.
func (m *searched) decide(t test, p place) (bool, error) {
	if t.quick(p, m.said[:]); m.said[0] != unknown {
		return m.said[0] == yes, nil
	}
	return t.full(p, m)
}

// columnTest is a test that needs no more than the columns.
type columnTest func(p place) bool

func (t columnTest) quick(p place, out []verdict) {
	for i := range out {
		out[i] = verdictOf(t(place{p.c, p.i + i}))
	}
}

func (t columnTest) full(p place, _ *searched) (bool, error) { return t(p), nil }

// flagTest is the verdict on each flag set that occurs, by its number.
type flagTest []verdict

// newFlagTest returns the test for a flag. \Recent is the session's business and has been
// replaced before.
func newFlagTest(k imap.SearchFlag, v *view) flagTest {
	n := flagNumber(k.Flag, v.keywords)
	t := make(flagTest, len(v.sets))
	for i, s := range v.sets {
		t[i] = verdictOf((n >= 0 && s.bits.has(n)) != k.Not)
	}
	return t
}

func (t flagTest) quick(p place, out []verdict) {
	for i, f := range p.c.columns().flags[p.i : p.i+len(out)] {
		out[i] = t[f]
	}
}

func (t flagTest) full(p place, _ *searched) (bool, error) { return t[p.flags()] == yes, nil }

func dateTest(k imap.SearchDate) test {
	column := func(p place) packedTime { return p.internalDate() }
	switch k.Field {
	case imap.DateSent:
		column = func(p place) packedTime { return p.sentDate() }
	case imap.DateSaved:
		column = func(p place) packedTime { return packTime(time.Unix(p.saveDate(), 0).UTC()) }
	}
	return columnTest(func(p place) bool {
		t := column(p)
		if t == 0 {
			return false // no date is on no day
		}
		c := t.date().Compare(k.Day)
		switch k.Op {
		case imap.DateBefore:
			return c < 0
		case imap.DateOn:
			return c == 0
		}
		return c >= 0
	})
}

// fieldTest is HEADER and its short forms.
type fieldTest struct {
	needle *message.Needle
	name   string
	folded int // index in textFields, -1 if the field is not kept there
	// The value can be in the usual form of an address without being in the field.
	addresses bool

	known []verdict // of the terms of a column: many messages have one text
	of    *column
}

func headerTest(k imap.SearchHeader) *fieldTest {
	t := &fieldTest{needle: message.NewNeedle(k.Value), name: k.Name, folded: -1}
	for i, f := range textFields {
		if strings.EqualFold(f, k.Name) {
			t.folded = i
		}
	}
	return t
}

// matchTerm says whether a text matches. Each term of a column is looked at once.
func (t *fieldTest) matchTerm(text term) bool {
	if len(text.text) == 0 {
		return false // no such field, which even the empty value asks for
	}
	if text.in == nil {
		return t.matches(text.text)
	}
	if t.of != text.in {
		t.of = text.in
		t.known = slices.Grow(t.known[:0], len(text.in.terms))[:len(text.in.terms)]
		for i := range t.known {
			t.known[i] = unknown
		}
	}
	if t.known[text.index] == unknown {
		t.known[text.index] = verdictOf(t.matches(text.text))
	}
	return t.known[text.index] == yes
}

func (t *fieldTest) matches(text []byte) bool {
	return t.needle.MatchFolded(text) || t.addresses && t.needle.MatchAddresses(text)
}

func (t *fieldTest) quick(_ place, out []verdict) { fill(out, unknown) }

func (t *fieldTest) full(_ place, m *searched) (bool, error) {
	if t.folded >= 0 {
		text, err := m.texts.term(textColumn(t.folded), m.at)
		if err != nil {
			return false, err
		}
		return t.matchTerm(text), nil
	}
	header, err := m.headerSection()
	if err != nil {
		return false, err
	}
	return t.needle.MatchHeader(header, t.name), nil
}
