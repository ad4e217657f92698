package imapserver

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"iter"
	"slices"
	"sync"

	"tidemark/imap"
	"tidemark/sasl"
)

// fakeBackend is an account "alice" with mailboxes in memory. Tests change its
// mailboxes directly, as another session would.
type fakeBackend struct {
	mailboxes map[string]*fakeMailbox
	// openErr, if set, is what OpenMailbox fails with; openPanic makes it panic.
	openErr   error
	openPanic bool
	// block, if set, is what Status waits for; it tells entered before.
	block, entered chan struct{}
}

var errNoMailbox = imap.Refuse(imap.CodeNonExistent, "No such mailbox")

func newFakeBackend() *fakeBackend {
	return &fakeBackend{mailboxes: map[string]*fakeMailbox{"INBOX": newFakeMailbox("INBOX")}}
}

func (b *fakeBackend) inbox() *fakeMailbox { return b.mailboxes["INBOX"] }

func (b *fakeBackend) OpenAccount(context.Context, sasl.Identity) (Account, error) { return b, nil }

func (b *fakeBackend) Mailboxes(context.Context) ([]MailboxInfo, error) {
	var infos []MailboxInfo
	for name := range b.mailboxes {
		infos = append(infos, MailboxInfo{Name: name, ID: imap.ObjectID("F" + name)})
	}
	return infos, nil
}

func (b *fakeBackend) Create(_ context.Context, name string, _ []imap.MailboxAttr) (imap.ObjectID, error) {
	b.mailboxes[name] = newFakeMailbox(name)
	return imap.ObjectID("F" + name), nil
}

func (b *fakeBackend) Delete(_ context.Context, name string) error {
	m, ok := b.mailboxes[name]
	if !ok {
		return errNoMailbox
	}
	m.delete()
	delete(b.mailboxes, name)
	return nil
}

func (b *fakeBackend) Rename(context.Context, string, string) error  { return nil }
func (b *fakeBackend) Subscribe(context.Context, string, bool) error { return nil }

func (b *fakeBackend) Status(ctx context.Context, name string) (MailboxStatus, error) {
	if b.block != nil {
		close(b.entered)
		select {
		case <-b.block:
		case <-ctx.Done():
			return MailboxStatus{}, ctx.Err()
		}
	}
	m, ok := b.mailboxes[name]
	if !ok {
		return MailboxStatus{}, errNoMailbox
	}
	v := m.view()
	return MailboxStatus{Messages: v.Len(), UIDNext: v.UIDNext(), HighestModSeq: v.ModSeq()}, nil
}

func (b *fakeBackend) OpenMailbox(_ context.Context, name string, readOnly bool) (Mailbox, error) {
	if b.openPanic {
		panic("fault in the backend")
	}
	m, ok := b.mailboxes[name]
	if b.openErr != nil || !ok {
		return nil, cmp.Or[error](b.openErr, errNoMailbox)
	}
	return &fakeSession{fakeMailbox: m, readOnly: readOnly}, nil
}

func (b *fakeBackend) NewUpload(_ context.Context, name string, _ int64) (Upload, error) {
	if _, ok := b.mailboxes[name]; !ok {
		return nil, imap.Refuse(imap.CodeTryCreate, "No such mailbox")
	}
	return &fakeUpload{}, nil
}

func (b *fakeBackend) Append(_ context.Context, name string, msgs []AppendMessage) (AppendResult, error) {
	var uids imap.NumSet
	for _, m := range msgs {
		uid := b.mailboxes[name].add(m.Upload.(*fakeUpload).String(), m.Flags...)
		uids.Add(uint32(uid))
	}
	return AppendResult{UIDValidity: 1, UIDs: uids}, nil
}

func (b *fakeBackend) AppendLimit() int64 { return 1 << 20 }
func (b *fakeBackend) Close() error       { return nil }

type fakeUpload struct{ bytes.Buffer }

func (*fakeUpload) Abort() {}

