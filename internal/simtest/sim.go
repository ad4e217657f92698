package simtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"tidemark/internal/testbed"
	"tidemark/internal/transcript"
)

// patience bounds each answer and each push.
const patience = testbed.Patience

// server is what is tested. It must come back from both with everything that
// was acknowledged.
type server interface {
	Target() transcript.Target
	Restart() // stops in good order and starts again
	Crash()   // loses what was not synced and starts again
	Check()   // looks for damage
}

// sim is one run: some sessions on two accounts, one command at a time, so that
// the model knows after each command what is true.
type sim struct {
	t        *rapid.T
	server   server
	accounts map[string]account
	sessions []*session
	early    bool // the server answers changes of flags early
	bodies   int
	log      strings.Builder
}

func newSim(t *rapid.T, srv server, users [2]string) *sim {
	s := &sim{t: t, server: srv, accounts: map[string]account{}}
	for _, u := range users {
		s.accounts[u] = account{"INBOX": newMailbox()}
	}
	for i, u := range []string{users[0], users[0], users[0], users[1]} {
		s.sessions = append(s.sessions, &session{id: i, user: u, qresync: i%2 == 1, cache: map[string]cached{}})
	}
	return s
}

func (s *sim) close() {
	for _, c := range s.sessions {
		if c.conn != nil {
			c.conn.Close() // the server may have gone before
			c.conn = nil
		}
	}
}

func (s *sim) fatalf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\nThe dialogue:\n%s", fmt.Sprintf(format, args...), s.log.String())
}

func (s *sim) check(err error) {
	s.t.Helper()
	if err != nil {
		s.fatalf("%v", err)
	}
}

// box returns the model of the mailbox that c has selected.
func (s *sim) box(c *session) *mailbox { return s.accounts[c.user][c.name] }

// pick draws one of the sessions, connected and not idle.
func (s *sim) pick() *session {
	c := s.sessions[rapid.IntRange(0, len(s.sessions)-1).Draw(s.t, "session")]
	s.connect(c)
	s.endIdle(c)
	return c
}

// pickSelected is pick with a mailbox selected.
func (s *sim) pickSelected() *session {
	c := s.pick()
	if c.name == "" {
		s.selectMailbox(c, "INBOX", false)
	}
	return c
}

func (s *sim) pickName(c *session) string {
	return rapid.SampledFrom(s.accounts[c.user].names()).Draw(s.t, "mailbox")
}

func (s *sim) connect(c *session) {
	if c.conn != nil {
		return
	}
	target := s.server.Target()
	conn, err := transcript.Dial(context.Background(), target, false, patience)
	s.check(err)
	c.conn, c.name, c.list, c.idle = conn, "", nil, false
	_, err = conn.Read()
	s.check(err)
	name, password := target.Login(c.user)
	s.succeed(c, during{command: "LOGIN"}, fmt.Sprintf("LOGIN %q %q", name, password))
	if c.qresync {
		s.succeed(c, during{command: "ENABLE"}, "ENABLE QRESYNC")
	}
}

// run does a command and lets the client hear the untagged responses.
func (s *sim) run(c *session, d during, text string, literals ...string) ([]transcript.Response, transcript.Response) {
	s.t.Helper()
	fmt.Fprintf(&s.log, "C%d: %s\n", c.id, text)
	untagged, done, err := c.conn.Command(text, literals...)
	for _, r := range untagged {
		fmt.Fprintf(&s.log, "S%d: %.200s\n", c.id, r.Raw)
		s.check(c.hear(r, d))
		s.learnModSeq(c, r)
	}
	s.check(err)
	fmt.Fprintf(&s.log, "S%d: %.200s\n", c.id, done.Raw)
	if done.Status == "BAD" || done.CodeIs("SERVERBUG") {
		s.fatalf("%q got %q", text, done.Raw)
	}
	return untagged, done
}

// learnModSeq keeps the highest MODSEQ that anybody has heard of.
func (s *sim) learnModSeq(c *session, r transcript.Response) {
	if r.Name() != "FETCH" || c.name == "" {
		return
	}
	if f, err := fetchItems(r); err == nil {
		m := s.box(c)
		m.highest = max(m.highest, f.modseq)
	}
}

func (s *sim) succeed(c *session, d during, text string, literals ...string) []transcript.Response {
	s.t.Helper()
	untagged, done := s.run(c, d, text, literals...)
	if done.Status != "OK" {
		s.fatalf("%q got %q", text, done.Raw)
	}
	return untagged
}

// learn asks for what a client does not know of its messages, as real clients
// do after EXISTS.
func (s *sim) learn(c *session) {
	var unknown []uint32
	for i, k := range c.list {
		if k.uid == 0 || !k.hasFlags {
			unknown = append(unknown, uint32(i+1))
		}
	}
	if len(unknown) == 0 {
		return
	}
	s.succeed(c, during{command: "FETCH"}, "FETCH "+formatSet(unknown)+" (UID FLAGS)")
}

