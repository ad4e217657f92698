package mail

import (
	"hash/fnv"
	"io"
	"slices"
	"strings"
	"sync"

	"tidemark/imap"
)

// flagBits is a set of flags of one mailbox as it is stored: a bitmap over flag
// numbers, least significant bit first, without zero bytes at its end. Numbers 0 to
// 4 are imap.SystemFlags; the keywords follow in the order of mailboxMeta.Keywords.
// Being a string it can be compared and be a key.
type flagBits string

// The numbers of the system flags, as in imap.SystemFlags.
const (
	bitAnswered = iota
	bitFlagged
	bitDeleted
	bitSeen
	bitDraft
	firstKeyword
)

func (f flagBits) has(n int) bool {
	return n/8 < len(f) && f[n/8]&(1<<(n%8)) != 0
}

// with returns f with the flags of add and without those of remove.
func (f flagBits) with(add, remove flagBits) flagBits {
	out := make([]byte, max(len(f), len(add)))
	copy(out, f)
	for i := range min(len(remove), len(out)) {
		out[i] &^= remove[i]
	}
	for i := range len(add) {
		out[i] |= add[i]
	}
	return trimBits(out)
}

func trimBits(b []byte) flagBits {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return flagBits(b)
}

// bitsOf returns the stored form of flags. A keyword that the mailbox does not know
// is added to keywords by learn, or left out if learn is nil.
func bitsOf(flags []imap.Flag, keywords []imap.Flag, learn func(imap.Flag) (int, error)) (flagBits, error) {
	var b []byte
	for _, f := range flags {
		n := flagNumber(f, keywords)
		if n < 0 && learn == nil {
			continue
		}
		if n < 0 {
			var err error
			if n, err = learn(f); err != nil {
				return "", err
			}
			keywords = append(keywords[:len(keywords):len(keywords)], f)
		}
		for len(b) <= n/8 {
			b = append(b, 0)
		}
		b[n/8] |= 1 << (n % 8)
	}
	return trimBits(b), nil
}

// flagNumber returns the number of f, -1 if it is a keyword that is not among
// keywords.
func flagNumber(f imap.Flag, keywords []imap.Flag) int {
	list, first := keywords, firstKeyword
	if f.IsSystem() {
		list, first = imap.SystemFlags[:], 0
	}
	for i, k := range list {
		if imap.EqualFlag(f, k) {
			return first + i
		}
	}
	return -1
}

// flagsOf returns the flags that bits stands for.
func flagsOf(bits flagBits, keywords []imap.Flag) []imap.Flag {
	var flags []imap.Flag
	for i, f := range imap.SystemFlags {
		if bits.has(i) {
			flags = append(flags, f)
		}
	}
	for i, f := range keywords {
		if bits.has(firstKeyword + i) {
			flags = append(flags, f)
		}
	}
	return flags
}

// flagTable numbers the different flag sets that occur in a mailbox, so that a
// message's flags are one small number in a column and their wire form is made once.
// It only grows, and is shared by all versions of the mailbox's view.
type flagTable struct {
	mu    sync.Mutex
	index map[flagSetKey]uint32
	sets  []flagSet // read through a slice taken by snapshot
}

// flagSetKey tells flag sets apart. The bits alone would not do: a transaction that
// fails may have met a new keyword, whose number another one then gets. names is a hash
// of the keywords' names.
type flagSetKey struct {
	bits  flagBits
	names uint64
}

// flagSet is one set. The set in the form of package imap is kept for the first
// keptFlagSets of a mailbox: real mailboxes have far fewer, and one with a different set for
// each message must not take memory for all their names.
type flagSet struct {
	bits flagBits
	set  *imap.FlagSet // nil: to be made when it is asked for
}

const keptFlagSets = 4096

// flagSet returns the set in the form of package imap.
func (f *flagSet) flagSet(keywords []imap.Flag) *imap.FlagSet {
	if f.set != nil {
		return f.set
	}
	return imap.NewFlagSet(flagsOf(f.bits, keywords))
}

func newFlagTable() *flagTable {
	t := &flagTable{index: make(map[flagSetKey]uint32)}
	t.number("", nil)
	return t
}

// number returns the number of bits, giving it one if need be. keywords must name
// every keyword in bits.
func (t *flagTable) number(bits flagBits, keywords []imap.Flag) uint32 {
	key := flagSetKey{bits, hashNames(bits, keywords)}
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.index[key]
	if ok {
		return n
	}
	key.bits = flagBits(strings.Clone(string(bits)))
	next := flagSet{bits: key.bits}
	if len(t.sets) < keptFlagSets {
		next.set = next.flagSet(keywords)
	}
	n = uint32(len(t.sets))
	t.sets = append(t.sets, next)
	t.index[key] = n
	return n
}

// hashNames returns a hash of the names of the keywords in bits.
func hashNames(bits flagBits, keywords []imap.Flag) uint64 {
	if len(bits) == 0 || len(bits) == 1 && bits[0] < 1<<firstKeyword {
		return 0
	}
	h := fnv.New64a()
	for i, k := range keywords {
		if bits.has(firstKeyword + i) {
			io.WriteString(h, string(k))
			h.Write([]byte{0})
		}
	}
	return h.Sum64()
}

// snapshot returns the sets numbered so far. Entries after its length may be
// appended by others, so that the caller must not append.
func (t *flagTable) snapshot() []flagSet {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clip(t.sets)
}