// fakeMailbox is a list of versions.
type fakeMailbox struct {
	name string

	mu      sync.Mutex
	current *fakeView
	content map[imap.UID]string
	gone    bool
	wakes   map[int]func()
	watched int
	claimed imap.UID
	// beforeStore, if set, is called once in the next Store, as a change of somebody
	// else that comes first.
	beforeStore func()
	// searching, if set, is told by Search, which then waits for its context.
	searching chan struct{}
	// torn makes content fail half-way.
	torn bool
}

func newFakeMailbox(name string) *fakeMailbox {
	return &fakeMailbox{
		name: name, current: &fakeView{modSeq: 1, next: 1},
		content: map[imap.UID]string{}, wakes: map[int]func(){}, claimed: 1,
	}
}

func (m *fakeMailbox) view() *fakeView {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current
}

// change makes the next version.
func (m *fakeMailbox) change(f func(v *fakeView)) {
	m.mu.Lock()
	v := &fakeView{modSeq: m.current.modSeq + 1, next: m.current.next, rows: slices.Clone(m.current.rows)}
	f(v)
	m.current = v
	wakes := make([]func(), 0, len(m.wakes))
	for _, w := range m.wakes {
		wakes = append(wakes, w)
	}
	m.mu.Unlock()
	for _, w := range wakes {
		w()
	}
}

func (m *fakeMailbox) add(content string, flags ...imap.Flag) (uid imap.UID) {
	m.change(func(v *fakeView) {
		uid = v.next
		v.next++
		m.content[uid] = content
		v.rows = append(v.rows, Row{UID: uid, Flags: imap.NewFlagSet(flags), ModSeq: v.modSeq})
	})
	return uid
}

func (m *fakeMailbox) expunge(uids ...imap.UID) {
	m.change(func(v *fakeView) {
		v.rows = slices.DeleteFunc(v.rows, func(r Row) bool { return slices.Contains(uids, r.UID) })
		for _, uid := range uids {
			delete(m.content, uid)
		}
	})
}

func (m *fakeMailbox) flag(uid imap.UID, flags ...imap.Flag) {
	m.change(func(v *fakeView) {
		for i := range v.rows {
			if v.rows[i].UID == uid {
				v.rows[i].Flags, v.rows[i].ModSeq = imap.NewFlagSet(flags), v.modSeq
			}
		}
	})
}

func (m *fakeMailbox) delete() {
	m.change(func(*fakeView) { m.gone = true })
}

// fakeSession is a fakeMailbox that is selected.
type fakeSession struct {
	*fakeMailbox
	readOnly bool
}

func (s *fakeSession) Name() string        { return s.name }
func (s *fakeSession) ID() imap.ObjectID   { return imap.ObjectID("F" + s.name) }
func (s *fakeSession) UIDValidity() uint32 { return 1 }
func (s *fakeSession) ReadOnly() bool      { return s.readOnly }
func (s *fakeSession) View() View          { return s.view() }
func (s *fakeSession) Close() error        { return nil }

func (s *fakeSession) Watch(wake func()) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched++
	id := s.watched
	s.wakes[id] = wake
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.wakes, id)
	}
}

func (s *fakeSession) Gone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

func (s *fakeSession) ClaimRecent(v View) imap.UID {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.claimed
	s.claimed = v.UIDNext()
	return first
}

func (s *fakeSession) Since(context.Context, View, imap.ModSeq, imap.NumSet) (expunged, changed imap.NumSet, err error) {
	return nil, nil, nil
}

// Details gives messages their UID as the number of their content.
func (s *fakeSession) Details(_ context.Context, v View, seqs imap.NumSet) (details []Details, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range seqs.All() {
		uid := v.UID(imap.SeqNum(n))
		details = append(details, Details{Size: uint32(len(s.content[uid])), Email: uint64(uid)})
	}
	return details, nil
}

