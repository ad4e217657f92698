package mail

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"tidemark/imap"
	"tidemark/imapserver"
)

// modelMessage and modelBox say in the plainest way what a mailbox is.
type modelMessage struct {
	uid    uint32
	flags  map[imap.Flag]bool
	modseq uint64
	number int // in the subject, the size and the date
}

type modelBox struct {
	next   uint32
	modseq uint64
	msgs   []modelMessage
	gone   map[uint32]uint64 // expunged UIDs and when
}

func (m *modelMessage) String() string {
	var words []string
	for f := range m.flags {
		words = append(words, string(f))
	}
	slices.Sort(words)
	return fmt.Sprintf("%d(%s)@%d", m.uid, strings.Join(words, " "), m.modseq)
}

// mailboxMachine runs random changes against the store and the model.
type mailboxMachine struct {
	t      *rapid.T
	fs     *vfs.MemFS
	stop   func()
	svc    *Service
	acct   *Account
	boxes  [2]*modelBox
	open   [2]*Selected
	old    [2]imapserver.View // versions seen earlier
	had    [2][]modelMessage  // what they have
	number int
}

var boxNames = [2]string{"INBOX", "other"}

func (m *mailboxMachine) start() {
	e := openEngine(m.tb(), m.fs)
	m.svc = New(Options{Engine: e, CacheSize: 20_000})
	ctx := context.Background()
	if err := m.svc.CreateUser(ctx, "alice", nil); err != nil && err != ErrUserExists {
		m.t.Fatal(err)
	}
	var err error
	if m.acct, err = m.svc.Account(ctx, "alice"); err != nil {
		m.t.Fatal(err)
	}
	_, _ = m.acct.Create(ctx, "other", nil)
	for i := range m.open {
		b, err := m.acct.OpenMailbox(ctx, boxNames[i], false)
		if err != nil {
			m.t.Fatal(err)
		}
		m.open[i] = b.(*Selected)
		m.old[i], m.had[i] = b.View(), slices.Clone(m.boxes[i].msgs)
	}
	m.stop = func() {
		for _, b := range m.open {
			b.Close()
		}
		m.acct.Close()
		m.svc.Close()
		if err := e.Close(); err != nil {
			m.t.Error(err)
		}
	}
}

// tb gives test helpers what they need of *rapid.T.
func (m *mailboxMachine) tb() testing.TB { return rapidTB{T: m.t} }

type rapidTB struct {
	testing.TB
	T *rapid.T
}

func (r rapidTB) Helper()           {}
func (r rapidTB) Fatal(args ...any) { r.T.Fatal(args...) }

func (m *mailboxMachine) box() int { return rapid.IntRange(0, 1).Draw(m.t, "box") }

// uids draws a set of UIDs that may or may not exist.
func (m *mailboxMachine) uids(b *modelBox) imap.NumSet {
	lo := rapid.Uint32Range(1, b.next).Draw(m.t, "lo")
	hi := rapid.Uint32Range(lo, b.next).Draw(m.t, "hi")
	s := imap.NumSet{{Start: lo, Stop: hi}}
	if rapid.Bool().Draw(m.t, "one more") {
		s = append(s, imap.Range{Start: b.next, Stop: b.next}).Resolve(0)
	}
	return s
}

func modelText(number int) string {
	return fmt.Sprintf("Subject: no %d.\r\n\r\n%s", number, strings.Repeat("x", number%100))
}

