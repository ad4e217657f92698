package simtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"

	"tidemark/internal/transcript"
)

// actions are the commands that a run may consist of.
func (s *sim) actions() map[string]func(*rapid.T) {
	on := func(f func()) func(*rapid.T) {
		return func(t *rapid.T) {
			s.t = t
			f()
		}
	}
	return map[string]func(*rapid.T){
		"append":    on(s.opAppend),
		"store":     on(s.opStore),
		"store2":    on(s.opStore),
		"unchanged": on(s.opStoreUnchangedSince),
		"fetch":     on(s.opFetch),
		"search":    on(s.opSearch),
		"expunge":   on(s.opExpunge),
		"copy":      on(s.opCopy),
		"select":    on(s.opSelect),
		"leave":     on(s.opLeave),
		"status":    on(s.opStatus),
		"noop":      on(s.opNoop),
		"mailbox":   on(s.opMailbox),
		"idle":      on(s.opIdle),
		"restart":   on(s.opRestart),
		"crash":     on(s.opCrash),
	}
}

func (s *sim) drawFlags() flagSet {
	return flagSet(rapid.IntRange(0, int(allFlags)).Draw(s.t, "flags"))
}

// target is a set of messages as a client means it.
type target struct {
	byUID bool
	set   string   // as it goes into the command
	uids  []uint32 // what the client means by it
	live  []uint32 // those of uids that still exist
}

func (t target) verb(command string) string {
	if t.byUID {
		return "UID " + command
	}
	return command
}

// during is what may come while a command with this target runs: only the UID
// forms may tell of expunged messages (RFC 9051 §7.5.1).
func (t target) during(command string) during {
	return during{command: t.verb(command), mayShrink: t.byUID}
}

// drawTarget draws messages from the client's own picture; ok is false if it
// has none.
func (s *sim) drawTarget(c *session) (t target, ok bool) {
	if len(c.list) == 0 {
		return t, false
	}
	t.byUID = rapid.Bool().Draw(s.t, "uid")
	seqs := rapid.SliceOfNDistinct(rapid.Uint32Range(1, uint32(len(c.list))), 1, 5, rapid.ID[uint32]).Draw(s.t, "messages")
	slices.Sort(seqs)
	for _, seq := range seqs {
		uid := c.list[seq-1].uid
		if uid == 0 {
			s.fatalf("session %d has not learned the UID of message %d", c.id, seq)
		}
		t.uids = append(t.uids, uid)
		if s.box(c).find(uid) >= 0 {
			t.live = append(t.live, uid)
		}
	}
	t.set = formatSet(seqs)
	if t.byUID {
		t.set = formatSet(t.uids)
	}
	return t, true
}

func (s *sim) opAppend() {
	c := s.pick()
	name, flags := s.pickName(c), s.drawFlags()
	m := s.accounts[c.user][name]
	s.bodies++
	_, done := s.run(c, during{command: "APPEND", mayShrink: true},
		fmt.Sprintf("APPEND %s %s %s", name, flags, transcript.LiteralMark), text(s.bodies))
	uid := m.append(flags, s.bodies)
	if !done.CodeIs("APPENDUID") || len(done.Code) != 3 || done.Code[2].Text != strconv.Itoa(int(uid)) {
		s.fatalf("expected APPENDUID with %d: %s", uid, done.Raw)
	}
	s.sameValidity(m, done.Code[1].Text)
	s.afterwards(c)
}

func (s *sim) sameValidity(m *mailbox, text string) {
	v, err := number(text)
	s.check(err)
	if m.validity != 0 && m.validity != v {
		s.fatalf("UIDVALIDITY was %d and is %d", m.validity, v)
	}
	m.validity = v
}

func (s *sim) opStore() {
	c := s.pickSelected()
	t, ok := s.drawTarget(c)
	if !ok {
		return
	}
	op := rapid.SampledFrom([]storeOp{storeAdd, storeRemove, storeReplace}).Draw(s.t, "op")
	flags := s.drawFlags()
	silent := rapid.Bool().Draw(s.t, "silent")
	item := string(op)
	if silent {
		item += ".SILENT"
	}
	s.run(c, t.during("STORE"), fmt.Sprintf("%s %s %s %s", t.verb("STORE"), t.set, item, flags))
	if c.readOnly {
		s.afterwards(c) // refused or ignored, and nothing changes
		return
	}
	s.box(c).store(t.live, op, flags)
	s.stored(c, t, silent, func(k known) flagSet { return op.apply(k.flags, flags) })
	if s.early && rapid.Bool().Draw(s.t, "again") {
		s.run(c, t.during("STORE"), fmt.Sprintf("%s %s +FLAGS %s", t.verb("STORE"), t.set, flags))
		s.box(c).store(t.live, storeAdd, flags)
		s.stored(c, t, false, nil)
	}
	s.settle(c)
	s.afterwards(c)
}

