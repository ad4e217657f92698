package mail

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"tidemark/imap"
	"tidemark/internal/store"
)

// The texts of a mailbox's messages are kept a second time as columns, in the order of the
// UIDs: a SEARCH for a subject reads the subjects and nothing else. A message in a mailbox
// never changes, so that a column is right for as long as any of its messages is there. The
// keeper writes the columns of a run of messages at a time, a block. What is in no block has
// its textRecord.

// textBlock is a run of messages that have columns.
type textBlock struct {
	first, last uint32 // UIDs
	messages    uint32 // when it was written
}

// textBlocks are those of a mailbox, ascending and apart from each other.
type textBlocks []textBlock

const (
	textBlocksVersion = 1
	columnVersion     = 1
)

func (t textBlocks) encode() []byte {
	b := binary.AppendUvarint([]byte{textBlocksVersion}, uint64(len(t)))
	var last uint32
	for _, block := range t {
		b = binary.AppendUvarint(b, uint64(block.first-last))
		b = binary.AppendUvarint(b, uint64(block.last-block.first))
		b = binary.AppendUvarint(b, uint64(block.messages))
		last = block.last
	}
	return b
}

func decodeTextBlocks(b []byte) (textBlocks, error) {
	r := newReader(b, textBlocksVersion, "text blocks")
	t := make(textBlocks, 0, r.count())
	var last uint64
	for range cap(t) {
		first := last + uint64(r.uint32())
		last = first + uint64(r.uint32())
		if first == 0 || last > 1<<32-1 {
			r.fail()
		}
		t = append(t, textBlock{uint32(first), uint32(last), r.uint32()})
	}
	return t, r.done()
}

// readTextBlocks returns the blocks of a mailbox, which may have none.
func readTextBlocks(r store.Reader, id mailboxID) (textBlocks, error) {
	blocks, err := get(r, textBlocksKey(id), decodeTextBlocks)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return blocks, err
}

// find returns the block that uid would be in, nil if there is none.
func (t textBlocks) find(uid uint32) *textBlock {
	k := sort.Search(len(t), func(k int) bool { return t[k].last >= uid })
	if k == len(t) || t[k].first > uid {
		return nil
	}
	return &t[k]
}

// appendColumn returns a column as it is stored: the UIDs, then a text for each.
func appendColumn(uids imap.NumSet, texts []byte) []byte {
	b := appendSet([]byte{columnVersion}, uids)
	return append(b, texts...)
}

// columnCursor goes over the texts of one column.
type columnCursor struct {
	block textBlock
	ahead imap.NumSet // UIDs behind the current one
	texts reader      // and their texts
	uid   uint32      // the current message, 0 before the first
	text  []byte
}

func newColumnCursor(block textBlock, b []byte) (columnCursor, error) {
	r := newReader(b, columnVersion, "text column")
	c := columnCursor{block: block, ahead: r.set()}
	c.texts = *r
	return c, r.err
}

// next goes to the next message; false means that there is none.
func (c *columnCursor) next() bool {
	if len(c.ahead) == 0 {
		return false
	}
	r := &c.ahead[0]
	c.uid, c.text = r.Start, c.texts.bytes()
	if r.Start == r.Stop {
		c.ahead = c.ahead[1:]
	} else {
		r.Start++
	}
	return c.texts.err == nil
}

// seek goes on to uid, and says whether it is there.
func (c *columnCursor) seek(uid uint32) (bool, error) {
	for c.uid < uid && c.next() {
	}
	return c.uid == uid, c.texts.err
}

// textReader reads texts of a mailbox's messages. It is made for going through messages in
// the order of their UIDs.
type textReader struct {
	r       store.Reader
	mailbox mailboxID
	blocks  textBlocks
	columns [textColumns]columnCursor
	single  *textCursor
}

// newTextReader returns a textReader, which must be closed.
func newTextReader(r store.Reader, id mailboxID) (*textReader, error) {
	blocks, err := readTextBlocks(r, id)
	if err != nil {
		return nil, fmt.Errorf("mailbox %d: %w", id, err)
	}
	return &textReader{r: r, mailbox: id, blocks: blocks, single: newTextCursor(r)}, nil
}

func (t *textReader) close() { t.single.close() }

// text returns a text of the message that has uid and is email, or store.ErrNotFound. It is
// valid as long as what the reader returns.
func (t *textReader) text(column textColumn, uid uint32, email emailID) ([]byte, error) {
	c := &t.columns[column]
	if uid < c.uid || uid > c.block.last {
		if err := t.enter(column, uid); err != nil {
			return nil, err
		}
	}
	if found, err := c.seek(uid); found || err != nil {
		return c.text, err
	}
	rec, err := t.single.text(email)
	if err != nil {
		return nil, err
	}
	return rec[column], nil
}

// enter opens the column of the block that uid is in. Where there is none the column
// is left empty.
func (t *textReader) enter(column textColumn, uid uint32) error {
	c := &t.columns[column]
	*c = columnCursor{}
	block := t.blocks.find(uid)
	if block == nil {
		return nil
	}
	b, err := t.r.Get(columnKey(t.mailbox, column, block.first))
	if err == nil {
		*c, err = newColumnCursor(*block, b)
	}
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: text column %d from UID %d is missing", store.ErrCorrupt, column, block.first)
	}
	if err != nil {
		return fmt.Errorf("mailbox %d: %w", t.mailbox, err)
	}
	return nil
}
