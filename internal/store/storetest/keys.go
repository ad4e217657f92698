package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tidemark/internal/store"
)

// If this fails, long keys or values are cut off or refused.
func testLimits(t *testing.T, f *fixture) {
	key, value := bytes.Repeat([]byte{0xff}, store.MaxKey), content(1, store.MaxValue)
	f.update(1, func(tx store.Tx) {
		tx.Set(key, value)
		tx.Set(nil, nil)
	})
	f.reopen()
	err := f.e.View(f.ctx, 1, func(r store.Reader) error {
		if v, err := r.Get(key); err != nil || !bytes.Equal(v, value) {
			t.Errorf("the longest value came back with %d bytes, %v", len(v), err)
		}
		if v, err := r.Get([]byte{}); err != nil || len(v) != 0 {
			t.Errorf("the empty key has %q, %v", v, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantPanic(t, "a long key", func() {
		_ = f.e.Update(f.ctx, 1, func(tx store.Tx) error { tx.Set(append(key, 0), nil); return nil })
	})
	wantPanic(t, "a long value", func() {
		_ = f.e.Update(f.ctx, 1, func(tx store.Tx) error { tx.Set(nil, append(value, 0)); return nil })
	})
	f.set(1, "still", "works")
}

// If this fails, callers work on bytes that have changed under them.
func testSlices(t *testing.T, f *fixture) {
	const keys = 300
	f.update(1, func(tx store.Tx) {
		for i := range keys {
			tx.Set(fmt.Appendf(nil, "k%03d", i), content(uint64(i), i*7))
		}
	})
	read := func(r store.Reader) error {
		var got [][]byte
		it := r.Scan(nil, nil, false)
		defer it.Close()
		for it.Next() {
			v, err := it.Value()
			if err != nil {
				return err
			}
			w, err := r.Get(it.Key())
			if err != nil {
				return err
			}
			got = append(got, v, w)
		}
		for i, v := range got {
			if !bytes.Equal(v, content(uint64(i/2), i/2*7)) {
				t.Errorf("the value of key %d has changed", i/2)
			}
		}
		return nil
	}
	if err := f.e.View(f.ctx, 1, read); err != nil {
		t.Error(err)
	}
	if err := f.e.Update(f.ctx, 1, func(tx store.Tx) error { return read(tx) }); err != nil {
		t.Error(err)
	}
}

// If this fails, a listing has too many entries, or too few.
func testScanBounds(t *testing.T, f *fixture) {
	f.set(1, "a", "1", "b", "2", "b\x00", "3", "c", "4", "\xff\xff", "5")
	tests := []struct{ start, end, want string }{
		{"", "nil", "a=1 b=2 b\x00=3 c=4 \xff\xff=5"},
		{"a", "c", "a=1 b=2 b\x00=3"},
		{"b", "b\x00", "b=2"},
		{"b\x00", "c\x00", "b\x00=3 c=4"},
		{"bb", "nil", "c=4 \xff\xff=5"},
		{"b", "b", ""},
		{"c", "a", ""},
		{"", "", ""},
		{"\xff\xff\x00", "nil", ""},
	}
	for _, tt := range tests {
		end := []byte(tt.end)
		if tt.end == "nil" {
			end = nil
		}
		check := func(r store.Reader) error {
			forward, err := dumpRange(r, []byte(tt.start), end, false)
			if forward != tt.want || err != nil {
				t.Errorf("from %q to %q: %q, %v; want %q", tt.start, tt.end, forward, err, tt.want)
			}
			fields := strings.Fields(tt.want)
			slices.Reverse(fields)
			back, err := dumpRange(r, []byte(tt.start), end, true)
			if want := strings.Join(fields, " "); back != want || err != nil {
				t.Errorf("back from %q to %q: %q, %v; want %q", tt.end, tt.start, back, err, want)
			}
			return nil
		}
		_ = f.e.View(f.ctx, 1, check)
		_ = f.e.Update(f.ctx, 1, func(tx store.Tx) error { return check(tx) })
	}
}

// If this fails, a command works on what was there before its first step.
func testOwnWrites(t *testing.T, f *fixture) {
	f.set(1, "a", "1", "b", "1", "c", "1", "d", "1")
	f.update(1, func(tx store.Tx) {
		tx.Set([]byte("b"), []byte("2"))
		tx.Delete([]byte("a"))
		tx.Set([]byte("e"), []byte("2"))
		want(t, tx, "b=2 c=1 d=1 e=2")
		tx.DeleteRange([]byte("b"), []byte("d"))
		want(t, tx, "d=1 e=2")
		tx.Set([]byte("c"), []byte("3"))
		want(t, tx, "c=3 d=1 e=2")
		tx.DeleteRange([]byte("z"), []byte("a")) // the end comes before the start: nothing
		tx.DeleteRange([]byte("c"), []byte("c"))
		want(t, tx, "c=3 d=1 e=2")
		if _, err := tx.Get([]byte("b")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("get of a deleted key: %v", err)
		}
	})
	f.wantDump(1, "c=3 d=1 e=2")
}

func want(t *testing.T, r store.Reader, want string) {
	t.Helper()
	got, err := dumpRange(r, nil, nil, false)
	if err != nil || got != want {
		t.Errorf("the transaction sees %q, %v; want %q", got, err, want)
	}
}

// If this fails, some sequence of changes leaves something else than it should.
func testModel(t *testing.T, f *fixture) {
	rng := rand.New(rand.NewPCG(1, 2))
	model := map[string]string{}
	for round := range 60 {
		var next map[string]string
		seed := rng.Uint64()
		f.update(1, func(tx store.Tx) {
			next = maps.Clone(model)
			mutate(t, rand.New(rand.NewPCG(seed, 0)), tx, next)
		})
		model = next
		if round%20 == 19 {
			f.reopen()
		}
		f.wantDump(1, dumpMap(model))
	}
}

// mutate makes a few random changes in both places and compares them.
func mutate(t *testing.T, rng *rand.Rand, tx store.Tx, model map[string]string) {
	key := func() string { return fmt.Sprintf("%02d", rng.IntN(40)) }
	for range rng.IntN(8) {
		a, b := key(), key()
		switch rng.IntN(6) {
		case 0, 1, 2:
			value := fmt.Sprint(rng.IntN(1000))
			tx.Set([]byte(a), []byte(value))
			model[a] = value
		case 3:
			tx.Delete([]byte(a))
			delete(model, a)
		case 4:
			tx.DeleteRange([]byte(a), []byte(b))
			maps.DeleteFunc(model, func(k, _ string) bool { return a <= k && k < b })
		case 5:
			want(t, tx, dumpMap(model))
		}
	}
}

func dumpMap(m map[string]string) string {
	var fields []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fields = append(fields, k+"="+m[k])
	}
	return strings.Join(fields, " ")
}

// If this fails, a check of the store misses accounts or blobs.
func testListings(t *testing.T, f *fixture) {
	f.set(300, "k", "v")
	f.set(2, "k", "v")
	f.adopt(70000, []byte("only a blob"))
	f.set(5, "k", "v")
	f.update(5, func(tx store.Tx) { tx.Delete([]byte("k")) })
	want := []store.BlobID{}
	for i := range 10 {
		want = append(want, f.adopt(300, content(9, i*60_000)))
	}
	slices.SortFunc(want, func(a, b store.BlobID) int { return bytes.Compare(a[:], b[:]) })

	var ids []store.AccountID
	err := f.e.Accounts(f.ctx, func(id store.AccountID) error {
		ids = append(ids, id)
		return nil
	})
	if err != nil || !slices.Equal(ids, []store.AccountID{2, 300, 70000}) {
		t.Errorf("accounts: %v, %v", ids, err)
	}
	var got []store.BlobID
	for _, info := range f.blobs(300) {
		got = append(got, info.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("blobs: %x, want %x", got, want)
	}
}
