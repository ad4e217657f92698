package mail

import (
	"bytes"
	"errors"

	"tidemark/internal/store"
)

// texts checks that the text columns of a mailbox are all there, and that of each message of
// v they have what its textRecord has.
func (c *checker) texts(r store.Reader, id mailboxID, v *view) error {
	t, err := newTextReader(r, id)
	if err != nil {
		return err
	}
	defer t.close()
	var last uint32
	for _, block := range t.blocks {
		if block.first <= last {
			c.problemf("mailbox %d: text columns from UID %d overlap", id, block.first)
		}
		last = block.last
		for k := range textColumns {
			c.textColumn(r, id, k, block)
		}
	}
	for _, ch := range v.chunks {
		for i, uid := range ch.uid {
			if err := c.messageTexts(t, uid, emailID(ch.email[i])); err != nil {
				c.problemf("mailbox %d: texts of UID %d: %v", id, uid, err)
			}
		}
	}
	return nil
}

// textColumn checks that a column has the messages that its block says.
func (c *checker) textColumn(r store.Reader, id mailboxID, k textColumn, block textBlock) {
	b, err := r.Get(columnKey(id, k, block.first))
	var column columnCursor
	if err == nil {
		column, err = newColumnCursor(block, b)
	}
	n := uint32(0)
	for err == nil && column.next() {
		n++
	}
	if err == nil {
		err = column.texts.done()
	}
	if err != nil || n != block.messages {
		c.problemf("mailbox %d: text column %d from UID %d has %d of %d messages: %v", id, k, block.first, n, block.messages, err)
	}
}

func (c *checker) messageTexts(t *textReader, uid uint32, email emailID) error {
	rec, err := t.single.text(email)
	if err != nil {
		return nil // which is said of the email
	}
	for k, want := range rec {
		text, err := t.text(textColumn(k), uid, email)
		if err != nil {
			return err
		}
		if !bytes.Equal(text, want) {
			return errors.New("a column differs from the text record")
		}
	}
	return nil
}
