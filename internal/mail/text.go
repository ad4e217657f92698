package mail

import (
	"crypto/sha256"
	"encoding/binary"

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

// textCursor reads text records.
type textCursor struct {
	*recordCursor
	rec textRecord
}

func newTextCursor(r store.Reader) *textCursor {
	return &textCursor{recordCursor: newRecordCursor(r, kindText)}
}

// text returns the record of an email, valid until the next call.
func (c *textCursor) text(e emailID) (*textRecord, error) {
	b, err := c.at(e)
	if err != nil {
		return nil, err
	}
	return &c.rec, decodeTextRecord(b, &c.rec)
}