func (s *fakeSession) Summaries(_ context.Context, msgs []Details, fn func(int, Summary) error) error {
	for i, m := range msgs {
		var sum Summary
		if s.view().Seq(imap.UID(m.Email)) != 0 {
			sum = fakeSummary{}
		}
		if err := fn(i, sum); err != nil {
			return err
		}
	}
	return nil
}

func (s *fakeSession) Messages(_ context.Context, msgs []Details) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for _, msg := range msgs {
			if !yield(s.message(msg)) {
				return
			}
		}
	}
}

func (s *fakeSession) message(msg Details) (Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.content[imap.UID(msg.Email)]
	if !ok {
		return nil, imap.Refuse(imap.CodeExpungeIssued, "The message is gone")
	}
	return fakeMessage{content, s.torn}, nil
}

func (s *fakeSession) Store(_ context.Context, c StoreChange) (StoreResult, error) {
	if f := s.beforeStore; f != nil {
		s.beforeStore = nil
		f()
	}
	before := s.view()
	s.change(func(v *fakeView) {
		for i := range v.rows {
			if c.UIDs.Contains(uint32(v.rows[i].UID)) && !(len(c.Flags) > 0 && v.rows[i].Flags.Has(c.Flags[0])) {
				all := append(slices.Clone(v.rows[i].Flags.Flags()), c.Flags...)
				v.rows[i].Flags, v.rows[i].ModSeq = imap.NewFlagSet(all), v.modSeq
			}
		}
	})
	return StoreResult{Before: before, After: s.view()}, nil
}

func (s *fakeSession) Settle(context.Context) error { return nil }

func (s *fakeSession) Expunge(_ context.Context, uids imap.NumSet) error {
	var dead []imap.UID
	for _, r := range s.view().rows {
		if r.Flags.Has(imap.FlagDeleted) && (uids == nil || uids.Contains(uint32(r.UID))) {
			dead = append(dead, r.UID)
		}
	}
	s.expunge(dead...)
	return nil
}

func (s *fakeSession) Copy(context.Context, imap.NumSet, string, bool) (CopyResult, error) {
	return CopyResult{}, nil
}

