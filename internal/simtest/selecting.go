package simtest

import (
	"fmt"
	"slices"
	"strconv"

	"pgregory.net/rapid"

	"tidemark/internal/transcript"
)

func (s *sim) opSelect() {
	c := s.pick()
	s.leave(c)
	s.selectMailbox(c, s.pickName(c), rapid.IntRange(0, 3).Draw(s.t, "examine") == 0)
	s.afterwards(c)
}

// opLeave ends the use of a mailbox. CLOSE expunges, UNSELECT does not.
func (s *sim) opLeave() {
	c := s.pickSelected()
	if rapid.Bool().Draw(s.t, "close") {
		m, readOnly := s.box(c), c.readOnly
		s.succeed(c, during{command: "CLOSE", mayShrink: true}, "CLOSE")
		c.name, c.list = "", nil
		if !readOnly {
			m.expunge(nil)
		}
	} else {
		s.leave(c)
	}
	s.afterwards(c)
}

// leave keeps what the client knows on its disk and unselects.
func (s *sim) leave(c *session) {
	if c.name == "" {
		return
	}
	if c.qresync {
		s.sync(c)
		s.learn(c)
		for _, r := range s.succeed(c, during{command: "STATUS", mayShrink: true}, "STATUS "+c.name+" (UIDVALIDITY HIGHESTMODSEQ)") {
			if r.Name() != "STATUS" {
				continue
			}
			m := s.box(c)
			s.checkStatus(m, r)
			c.cache[c.name] = cached{m.validity, m.highest, slices.Clone(c.list)}
		}
	}
	s.succeed(c, during{command: "UNSELECT", mayShrink: true}, "UNSELECT")
	c.name, c.list = "", nil
}

// selectMailbox selects and compares all that SELECT says with the model. A
// client that knows the mailbox resynchronises (RFC 7162 §3.2.5).
func (s *sim) selectMailbox(c *session, name string, readOnly bool) {
	verb := "SELECT"
	if readOnly {
		verb = "EXAMINE"
	}
	m := s.accounts[c.user][name]
	text := verb + " " + name
	old, resync := c.cache[name]
	resync = resync && c.qresync
	if resync {
		text += fmt.Sprintf(" (QRESYNC (%d %d))", old.validity, old.modseq)
	}
	c.name, c.readOnly, c.list = name, readOnly, nil
	untagged := s.succeed(c, during{command: verb, selecting: true}, text)
	for _, r := range untagged {
		s.checkSelect(m, r)
	}
	if len(c.list) != len(m.messages) {
		s.fatalf("%s: %d messages, expected %d", text, len(c.list), len(m.messages))
	}
	if resync {
		s.resync(c, old, untagged)
	}
	if len(c.list) > 0 {
		s.succeed(c, during{command: "FETCH"}, "FETCH 1:* (UID FLAGS MODSEQ)")
	}
	if diff := c.differs(m); diff != "" {
		s.fatalf("%s: %s", text, diff)
	}
	for i, k := range c.list {
		if k.uid == 0 || !k.hasFlags || k.modseq == 0 || k.modseq > m.highest {
			s.fatalf("%s: message %d is %+v, HIGHESTMODSEQ %d", text, i+1, k, m.highest)
		}
	}
}

func (s *sim) checkSelect(m *mailbox, r transcript.Response) {
	switch {
	case r.CodeIs("UIDVALIDITY"):
		s.sameValidity(m, r.Code[1].Text)
	case r.CodeIs("HIGHESTMODSEQ"):
		s.notBack(m, r.Code[1].Text)
	case r.CodeIs("UIDNEXT"):
		if r.Code[1].Text != strconv.Itoa(int(m.next)) {
			s.fatalf("UIDNEXT is not %d: %s", m.next, r.Raw)
		}
	case r.CodeIs("UNSEEN"):
		i := slices.IndexFunc(m.messages, func(msg message) bool { return msg.flags&flagSeen == 0 })
		if r.Code[1].Text != strconv.Itoa(i+1) {
			s.fatalf("UNSEEN is not %d: %s", i+1, r.Raw)
		}
	}
}

// resync brings the old picture up to date by the answer to SELECT (QRESYNC)
// alone and compares it with the truth.
func (s *sim) resync(c *session, old cached, untagged []transcript.Response) {
	list := slices.Clone(old.list)
	for _, r := range untagged {
		switch r.Name() {
		case "VANISHED":
			uids, err := parseSet(r.Data[len(r.Data)-1].Text)
			s.check(err)
			list = slices.DeleteFunc(list, func(k known) bool { return slices.Contains(uids, k.uid) })
		case "FETCH":
			f, err := fetchItems(r)
			s.check(err)
			if i := slices.IndexFunc(list, func(k known) bool { return k.uid == f.uid }); i >= 0 {
				list[i] = f.known
			} else {
				list = append(list, f.known)
			}
		}
	}
	slices.SortFunc(list, func(a, b known) int { return int(a.uid) - int(b.uid) })
	picture := &session{list: list}
	if diff := picture.differs(s.box(c)); diff != "" {
		s.fatalf("after QRESYNC since %d: %s", old.modseq, diff)
	}
}
