package mail

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"tidemark/imap"
	"tidemark/internal/store"
	"tidemark/message"
)

// textRecord is what SEARCH, SORT and THREAD ask of a message beyond the columns of the view:
// one text for each textColumn. It is small and stands apart from the emailRecord, so that going
// through a mailbox reads little. Texts are decoded and folded for comparison (message.Fold).
// Decoding does not copy them.
type textRecord [textColumns][]byte

// textColumn numbers the texts of a message: first textFields, then sortTexts, then
// threadColumn.
type textColumn uint8

const (
	// threadColumn is not text: an octet that says whether the subject is that of a reply, then the
	// threadID of the message and those of its references, 8 octets each.
	threadColumn = textColumn(len(textFields) + len(sortTexts))
	textColumns  = threadColumn + 1
)

// textFields are the header fields kept for SEARCH.
var textFields = [...]string{"Subject", "From", "To", "Cc", "Bcc", "Message-ID"}

// sortTexts are the texts kept for SORT (RFC 5256 §3, RFC 5957 §3), Subject being the base
// subject.
var sortTexts = [...]imap.SortField{
	imap.SortSubject, imap.SortFrom, imap.SortTo, imap.SortCc, imap.SortDisplayFrom, imap.SortDisplayTo,
}

// sortColumn is the column of the text at i in sortTexts.
func sortColumn(i int) textColumn { return textColumn(len(textFields) + i) }

// subjectColumn has the base subjects.
var subjectColumn = sortColumn(0)

const textVersion = 2

func (t *textRecord) encode() []byte {
	b := []byte{textVersion}
	for _, f := range t {
		b = appendField(b, f)
	}
	return b
}

func decodeTextRecord(b []byte, t *textRecord) error {
	r := newReader(b, textVersion, "text")
	for i := range t {
		t[i] = r.bytes()
	}
	if err := r.done(); err != nil {
		return err
	}
	if len(t[threadColumn])%8 != 1 {
		return fmt.Errorf("%w: text: thread ids of %d octets", store.ErrCorrupt, len(t[threadColumn]))
	}
	return nil
}

// textOf works out what SEARCH, SORT and THREAD will ask for.
func textOf(s *message.Scanned) *textRecord {
	t := new(textRecord)
	for i, name := range textFields {
		t[i] = message.AppendFolded(nil, s.Header, name)
	}
	for i, field := range sortTexts {
		t[sortColumn(i)] = message.Fold(nil, sortText(s, field))
	}
	thread := append(make([]byte, 0, 9+8*len(s.References)), boolByte(s.IsReply))
	thread = binary.BigEndian.AppendUint64(thread, threadID(s.MessageID))
	for _, id := range s.References {
		thread = binary.BigEndian.AppendUint64(thread, threadID(id))
	}
	t[threadColumn] = thread
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
	of  emailID // whose record rec is; 0 for nobody's
}

func newTextCursor(r store.Reader) *textCursor {
	return &textCursor{recordCursor: newRecordCursor(r, kindText)}
}

// text returns the record of an email. Its texts are valid as long as what the reader
// returns, the record itself until the next call.
func (c *textCursor) text(e emailID) (*textRecord, error) {
	if c.of == e && e != 0 {
		return &c.rec, nil
	}
	c.of = 0
	b, err := c.at(e)
	if err == nil {
		err = decodeTextRecord(b, &c.rec)
	}
	if err != nil {
		return nil, err
	}
	c.of = e
	return &c.rec, nil
}
