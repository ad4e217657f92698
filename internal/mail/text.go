package mail

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"tidemark/imap"
	"tidemark/internal/store"
	"tidemark/message"
)

// textOf works out what SEARCH, SORT and THREAD will ask for.
func textOf(s *message.Scanned) *textRecord {
	t := &textRecord{IsReply: s.IsReply}
	for i, name := range textFields {
		t.Fields[i] = message.AppendFolded(nil, s.Header, name)
	}
	for i, field := range sortTexts {
		t.Sort[i] = message.Fold(nil, sortText(s, field))
	}
	t.IDs = binary.BigEndian.AppendUint64(nil, threadID(s.MessageID))
	for _, id := range s.References {
		t.IDs = binary.BigEndian.AppendUint64(t.IDs, threadID(id))
	}
	return t
}

func sortText(s *message.Scanned, field imap.SortField) string {
	switch field {
	case imap.SortSubject:
		return s.BaseSubject
	case imap.SortFrom:
		return s.FromMailbox
	case imap.SortTo:
		return s.ToMailbox
	case imap.SortCc:
		return s.CcMailbox
	case imap.SortDisplayFrom:
		return s.DisplayFrom
	}
	return s.DisplayTo
}

// threadID stands for a Message-ID, 0 for none. It has 64 bits of a SHA-256: two ids of
// one mailbox that meet by chance are not to be expected, and nobody but the owner of the
// mailbox would see two threads joined by intent.
func threadID(messageID string) uint64 {
	if messageID == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(messageID))
	return binary.BigEndian.Uint64(sum[:])
}

// textCursor reads text records. Asked for ascending emails that stand close
// together, as those of a mailbox mostly do, it goes along instead of searching.
type textCursor struct {
	r    store.Reader
	it   store.Iterator
	here emailID // the email that it stands at; 0 if it is nil
	rec  textRecord
}

// cursorReach is how many records the cursor steps over before it is cheaper to look
// for the next one.
const cursorReach = 16

func (c *textCursor) close() {
	if c.it != nil {
		c.it.Close()
		c.it, c.here = nil, 0
	}
}

// at returns the record of an email, valid until the next call.
func (c *textCursor) at(e emailID) (*textRecord, error) {
	if c.it == nil || e < c.here || e > c.here+cursorReach {
		c.close()
		_, end := kindRange(kindText)
		c.it = c.r.Scan(textKey(e), end, false)
		if !c.next() {
			return nil, c.missing()
		}
	}
	for c.here < e {
		if !c.next() {
			return nil, c.missing()
		}
	}
	if c.here != e {
		return nil, store.ErrNotFound
	}
	b, err := c.it.Value()
	if err != nil {
		return nil, err
	}
	return &c.rec, decodeTextRecord(b, &c.rec)
}

func (c *textCursor) next() bool {
	if !c.it.Next() {
		return false
	}
	c.here = emailID(lastNumber8(c.it.Key()))
	return true
}

// missing tells the end of the records from a failure.
func (c *textCursor) missing() error {
	err := c.it.Close()
	c.it, c.here = nil, 0
	return errors.Join(store.ErrNotFound, err)
}