// afterwards is done after each command: the client learns, and those that wait
// in IDLE get what is theirs.
func (s *sim) afterwards(c *session) {
	s.learn(c)
	for _, w := range s.sessions {
		if w.idle && w.conn != nil {
			s.awaitPush(w)
		}
	}
}

// settle has a session wait until the flags it has changed are durable, and others are
// told of them.
func (s *sim) settle(c *session) {
	if s.early {
		s.sync(c)
	}
}

// awaitPush reads until the idle client's picture is true.
func (s *sim) awaitPush(c *session) {
	m := s.box(c)
	for deadline := time.Now().Add(patience); c.differs(m) != ""; {
		r, err := c.conn.ReadUntil(deadline)
		if err != nil {
			s.fatalf("session %d idle on %s: %s: %v", c.id, c.name, c.differs(m), err)
		}
		fmt.Fprintf(&s.log, "S%d: %.200s\n", c.id, r.Raw)
		s.check(c.hear(r, during{command: "IDLE", mayShrink: true}))
		s.learnModSeq(c, r)
	}
}

func (s *sim) endIdle(c *session) {
	if !c.idle {
		return
	}
	c.idle = false
	fmt.Fprintf(&s.log, "C%d: DONE\n", c.id)
	_, err := c.conn.Write([]byte("DONE\r\n"))
	s.check(err)
	for {
		r, err := c.conn.Read()
		s.check(err)
		fmt.Fprintf(&s.log, "S%d: %.200s\n", c.id, r.Raw)
		if r.Tag == c.idleTag {
			break
		}
		s.check(c.hear(r, during{command: "IDLE", mayShrink: true}))
		s.learnModSeq(c, r)
	}
	s.learn(c)
}

// opIdle begins IDLE; what others do from now on has to be pushed.
func (s *sim) opIdle() {
	c := s.pickSelected()
	c.idle, c.idleTag = true, fmt.Sprintf("idle%d", s.log.Len())
	fmt.Fprintf(&s.log, "C%d: IDLE\n", c.id)
	_, err := fmt.Fprintf(c.conn, "%s IDLE\r\n", c.idleTag)
	s.check(err)
	for {
		r, err := c.conn.Read()
		s.check(err)
		fmt.Fprintf(&s.log, "S%d: %.200s\n", c.id, r.Raw)
		if r.Tag == "+" {
			break
		}
		s.check(c.hear(r, during{command: "IDLE", mayShrink: true}))
	}
	s.awaitPush(c)
}

// opRestart and opCrash end all connections; all that was answered OK is there
// afterwards, once.
func (s *sim) opRestart() {
	s.log.WriteString("--- restart\n")
	s.close()
	s.server.Restart()
	s.verifyAll()
}

func (s *sim) opCrash() {
	s.log.WriteString("--- crash\n")
	s.close()
	s.server.Crash()
	s.verifyAll()
}

// verifyAll looks at every mailbox with fresh eyes.
func (s *sim) verifyAll() {
	for _, c := range []*session{s.sessions[0], s.sessions[3]} {
		s.connect(c)
		s.endIdle(c)
		var listed []string
		for _, r := range s.succeed(c, during{command: "LIST", mayShrink: true}, `LIST "" *`) {
			if r.Name() == "LIST" && !slices.ContainsFunc(r.Data[1].Kids, func(n transcript.Node) bool {
				return n.Is(`\Noselect`) || n.Is(`\NonExistent`)
			}) {
				listed = append(listed, r.Data[3].Text)
			}
		}
		slices.Sort(listed)
		if want := s.accounts[c.user].names(); !slices.Equal(listed, want) {
			s.fatalf("%s has mailboxes %q, expected %q", c.user, listed, want)
		}
		for _, name := range listed {
			s.selectMailbox(c, name, true)
			s.verifyBodies(c)
		}
		s.afterwards(c)
	}
}

// verifyBodies compares the content of every message.
func (s *sim) verifyBodies(c *session) {
	if len(c.list) == 0 {
		return
	}
	m := s.box(c)
	seen := 0
	for _, r := range s.succeed(c, during{command: "FETCH"}, "FETCH 1:* (UID BODY.PEEK[])") {
		if r.Name() != "FETCH" {
			continue
		}
		f, err := fetchItems(r)
		s.check(err)
		i := m.find(f.uid)
		if i < 0 || f.body != text(m.messages[i].body) {
			s.fatalf("content of UID %d is wrong: %q", f.uid, f.body)
		}
		seen++
	}
	if seen != len(m.messages) {
		s.fatalf("%d of %d messages answered", seen, len(m.messages))
	}
}