func (m *mailboxMachine) Append(*rapid.T) {
	i := m.box()
	b := m.boxes[i]
	n := rapid.SampledFrom([]int{1, 1, 2, 700}).Draw(m.t, "n")
	var msgs []imapserver.AppendMessage
	b.modseq++
	for range n {
		up, err := m.acct.NewUpload(context.Background(), boxNames[i], 10)
		if err != nil {
			m.t.Fatal(err)
		}
		m.number++
		io.WriteString(up, modelText(m.number))
		msgs = append(msgs, imapserver.AppendMessage{
			Upload: up, Flags: []imap.Flag{imap.FlagSeen}, InternalDate: time.Unix(int64(m.number), 0),
		})
		b.msgs = append(b.msgs, modelMessage{b.next, map[imap.Flag]bool{imap.FlagSeen: true}, b.modseq, m.number})
		b.next++
	}
	if _, err := m.acct.Append(context.Background(), boxNames[i], msgs); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mailboxMachine) Store(*rapid.T) {
	i := m.box()
	b := m.boxes[i]
	uids := m.uids(b)
	op := imap.StoreOp(rapid.IntRange(0, 2).Draw(m.t, "op"))
	flags := rapid.SliceOfNDistinct(rapid.SampledFrom([]imap.Flag{
		imap.FlagSeen, imap.FlagDeleted, "k1", "k2", "k3", "k4", "k5",
	}), 0, 3, rapid.ID[imap.Flag]).Draw(m.t, "flags")
	changed := false
	for k := range b.msgs {
		msg := &b.msgs[k]
		if !uids.Contains(msg.uid) {
			continue
		}
		next := make(map[imap.Flag]bool)
		for f := range msg.flags {
			next[f] = op != imap.StoreReplace
		}
		for _, f := range flags {
			next[f] = op != imap.StoreRemove
		}
		for f, on := range next {
			if !on {
				delete(next, f)
			}
		}
		if fmt.Sprint(next) != fmt.Sprint(msg.flags) {
			changed = true
			msg.flags, msg.modseq = next, b.modseq+1
		}
	}
	if changed {
		b.modseq++
	}
	req := imapserver.StoreChange{UIDs: uids, Op: op, Flags: flags}
	if _, err := m.open[i].Store(context.Background(), req); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mailboxMachine) Expunge(*rapid.T) {
	i := m.box()
	b := m.boxes[i]
	b.remove(func(msg *modelMessage) bool { return msg.flags[imap.FlagDeleted] })
	if err := m.open[i].Expunge(context.Background(), nil); err != nil {
		m.t.Fatal(err)
	}
}

func (b *modelBox) remove(which func(*modelMessage) bool) {
	var kept []modelMessage
	for _, msg := range b.msgs {
		if which(&msg) {
			b.gone[msg.uid] = b.modseq + 1
		} else {
			kept = append(kept, msg)
		}
	}
	if len(kept) < len(b.msgs) {
		b.modseq++
	}
	b.msgs = kept
}

func (m *mailboxMachine) Copy(*rapid.T) {
	i, j := m.box(), m.box()
	from, to := m.boxes[i], m.boxes[j]
	uids := m.uids(from)
	move := rapid.Bool().Draw(m.t, "move")
	var added []modelMessage
	for _, msg := range from.msgs {
		if uids.Contains(msg.uid) {
			added = append(added, modelMessage{to.next, msg.flags, to.modseq + 1, msg.number})
			to.next++
		}
	}
	if len(added) > 0 {
		to.modseq++
	}
	to.msgs = append(to.msgs, added...)
	if move {
		first := to.next - uint32(len(added))
		from.remove(func(msg *modelMessage) bool {
			return uids.Contains(msg.uid) && (i != j || msg.uid < first)
		})
	}
	res, err := m.open[i].Copy(context.Background(), uids, boxNames[j], move)
	if err != nil {
		m.t.Fatal(err)
	}
	if res.Source.Count() != uint64(len(added)) || res.Dest.Count() != uint64(len(added)) {
		m.t.Fatalf("copied %v to %v, want %d messages", res.Source, res.Dest, len(added))
	}
}

func (m *mailboxMachine) Snapshot(*rapid.T) { m.snapshot(m.box()) }

func (m *mailboxMachine) snapshot(i int) {
	b := m.open[i]
	if _, _, err := b.update(context.Background(), func(c *change) error { return c.writeSnapshot() }); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mailboxMachine) Texts(*rapid.T) {
	if err := m.open[m.box()].writeTexts(context.Background()); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mailboxMachine) Restart(*rapid.T) {
	if rapid.Bool().Draw(m.t, "with snapshots") {
		m.snapshot(0)
		m.snapshot(1)
	}
	m.stop()
	m.start()
}