// stored: after a silent STORE the client works the new flags out by itself,
// after another one it must have been told.
func (s *sim) stored(c *session, t target, silent bool, work func(known) flagSet) {
	m := s.box(c)
	for i := range c.list {
		k := &c.list[i]
		if !slices.Contains(t.live, k.uid) {
			continue
		}
		if silent {
			k.flags = work(*k)
		} else if truth := m.messages[m.find(k.uid)].flags; k.flags != truth {
			s.fatalf("STORE did not tell the flags of UID %d: client %v, truth %v", k.uid, k.flags, truth)
		}
	}
}

// opStoreUnchangedSince stores with a MODSEQ between those of the messages
// (RFC 7162 §3.1.3).
func (s *sim) opStoreUnchangedSince() {
	c := s.pickSelected()
	t, ok := s.drawTarget(c)
	if !ok || len(t.live) < len(t.uids) || c.readOnly {
		return
	}
	modseqs := map[uint32]uint64{}
	for _, r := range s.succeed(c, during{command: "UID FETCH", mayShrink: true}, "UID FETCH "+formatSet(t.uids)+" (UID MODSEQ)") {
		if f, err := fetchItems(r); r.Name() == "FETCH" && err == nil && f.modseq != 0 {
			modseqs[f.uid] = f.modseq
		}
	}
	since := modseqs[rapid.SampledFrom(t.uids).Draw(s.t, "since")]
	flags := s.drawFlags()
	var fail, pass []uint32
	for _, uid := range t.uids {
		if modseqs[uid] > since {
			fail = append(fail, uid)
		} else {
			pass = append(pass, uid)
		}
	}
	_, done := s.run(c, during{command: "UID STORE", mayShrink: true},
		fmt.Sprintf("UID STORE %s (UNCHANGEDSINCE %d) +FLAGS %s", formatSet(t.uids), since, flags))
	var modified []uint32
	if done.CodeIs("MODIFIED") {
		var err error
		modified, err = parseSet(done.Code[1].Text)
		s.check(err)
	}
	if !slices.Equal(modified, fail) {
		s.fatalf("MODIFIED %v, expected %v: %s", modified, fail, done.Raw)
	}
	s.box(c).store(pass, storeAdd, flags)
	s.afterwards(c)
}

func (s *sim) opFetch() {
	c := s.pickSelected()
	t, ok := s.drawTarget(c)
	if !ok {
		return
	}
	item := rapid.SampledFrom([]string{"FLAGS", "BODY.PEEK[]", "BODY[]", "MODSEQ"}).Draw(s.t, "item")
	m := s.box(c)
	d := t.during("FETCH")
	if item == "BODY[]" && !c.readOnly {
		m.store(t.live, storeAdd, flagSeen)
	}
	got := map[uint32]bool{}
	untagged, _ := s.run(c, d, fmt.Sprintf("%s %s (UID %s)", t.verb("FETCH"), t.set, item))
	for _, r := range untagged {
		if r.Name() != "FETCH" {
			continue
		}
		f, err := fetchItems(r)
		s.check(err)
		if i := m.find(f.uid); i >= 0 && f.hasBody && f.body != text(m.messages[i].body) {
			s.fatalf("wrong content of UID %d: %q", f.uid, f.body)
		}
		if f.hasBody || f.hasFlags && item == "FLAGS" || f.modseq != 0 && item == "MODSEQ" {
			got[f.uid] = true
		}
	}
	for _, uid := range t.live {
		if !got[uid] {
			s.fatalf("FETCH left out UID %d", uid)
		}
	}
	for _, k := range c.list {
		if i := m.find(k.uid); got[k.uid] && item == "FLAGS" && i >= 0 && k.flags != m.messages[i].flags {
			s.fatalf("FETCH: UID %d has flags %v, not %v", k.uid, m.messages[i].flags, k.flags)
		}
	}
	s.settle(c)
	s.afterwards(c)
}