func (s *fakeSession) Search(ctx context.Context, v View, key imap.SearchKey) (imap.NumSet, error) {
	if s.searching != nil {
		s.searching <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var uids imap.NumSet
	for _, r := range v.(*fakeView).rows {
		uids.Add(uint32(r.UID))
	}
	if k, ok := key.(imap.SearchAnd); ok && len(k) > 0 {
		key = k[0]
	}
	if k, ok := key.(imap.SearchUID); ok {
		return uids.Intersect(k.Set.Nums), nil
	}
	return uids, nil
}

func (s *fakeSession) Sort(_ context.Context, _ View, _ []imap.SortKey, uids imap.NumSet) (sorted []imap.UID, _ error) {
	for uid := range uids.All() {
		sorted = append(sorted, imap.UID(uid))
	}
	return sorted, nil
}

func (s *fakeSession) Thread(context.Context, View, imap.ThreadAlgorithm, imap.NumSet) ([]*imap.ThreadNode, error) {
	return nil, nil
}

type fakeSummary struct{}

func (fakeSummary) Envelope() []byte       { return []byte("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)") }
func (fakeSummary) Body() []byte           { return []byte("(BODY)") }
func (fakeSummary) BodyStructure() []byte  { return []byte("(STRUCTURE)") }
func (fakeSummary) EmailID() imap.ObjectID { return "M1" }
func (fakeSummary) Preview() []byte        { return nil }

// fakeMessage has one section, the whole content.
type fakeMessage struct {
	content string
	torn    bool
}

func (m fakeMessage) Section(imap.Section) (Content, error) { return m, nil }
func (m fakeMessage) Binary([]uint32) (Content, error)      { return nil, nil }
func (m fakeMessage) Close() error                          { return nil }
func (m fakeMessage) Size() int64                           { return int64(len(m.content)) }

func (m fakeMessage) WriteRange(w io.Writer, offset, n int64) error {
	if m.torn {
		n /= 2
	}
	if _, err := io.WriteString(w, m.content[offset:offset+n]); err != nil {
		return err
	}
	if m.torn {
		return io.ErrUnexpectedEOF
	}
	return nil
}

type fakeView struct {
	modSeq imap.ModSeq
	next   imap.UID
	rows   []Row
}

func (v *fakeView) ModSeq() imap.ModSeq          { return v.modSeq }
func (v *fakeView) Len() uint32                  { return uint32(len(v.rows)) }
func (v *fakeView) UIDNext() imap.UID            { return v.next }
func (v *fakeView) Keywords() []imap.Flag        { return nil }
func (v *fakeView) UID(seq imap.SeqNum) imap.UID { return v.rows[seq-1].UID }
func (v *fakeView) Row(seq imap.SeqNum) Row      { return v.rows[seq-1] }
func (v *fakeView) Newer(modseq imap.ModSeq) imap.NumSet {
	var out imap.NumSet
	for i, r := range v.rows {
		if r.ModSeq > modseq {
			out.Add(uint32(i + 1))
		}
	}
	return out
}

func (v *fakeView) FirstUnseen() imap.SeqNum { return 0 }

func (v *fakeView) Seq(uid imap.UID) imap.SeqNum {
	return imap.SeqNum(slices.IndexFunc(v.rows, func(r Row) bool { return r.UID == uid }) + 1)
}

func (v *fakeView) Rows(seqs imap.NumSet) iter.Seq2[imap.SeqNum, Row] {
	return func(yield func(imap.SeqNum, Row) bool) {
		for n := range seqs.All() {
			if !yield(imap.SeqNum(n), v.rows[n-1]) {
				return
			}
		}
	}
}

func (v *fakeView) UIDs(seqs imap.NumSet) (uids imap.NumSet) {
	for i, r := range v.rows {
		if seqs.Contains(uint32(i + 1)) {
			uids.Add(uint32(r.UID))
		}
	}
	return uids
}

func (v *fakeView) Seqs(uids imap.NumSet) (seqs imap.NumSet) {
	for i, r := range v.rows {
		if uids.Contains(uint32(r.UID)) {
			seqs.Add(uint32(i + 1))
		}
	}
	return seqs
}

func (v *fakeView) Delta(before View) (d Delta) {
	old := before.(*fakeView)
	for i, r := range old.rows {
		if v.Seq(r.UID) == 0 {
			d.Expunged.Add(uint32(i + 1))
		}
	}
	for i, r := range v.rows {
		switch {
		case r.UID >= old.next:
			d.Added++
		case r.ModSeq > old.modSeq:
			d.Changed.Add(uint32(i + 1))
		}
	}
	return d
}

// fakeAuth lets alice in with the password "secret", over TLS or not.
type fakeAuth struct{ mechanisms []string }

func (a fakeAuth) Mechanisms(Peer) []string { return a.mechanisms }

func (a fakeAuth) Begin(context.Context, Peer, string) (sasl.Server, error) {
	return &fakeMechanism{}, nil
}

func (a fakeAuth) Login(_ context.Context, _ Peer, user, password string) (sasl.Identity, error) {
	if password != "secret" {
		return sasl.Identity{}, imap.Refuse(imap.CodeAuthenticationFailed, "Authentication failed")
	}
	return sasl.Identity{User: user, Auth: user}, nil
}

// fakeMechanism wants "secret" and proves itself with "proof".
type fakeMechanism struct{}

func (*fakeMechanism) Next(response []byte) (challenge []byte, done bool, err error) {
	switch string(response) {
	case "":
		return []byte("who?"), false, nil
	case "secret":
		return []byte("proof"), true, nil
	}
	return nil, false, imap.Refuse(imap.CodeAuthenticationFailed, "Authentication failed")
}

func (*fakeMechanism) Identity() sasl.Identity { return sasl.Identity{User: "alice", Auth: "alice"} }
