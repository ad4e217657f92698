package mail

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
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

// encodeColumn returns the column of texts, one for each of uids, as it is stored: the UIDs,
// the terms, which are the different texts in their order, and for each message the index of
// its term.
func encodeColumn(uids imap.NumSet, texts [][]byte) []byte {
	terms := slices.Clone(texts)
	slices.SortFunc(terms, bytes.Compare)
	terms = slices.CompactFunc(terms, bytes.Equal)
	b := appendSet([]byte{columnVersion}, uids)
	b = binary.AppendUvarint(b, uint64(len(terms)))
	for _, term := range terms {
		b = appendField(b, term)
	}
	for _, text := range texts {
		i, _ := slices.BinarySearchFunc(terms, text, bytes.Compare)
		b = binary.LittleEndian.AppendUint16(b, uint16(i))
	}
	return b
}

// column is a column in memory.
type column struct {
	uids  imap.NumSet
	terms [][]byte // ascending
	index []byte   // into terms, 2 octets a message, little endian
}

func decodeColumn(b []byte) (*column, error) {
	r := newReader(b, columnVersion, "text column")
	c := &column{uids: r.set()}
	c.terms = make([][]byte, r.count())
	for i := range c.terms {
		c.terms[i] = r.bytes()
	}
	if r.err != nil {
		return nil, r.err
	}
	c.index = r.b
	if uint64(len(c.index)) != 2*c.uids.Count() {
		return nil, fmt.Errorf("%w: text column has %d octets of indexes for %d messages",
			store.ErrCorrupt, len(c.index), c.uids.Count())
	}
	return c, nil
}

// columnCursor goes over the messages of a column.
type columnCursor struct {
	*column
	block textBlock
	ahead imap.NumSet // UIDs after the current one
	n     int         // messages up to the current one
	uid   uint32      // the current message, 0 before the first
}

// seek goes on to uid, and says whether it is there.
func (c *columnCursor) seek(uid uint32) bool {
	for c.uid < uid && len(c.ahead) > 0 {
		r := &c.ahead[0]
		if r.Stop < uid { // all of it is before
			c.n += int(r.Stop - r.Start + 1)
			c.uid, c.ahead = r.Stop, c.ahead[1:]
			continue
		}
		step := max(uid, r.Start) - r.Start
		c.n += int(step) + 1
		c.uid = r.Start + step
		if r.Start = c.uid + 1; c.uid == r.Stop {
			c.ahead = c.ahead[1:]
		}
	}
	return c.uid == uid
}

// term returns the index of the current message's term.
func (c *columnCursor) term() (int, error) {
	i := int(binary.LittleEndian.Uint16(c.index[2*c.n-2:]))
	if i >= len(c.terms) {
		return 0, fmt.Errorf("%w: text column has no term %d", store.ErrCorrupt, i)
	}
	return i, nil
}

// term is a text of a message, and where it stands in a column.
type term struct {
	text  []byte
	index int
	in    *column // nil if the text stands alone
}

// textReader reads texts of a mailbox's messages. It is made for going through messages in
// the order of their UIDs.
type textReader struct {
	r       store.Reader
	mailbox mailboxID
	blocks  textBlocks // that are worth reading
	columns [textColumns]columnCursor
	single  *textCursor
}

// worthColumn is how many messages of a block must be asked for, if reading its columns is
// to be cheaper than reading their textRecords.
const worthColumn = 8

// newTextReader returns a textReader, which must be closed, for the given messages.
func newTextReader(r store.Reader, id mailboxID, messages []place) (*textReader, error) {
	blocks, err := readTextBlocks(r, id)
	if err != nil {
		return nil, fmt.Errorf("mailbox %d: %w", id, err)
	}
	t := &textReader{r: r, mailbox: id, single: newTextCursor(r)}
	for _, block := range blocks {
		before := func(uid uint32) int {
			return sort.Search(len(messages), func(i int) bool { return messages[i].uid() >= uid })
		}
		if before(block.last)-before(block.first) >= worthColumn-1 {
			t.blocks = append(t.blocks, block)
		}
	}
	return t, nil
}

func (t *textReader) close() { t.single.close() }

// term returns a text of a message, or store.ErrNotFound. It is valid as long as what the
// reader returns.
func (t *textReader) term(k textColumn, p place) (term, error) {
	c, uid := &t.columns[k], p.uid()
	if uid < c.uid || uid > c.block.last {
		if err := t.enter(k, uid); err != nil {
			return term{}, err
		}
	}
	if c.seek(uid) {
		i, err := c.term()
		if err != nil {
			return term{}, fmt.Errorf("mailbox %d, UID %d: %w", t.mailbox, uid, err)
		}
		return term{c.terms[i], i, c.column}, nil
	}
	email, err := p.loadEmail(t.r)
	if err != nil {
		return term{}, err
	}
	rec, err := t.single.text(email)
	if err != nil {
		return term{}, err
	}
	return term{text: rec[k]}, nil
}

// enter opens the column of the block that uid is in. Where there is none the cursor
// is left empty.
func (t *textReader) enter(k textColumn, uid uint32) error {
	t.columns[k] = columnCursor{}
	block := t.blocks.find(uid)
	if block == nil {
		return nil
	}
	b, err := t.r.Get(columnKey(t.mailbox, k, block.first))
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: text column is missing", store.ErrCorrupt)
	}
	var c *column
	if err == nil {
		c, err = decodeColumn(b)
	}
	if err != nil {
		return fmt.Errorf("mailbox %d, text column %d from UID %d: %w", t.mailbox, k, block.first, err)
	}
	t.columns[k] = columnCursor{column: c, block: *block, ahead: slices.Clone(c.uids)}
	return nil
}