// drawKey draws a search condition of bounded depth.
func (s *sim) drawKey(c *session, depth int) searchKey {
	kinds := []string{"flag", "uid", "body", "all"}
	if depth > 0 {
		kinds = append(kinds, "not", "or", "and")
	}
	switch rapid.SampledFrom(kinds).Draw(s.t, "key") {
	case "flag":
		i := rapid.IntRange(0, len(flagNames)-1).Draw(s.t, "flag")
		wire := "KEYWORD " + flagNames[i]
		if name, ok := strings.CutPrefix(flagNames[i], `\`); ok {
			wire = strings.ToUpper(name)
		}
		return searchKey{wire, func(m message) bool { return m.flags&(1<<i) != 0 }}
	case "uid":
		from := rapid.Uint32Range(1, 20).Draw(s.t, "from")
		to := from + rapid.Uint32Range(0, 5).Draw(s.t, "more")
		return searchKey{fmt.Sprintf("UID %d:%d", from, to), func(m message) bool { return m.uid >= from && m.uid <= to }}
	case "body":
		n := rapid.IntRange(1, max(1, s.bodies)).Draw(s.t, "body")
		want := fmt.Sprintf("message %d", n)
		return searchKey{fmt.Sprintf("SUBJECT %q", want), func(m message) bool {
			return strings.Contains(fmt.Sprintf("message %d", m.body), want)
		}}
	case "not":
		return s.drawKey(c, depth-1).not()
	case "or":
		return s.drawKey(c, depth-1).or(s.drawKey(c, depth-1))
	case "and":
		return s.drawKey(c, depth-1).and(s.drawKey(c, depth-1))
	}
	return searchKey{"ALL", func(message) bool { return true }}
}

func (s *sim) opSearch() {
	c := s.pickSelected()
	key := s.drawKey(c, 2)
	byUID := rapid.Bool().Draw(s.t, "uid")
	verb := "SEARCH"
	if byUID {
		verb = "UID SEARCH"
	}
	// Positions mean what they meant when the command was sent.
	before := slices.Clone(c.list)
	var found []uint32
	for _, r := range s.succeed(c, during{command: verb, mayShrink: byUID}, verb+" "+key.wire) {
		if r.Name() != "SEARCH" {
			continue
		}
		for _, n := range r.Data[1:] {
			v, err := number(n.Text)
			s.check(err)
			if !byUID {
				if v == 0 || int(v) > len(c.list) {
					s.fatalf("SEARCH found message %d of %d", v, len(c.list))
				}
				if int(v) > len(before) {
					continue // arrived during the command, UID not known yet
				}
				v = before[v-1].uid
			}
			found = append(found, v)
		}
	}
	m := s.box(c)
	for _, k := range before {
		i := m.find(k.uid)
		if i < 0 {
			continue // may or may not be found: it is gone, and this client does not know
		}
		if want := key.match(m.messages[i]); want != slices.Contains(found, k.uid) {
			s.fatalf("%s %s: UID %d found: %v, expected %v", verb, key.wire, k.uid, !want, want)
		}
	}
	s.afterwards(c)
}

func (s *sim) opExpunge() {
	c := s.pickSelected()
	if c.readOnly {
		return
	}
	command, d := "EXPUNGE", during{command: "EXPUNGE", mayShrink: true}
	var uids []uint32
	if t, ok := s.drawTarget(c); ok && rapid.Bool().Draw(s.t, "some") {
		command, uids = "UID EXPUNGE "+formatSet(t.uids), t.uids
	}
	s.succeed(c, d, command)
	m := s.box(c)
	m.expunge(uids)
	for _, k := range c.list {
		if k.uid != 0 && m.find(k.uid) < 0 {
			s.fatalf("%s did not tell that UID %d is gone", command, k.uid)
		}
	}
	s.afterwards(c)
}

func (s *sim) opCopy() {
	c := s.pickSelected()
	t, ok := s.drawTarget(c)
	name := s.pickName(c)
	move := rapid.Bool().Draw(s.t, "move")
	if !ok || c.readOnly && move || move && name == c.name {
		return
	}
	command := "COPY"
	if move {
		command = "MOVE"
	}
	m, to := s.box(c), s.accounts[c.user][name]
	untagged, done := s.run(c, during{command: command, mayShrink: true}, fmt.Sprintf("%s %s %s", t.verb(command), t.set, name))
	if done.Status == "NO" && len(t.live) < len(t.uids) {
		s.afterwards(c) // messages that are gone may fail the whole (RFC 2180 §4.4)
		return
	}
	source, dest := m.copy(t.live, to, move)
	code := done.Code
	for _, r := range untagged {
		if r.CodeIs("COPYUID") {
			code = r.Code
		}
	}
	switch {
	case done.Status != "OK":
		s.fatalf("%s: %s", command, done.Raw)
	case len(source) == 0:
	case len(code) != 4 || code[2].Text != formatSet(source) || code[3].Text != formatSet(dest):
		s.fatalf("expected COPYUID %s %s: %s", formatSet(source), formatSet(dest), done.Raw)
	default:
		s.sameValidity(to, code[1].Text)
	}
	s.afterwards(c)
}

func (s *sim) opStatus() {
	c := s.pick()
	name := s.pickName(c)
	if name == c.name {
		return // clients should not (RFC 9051 §6.3.11), and then get what the session knows
	}
	m := s.accounts[c.user][name]
	untagged := s.succeed(c, during{command: "STATUS", mayShrink: true},
		"STATUS "+name+" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)")
	for _, r := range untagged {
		if r.Name() == "STATUS" {
			s.checkStatus(m, r)
		}
	}
	s.afterwards(c)
}

func (s *sim) checkStatus(m *mailbox, r transcript.Response) {
	kids := r.Data[2].Kids
	for i := 0; i+1 < len(kids); i += 2 {
		value := kids[i+1].Text
		var want int
		switch strings.ToUpper(kids[i].Text) {
		case "MESSAGES":
			want = len(m.messages)
		case "UNSEEN":
			want = m.count(0, flagSeen)
		case "UIDNEXT":
			want = int(m.next)
		case "UIDVALIDITY":
			s.sameValidity(m, value)
			continue
		case "HIGHESTMODSEQ":
			s.notBack(m, value)
			continue
		}
		if value != strconv.Itoa(want) {
			s.fatalf("%s is not %d: %s", kids[i].Text, want, r.Raw)
		}
	}
}

func (s *sim) notBack(m *mailbox, text string) {
	h, err := strconv.ParseUint(text, 10, 63)
	s.check(err)
	if h < m.highest {
		s.fatalf("HIGHESTMODSEQ goes back from %d to %d", m.highest, h)
	}
	m.highest = h
}

// opNoop: after NOOP a client knows all (RFC 9051 §6.1.2).
func (s *sim) opNoop() {
	c := s.pickSelected()
	s.sync(c)
	s.afterwards(c)
}

func (s *sim) sync(c *session) {
	s.succeed(c, during{command: "NOOP", mayShrink: true}, "NOOP")
	if diff := c.differs(s.box(c)); diff != "" {
		s.fatalf("session %d on %s after NOOP: %s", c.id, c.name, diff)
	}
}

// opMailbox creates, deletes and renames.
func (s *sim) opMailbox() {
	c := s.pick()
	a := s.accounts[c.user]
	d := during{command: "CREATE", mayShrink: true}
	name := rapid.SampledFrom([]string{"A", "B", "A/C", "D"}).Draw(s.t, "name")
	switch rapid.SampledFrom([]string{"create", "delete", "rename"}).Draw(s.t, "what") {
	case "create":
		if name == "A/C" && a["A"] == nil {
			return // what becomes of the parent is in the transcripts
		}
		_, done := s.run(c, d, "CREATE "+name)
		if (done.Status == "OK") != (a[name] == nil) {
			s.fatalf("CREATE %s: %s", name, done.Raw)
		}
		if a[name] == nil {
			a[name] = newMailbox()
		}
	case "delete":
		if s.inUse(c.user, name) || name == "A" && a["A/C"] != nil {
			return
		}
		_, done := s.run(c, d, "DELETE "+name)
		if (done.Status == "OK") != (a[name] != nil) {
			s.fatalf("DELETE %s: %s", name, done.Raw)
		}
		delete(a, name)
		s.forget(c.user, name)
	case "rename":
		s.rename(c, s.pickName(c), name)
	}
	s.afterwards(c)
}

func (s *sim) rename(c *session, from, to string) {
	a := s.accounts[c.user]
	parent, _, nested := strings.Cut(to, "/")
	if a[to] != nil || strings.HasPrefix(to, from+"/") || s.inUse(c.user, from) || nested && a[parent] == nil {
		return
	}
	for _, name := range a.names() {
		if strings.HasPrefix(name, from+"/") && (s.inUse(c.user, name) || strings.Contains(to, "/") ||
			from != "INBOX" && a[to+name[len(from):]] != nil) {
			return
		}
	}
	s.succeed(c, during{command: "RENAME", mayShrink: true}, "RENAME "+from+" "+to)
	a.rename(from, to)
	s.forget(c.user, from)
}

func (s *sim) inUse(user, name string) bool {
	return slices.ContainsFunc(s.sessions, func(c *session) bool { return c.conn != nil && c.user == user && c.name == name })
}

// forget drops what clients keep of mailboxes whose name means another now.
func (s *sim) forget(user, name string) {
	for _, c := range s.sessions {
		for n := range c.cache {
			if c.user == user && (n == name || strings.HasPrefix(n, name+"/")) {
				delete(c.cache, n)
			}
		}
	}
}
