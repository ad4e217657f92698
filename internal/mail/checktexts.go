package mail

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"tidemark/internal/store"
)

// texts checks that the text columns of a mailbox are all there, and that of each message of
// v they have what its textRecord has.
func (c *checker) texts(r store.Reader, id mailboxID, v *view) error {
	blocks, err := readTextBlocks(r, id)
	if err != nil {
		c.mailboxProblemf(id, "the list of text columns: %v", err)
		return c.passOver(err)
	}
	var last uint32
	for _, block := range blocks {
		if block.first <= last {
			c.mailboxProblemf(id, "the text columns from UID %d on overlap with others", block.first)
		}
		last = block.last
		for k := range textColumns {
			if err := checkColumn(r, id, k, block); err != nil {
				c.mailboxProblemf(id, "the text column %d from UID %d on: %v", k, block.first, err)
			}
		}
	}
	all := rowsOf(v, v.allUIDs()).at
	t, err := newTextReader(r, id, all)
	if err != nil {
		return err
	}
	defer t.close()
	wrong := make(map[string][]uint32) // UIDs by what is wrong
	for _, at := range all {
		if err := checkTexts(t, at); err != nil {
			wrong[err.Error()] = append(wrong[err.Error()], at.uid())
		}
	}
	for _, text := range slices.Sorted(maps.Keys(wrong)) {
		c.uidsProblem(id, wrong[text], text)
	}
	return nil
}

// checkColumn checks that a column has the messages that its block says.
func checkColumn(r store.Reader, id mailboxID, k textColumn, block textBlock) error {
	c, err := get(r, columnKey(id, k, block.first), decodeColumn)
	if err != nil {
		return err
	}
	if have := (textBlock{c.uids.Min(), c.uids.Max(), uint32(c.uids.Count())}); have != block {
		return fmt.Errorf("has UIDs %v, the block is %v", have, block)
	}
	if !slices.IsSortedFunc(c.terms, bytes.Compare) {
		return errors.New("its terms are out of order")
	}
	return nil
}

// checkTexts compares what the columns have of a message with its textRecord.
func checkTexts(t *textReader, at place) error {
	email, err := at.loadEmail(t.r)
	if err != nil {
		return nil // which is said of the details
	}
	rec, err := t.single.text(email)
	if err != nil {
		return nil // which is said of the email
	}
	for k, want := range rec {
		have, err := t.term(textColumn(k), at)
		if err != nil {
			return err
		}
		if !bytes.Equal(have.text, want) {
			return fmt.Errorf("the text column %d differs from the text for SEARCH", k)
		}
	}
	return nil
}