// Remember keeps a version for later use by Delta, Since and Details.
func (m *mailboxMachine) Remember(*rapid.T) {
	i := m.box()
	m.old[i], m.had[i] = m.open[i].View(), slices.Clone(m.boxes[i].msgs)
}

// Details asks for the details of messages of the newest version or of an earlier one. They
// may have been read before or not, and what is on disk may have gone on.
func (m *mailboxMachine) Details(*rapid.T) {
	i := m.box()
	v, msgs := m.open[i].View(), m.boxes[i].msgs
	if rapid.Bool().Draw(m.t, "old") {
		v, msgs = m.old[i], m.had[i]
		m.snapshot(i)
	}
	if v.Len() == 0 {
		return
	}
	first := rapid.Uint32Range(1, v.Len()).Draw(m.t, "first")
	last := rapid.Uint32Range(first, v.Len()).Draw(m.t, "last")
	details, err := m.open[i].Details(context.Background(), v, imap.NumSet{{Start: first, Stop: last}})
	if err != nil || len(details) != int(last-first+1) {
		m.t.Fatalf("%s: %d details of %d to %d, %v", boxNames[i], len(details), first, last, err)
	}
	for k, d := range details {
		want := &msgs[int(first-1)+k]
		size := uint32(len(modelText(want.number)))
		if d.InternalDate.Unix != int64(want.number) || d.Size != size {
			m.t.Fatalf("%s: UID %d has details %+v, want date %d, size %d", boxNames[i], want.uid, d, want.number, size)
		}
	}
}

// Check compares everything that a session can see with the model.
func (m *mailboxMachine) Check(t *rapid.T) {
	for i, b := range m.boxes {
		v := m.open[i].View()
		if uint64(v.ModSeq()) != b.modseq || uint32(v.UIDNext()) != b.next || int(v.Len()) != len(b.msgs) {
			t.Fatalf("%s: MODSEQ %d UIDNEXT %d, %d messages; want %d, %d, %d", boxNames[i],
				v.ModSeq(), v.UIDNext(), v.Len(), b.modseq, b.next, len(b.msgs))
		}
		var unseen, deleted uint32
		seq := 0
		for n, row := range v.Rows(imap.NumSet{{Start: 1, Stop: v.Len()}}) {
			got := modelMessage{uint32(row.UID), make(map[imap.Flag]bool), uint64(row.ModSeq), 0}
			for _, f := range row.Flags.Flags() {
				got.flags[f] = true
			}
			want := &b.msgs[seq]
			if int(n) != seq+1 || got.String() != want.String() || v.Seq(row.UID) != n || v.UID(n) != row.UID {
				t.Fatalf("%s %d: %v, want %v", boxNames[i], n, &got, want)
			}
			if !want.flags[imap.FlagSeen] {
				unseen++
			}
			if want.flags[imap.FlagDeleted] {
				deleted++
			}
			seq++
		}
		st, err := m.acct.Status(context.Background(), boxNames[i])
		if err != nil || st.Unseen != unseen || st.Deleted != deleted || st.Messages != v.Len() {
			t.Fatalf("%s: status %+v, %v; want %d unseen, %d deleted", boxNames[i], st, err, unseen, deleted)
		}
		m.checkDelta(t, i, v)
		m.checkSince(t, i, v)
	}
}

