package simtest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tidemark/internal/transcript"
)

// known is what a client knows of one message.
type known struct {
	uid      uint32 // 0: not heard of yet
	flags    flagSet
	hasFlags bool
	modseq   uint64
	// older is a response that tells of an older state than one before it. That is
	// possible only for a message that is gone, of which the client will hear.
	older string
}

// session is a client: a connection and what it has been told, no more.
type session struct {
	id      int
	user    string
	conn    *transcript.Conn
	qresync bool

	name     string // of the selected mailbox; empty without
	readOnly bool
	list     []known // by sequence number
	idle     bool
	idleTag  string

	// cache is what a client with a disk keeps of the mailboxes it has left.
	cache map[string]cached
}

// cached is a mailbox as a client left it.
type cached struct {
	validity uint32
	modseq   uint64
	list     []known
}

// during says what the responses to a command may be.
type during struct {
	command   string
	mayShrink bool // EXPUNGE and VANISHED are allowed (RFC 9051 §7.5.1)
	selecting bool // SELECT or EXAMINE: FETCH and VANISHED are those of QRESYNC
}

// hear moves the client's picture along one untagged response. What a server
// must not send is an error.
func (s *session) hear(r transcript.Response, d during) error {
	n, numbered := r.Number()
	switch r.Name() {
	case "EXISTS":
		if d.selecting {
			s.list = make([]known, n)
			return nil
		}
		if int(n) < len(s.list) {
			return fmt.Errorf("EXISTS shrinks from %d: %s", len(s.list), r.Raw)
		}
		s.list = append(s.list, make([]known, int(n)-len(s.list))...)
	case "EXPUNGE":
		switch {
		case !d.mayShrink:
			return fmt.Errorf("EXPUNGE during %s: %s", d.command, r.Raw)
		case s.qresync:
			return fmt.Errorf("EXPUNGE though QRESYNC is enabled: %s", r.Raw)
		case !numbered || n == 0 || int(n) > len(s.list):
			return fmt.Errorf("EXPUNGE of %d messages: %s", len(s.list), r.Raw)
		}
		s.list = slices.Delete(s.list, int(n)-1, int(n))
	case "VANISHED":
		return s.vanish(r, d)
	case "FETCH":
		return s.fetched(n, r, d)
	case "BYE":
		return fmt.Errorf("the server hangs up: %s", r.Raw)
	case "BAD", "NO":
		return fmt.Errorf("untagged %s", r.Raw)
	}
	return nil
}

// vanish removes messages by UID (RFC 7162 §3.2.10).
func (s *session) vanish(r transcript.Response, d during) error {
	if !s.qresync {
		return fmt.Errorf("VANISHED without QRESYNC: %s", r.Raw)
	}
	if len(r.Data) == 3 && r.Data[1].Kind == transcript.List {
		if !d.selecting && !strings.Contains(d.command, "VANISHED") {
			return fmt.Errorf("VANISHED (EARLIER) during %s", d.command)
		}
		return nil // the caller applies it to the cache
	}
	if !d.mayShrink {
		return fmt.Errorf("VANISHED during %s: %s", d.command, r.Raw)
	}
	uids, err := parseSet(r.Data[len(r.Data)-1].Text)
	if err != nil {
		return err
	}
	for _, uid := range uids {
		i := slices.IndexFunc(s.list, func(k known) bool { return k.uid == uid })
		if i < 0 {
			i = s.unnamed(uid)
		}
		if i < 0 {
			return fmt.Errorf("VANISHED of UID %d, which the client does not have: %s", uid, r.Raw)
		}
		s.list = slices.Delete(s.list, i, i+1)
	}
	return nil
}

// unnamed returns the position of a message whose UID the client has not heard
// of and that may be uid, since UIDs ascend; -1 if there is none. Which of several
// such neighbours it is makes no difference to the client.
func (s *session) unnamed(uid uint32) int {
	found := -1
	for i, k := range s.list {
		switch {
		case k.uid == 0 && found < 0:
			found = i
		case k.uid != 0 && k.uid < uid:
			found = -1
		case k.uid > uid:
			return found
		}
	}
	return found
}

