package mail

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tidemark/imap"
)

// If this fails, sessions with large mailboxes show messages that are gone, miss new ones, or
// take one for another.
func TestDeltaOfManyChunks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	table := newFlagTable()
	v := &view{uidNext: 1, table: table, sets: table.snapshot()}
	v.seal()
	versions := []*view{v}
	for range 60 {
		rec := randomChange(random, v, v.uidNext)
		next, err := v.apply(nil, rec, v.modseq+1, nil)
		if err != nil {
			t.Fatal(err)
		}
		v = next
		versions = append(versions, v)
		for _, old := range []*view{versions[len(versions)-2], versions[random.IntN(len(versions))]} {
			checkDelta(t, old, v)
		}
	}
	if len(v.chunks) < 4 {
		t.Fatalf("only %d chunks", len(v.chunks))
	}
}

// randomChange returns a change of v: new messages from the UID next on, or some that are
// flagged or gone.
func randomChange(random *rand.Rand, v *view, next uint32) *logRecord {
	rec := &logRecord{}
	if n := v.Len(); n > 0 {
		first := 1 + random.Uint32N(n)
		last := min(first+random.Uint32N(200), n)
		uids := v.UIDs(imap.NumSet{{Start: first, Stop: last}})
		switch random.IntN(4) {
		case 0:
			rec.Expunged = uids
			return rec
		case 1:
			rec.Flags = []flagChange{{UIDs: uids, Add: flagBits([]byte{1 << bitFlagged})}}
			return rec
		}
	}
	next += random.Uint32N(3) // UIDs may have gaps
	for range 1 + random.IntN(300) {
		rec.Added = append(rec.Added, added{UID: next, Email: emailID(random.Uint32()), Size: random.Uint32()})
		next++
	}
	return rec
}

// checkDelta compares the delta from old to v with what two lists of messages say.
func checkDelta(t *testing.T, old, v *view) {
	t.Helper()
	before, after := modSeqs(old), modSeqs(v)
	var gone, changed []uint32
	kept := 0
	for i, uid := range slices.Sorted(maps.Keys(before)) {
		modseq, ok := after[uid]
		if !ok {
			gone = append(gone, uint32(i)+1)
			continue
		}
		kept++
		if modseq > old.modseq {
			changed = append(changed, uint32(kept))
		}
	}
	d := v.Delta(old)
	if got, want := d.Expunged.String(), imap.NumSetOf(gone...).String(); got != want {
		t.Fatalf("from %d to %d: expunged %s, want %s", old.modseq, v.modseq, got, want)
	}
	if got, want := d.Changed.String(), imap.NumSetOf(changed...).String(); got != want {
		t.Fatalf("from %d to %d: changed %s, want %s", old.modseq, v.modseq, got, want)
	}
	if want := len(after) - kept; int(d.Added) != want {
		t.Fatalf("from %d to %d: %d added, want %d", old.modseq, v.modseq, d.Added, want)
	}
}

// modSeqs returns the MODSEQ of every message by its UID.
func modSeqs(v *view) map[uint32]uint64 {
	all := make(map[uint32]uint64)
	for _, c := range v.chunks {
		cols := c.columns()
		for i, uid := range cols.uid {
			all[uid] = cols.modseq[i]
		}
	}
	return all
}

// If this fails, versions of a mailbox that share memory write over each other's messages:
// those of two runs of one transaction, or that of a session which looks at an older one.
func TestVersionsKeepTheirMessages(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	table := newFlagTable()
	v := &view{uidNext: 1, table: table, sets: table.snapshot()}
	v.seal()
	var versions []*view
	var listings []string
	for range 60 {
		var next *view
		for range 2 { // as an engine may run a transaction again
			e := v.edit(nil, nil)
			for range 1 + random.IntN(3) { // several records, as replay has
				if err := e.apply(randomChange(random, v, e.view.uidNext), e.view.modseq+1); err != nil {
					t.Fatal(err)
				}
			}
			next = e.finish()
			versions, listings = append(versions, next), append(listings, contents(next))
		}
		v = next
	}
	for i, v := range versions {
		if contents(v) != listings[i] {
			t.Errorf("version %d of %d messages has changed", i, v.Len())
		}
	}
}

// contents writes down everything that a version has of its messages.
func contents(v *view) string {
	var b strings.Builder
	for _, c := range v.chunks {
		fmt.Fprintln(&b, c.len(), *c.columns(), *c.details())
	}
	return b.String()
}

// If this fails, each append copies what is known of up to chunkSize messages.
func TestAppendsShareMemory(t *testing.T) {
	table := newFlagTable()
	v := &view{uidNext: 1, table: table, sets: table.snapshot()}
	v.seal()
	moved := 0
	for uid := range uint32(chunkSize) {
		next, err := v.apply(nil, &logRecord{Added: []added{{UID: uid + 1, Email: emailID(uid + 1)}}}, v.modseq+1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if uid > 0 && &next.chunks[0].columns().uid[0] != &v.chunks[0].columns().uid[0] {
			moved++
		}
		v = next
	}
	if moved > 50 {
		t.Errorf("%d appends moved the columns %d times", chunkSize, moved)
	}
}