// Search looks for a subject, and sorts by all of them. It is not for Check, because it
// reads what other actions must find unread now and then.
func (m *mailboxMachine) Search(t *rapid.T) {
	i := m.box()
	v := m.open[i].View()
	number := rapid.IntRange(0, m.number).Draw(t, "number")
	var want []uint32
	subjects := make(map[imap.UID]string)
	for _, msg := range m.boxes[i].msgs {
		subjects[imap.UID(msg.uid)] = fmt.Sprintf("no %d.", msg.number)
		if msg.number == number {
			want = append(want, msg.uid)
		}
	}
	key := imap.SearchHeader{Name: "Subject", Value: fmt.Sprintf("no %d.", number)}
	got, err := m.open[i].Search(context.Background(), v, key)
	if err != nil || got.String() != imap.NumSetOf(want...).String() {
		t.Fatalf("%s: subject %d is at %s, %v; want %v", boxNames[i], number, got, err, want)
	}
	order := []imap.SortKey{{Field: imap.SortSubject}}
	sorted, err := m.open[i].Sort(context.Background(), v, order, v.UIDs(imap.NumSet{{Start: 1, Stop: v.Len()}}))
	if err != nil || len(sorted) != len(subjects) {
		t.Fatalf("%s: %d messages sorted, %v; want %d", boxNames[i], len(sorted), err, len(subjects))
	}
	if !slices.IsSortedFunc(sorted, func(a, b imap.UID) int {
		return cmp.Or(cmp.Compare(subjects[a], subjects[b]), cmp.Compare(a, b))
	}) {
		t.Fatalf("%s: not sorted by subject", boxNames[i])
	}
}

// checkDelta follows the difference from a remembered version, as a session does.
func (m *mailboxMachine) checkDelta(t *rapid.T, i int, v imapserver.View) {
	old := m.old[i]
	d := v.Delta(old)
	var uids []imap.UID
	for n := range old.Len() {
		if !d.Expunged.Contains(n + 1) {
			uids = append(uids, old.UID(imap.SeqNum(n+1)))
		}
	}
	survivors := len(uids)
	for range d.Added {
		uids = append(uids, v.UID(imap.SeqNum(len(uids)+1)))
	}
	if len(uids) != int(v.Len()) {
		t.Fatalf("%s: delta leads to %d messages, there are %d", boxNames[i], len(uids), v.Len())
	}
	for n, uid := range uids {
		if v.UID(imap.SeqNum(n+1)) != uid {
			t.Fatalf("%s: delta leads to UID %d at %d", boxNames[i], uid, n+1)
		}
		newer := n < survivors && v.Row(imap.SeqNum(n+1)).ModSeq > old.ModSeq()
		if d.Changed.Contains(uint32(n+1)) != newer {
			t.Fatalf("%s: message %d changed: %v, delta says %v", boxNames[i], n+1, newer, !newer)
		}
	}
}

func (m *mailboxMachine) checkSince(t *rapid.T, i int, v imapserver.View) {
	since := rapid.Uint64Range(1, uint64(v.ModSeq())).Draw(t, "since")
	expunged, changed, err := m.open[i].Since(context.Background(), v, imap.ModSeq(since), nil)
	if err != nil {
		t.Fatal(err)
	}
	var wantGone, wantChanged []uint32
	for uid, when := range m.boxes[i].gone {
		if when > since {
			wantGone = append(wantGone, uid)
		}
	}
	for _, msg := range m.boxes[i].msgs {
		if msg.modseq > since {
			wantChanged = append(wantChanged, msg.uid)
		}
	}
	if got, want := expunged.String(), imap.NumSetOf(wantGone...).String(); got != want {
		t.Fatalf("%s since %d: expunged %s, want %s", boxNames[i], since, got, want)
	}
	if got, want := changed.String(), imap.NumSetOf(wantChanged...).String(); got != want {
		t.Fatalf("%s since %d: changed %s, want %s", boxNames[i], since, got, want)
	}
}

// What sessions see must be what a plain list of messages would be, through every way
// of changing a mailbox, snapshots and restarts.
func TestMailboxAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &mailboxMachine{t: t, fs: vfs.NewMem()}
		for i := range m.boxes {
			m.boxes[i] = &modelBox{next: 1, modseq: 1, gone: make(map[uint32]uint64)}
		}
		m.start()
		defer func() { m.stop() }()
		actions := map[string]func(*rapid.T){
			"append": m.Append, "store": m.Store, "expunge": m.Expunge, "copy": m.Copy,
			"snapshot": m.Snapshot, "texts": m.Texts, "restart": m.Restart, "remember": m.Remember,
			"details": m.Details, "search": m.Search,
			"": m.Check,
		}
		for name, action := range actions {
			actions[name] = func(inner *rapid.T) { m.t = inner; action(inner) }
		}
		t.Repeat(actions)
		checkClean(t, m.svc)
	})
}