func (s *session) fetched(seq uint32, r transcript.Response, d during) error {
	if seq == 0 || int(seq) > len(s.list) {
		return fmt.Errorf("FETCH of %d messages: %s", len(s.list), r.Raw)
	}
	items, err := fetchItems(r)
	if err != nil {
		return err
	}
	k := &s.list[seq-1]
	if items.uid != 0 {
		if k.uid != 0 && k.uid != items.uid {
			return fmt.Errorf("message %d had UID %d: %s", seq, k.uid, r.Raw)
		}
		k.uid = items.uid
	}
	if items.modseq != 0 && items.modseq < k.modseq {
		k.older = r.Raw
		return nil
	}
	k.modseq = max(k.modseq, items.modseq)
	if items.hasFlags {
		k.flags, k.hasFlags = items.flags, true
	}
	return nil
}

// fetchData is what a FETCH response says.
type fetchData struct {
	known
	body    string
	hasBody bool
}

func fetchItems(r transcript.Response) (fetchData, error) {
	var f fetchData
	if len(r.Data) != 3 || r.Data[2].Kind != transcript.List || len(r.Data[2].Kids)%2 != 0 {
		return f, fmt.Errorf("not a FETCH response: %s", r.Raw)
	}
	kids := r.Data[2].Kids
	var err error
	for i := 0; i < len(kids) && err == nil; i += 2 {
		value := kids[i+1]
		switch strings.ToUpper(kids[i].Text) {
		case "UID":
			f.uid, err = number(value.Text)
		case "FLAGS":
			f.hasFlags = true
			f.flags, err = parseFlags(value)
		case "MODSEQ":
			if len(value.Kids) != 1 {
				return f, fmt.Errorf("bad MODSEQ: %s", r.Raw)
			}
			f.modseq, err = strconv.ParseUint(value.Kids[0].Text, 10, 63)
		case "BODY[]":
			f.body, f.hasBody = value.Text, true
		}
	}
	return f, err
}

func parseFlags(n transcript.Node) (flagSet, error) {
	var f flagSet
	for _, k := range n.Kids {
		i := slices.IndexFunc(flagNames[:], func(name string) bool { return strings.EqualFold(name, k.Text) })
		switch {
		case i >= 0 && f&(1<<i) != 0:
			return f, fmt.Errorf("flag twice: %s", n)
		case i >= 0:
			f |= 1 << i
		case !strings.EqualFold(k.Text, `\Recent`):
			return f, fmt.Errorf("unknown flag %s", k.Text)
		}
	}
	return f, nil
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}

// parseSet reads a set of numbers as a server may send it, in order.
func parseSet(s string) ([]uint32, error) {
	var out []uint32
	for part := range strings.SplitSeq(s, ",") {
		first, last, ok := strings.Cut(part, ":")
		if !ok {
			last = first
		}
		a, err1 := number(first)
		b, err2 := number(last)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		if b < a || b-a > 1<<20 {
			return nil, fmt.Errorf("odd range in %q", s)
		}
		for n := a; n <= b; n++ {
			out = append(out, n)
		}
	}
	return out, nil
}

// formatSet writes numbers as a set with ranges.
func formatSet(nums []uint32) string {
	var b strings.Builder
	for i := 0; i < len(nums); {
		j := i
		for j+1 < len(nums) && nums[j+1] == nums[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d", nums[i])
		if j > i {
			fmt.Fprintf(&b, ":%d", nums[j])
		}
		i = j + 1
	}
	return b.String()
}

// differs says where the client's picture is not that of the mailbox; empty if
// it is. UIDs and flags that the client has not heard of do not count.
func (s *session) differs(m *mailbox) string {
	if len(s.list) != len(m.messages) {
		return fmt.Sprintf("the client has %d messages, the mailbox %d", len(s.list), len(m.messages))
	}
	for i, k := range s.list {
		msg := m.messages[i]
		if k.uid != 0 && k.uid != msg.uid {
			return fmt.Sprintf("message %d is UID %d for the client, %d in truth", i+1, k.uid, msg.uid)
		}
		if k.older != "" {
			return fmt.Sprintf("message %d had MODSEQ %d when it was told: %s", i+1, k.modseq, k.older)
		}
		if k.hasFlags && k.flags != msg.flags {
			return fmt.Sprintf("message %d (UID %d) has flags %v for the client, %v in truth", i+1, msg.uid, k.flags, msg.flags)
		}
	}
	return ""
}
