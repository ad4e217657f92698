package mail

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"tidemark/imap"
	"tidemark/internal/store"
)

const (
	// A block has at most so many messages, and octets of texts unless one message has more.
	textBlockMessages = 1024
	textBlockOctets   = 2 << 20
	// textBlockMin is how many messages are worth a block: a shorter run waits for more, and a
	// block that has fewer left is given up. One that had fewer, because of their octets, is given
	// up when half of them are gone.
	textBlockMin = 256
	// textBlocksPerWrite bounds a transaction.
	textBlocksPerWrite = 8
)

// writeTexts writes the text columns that the mailbox lacks, and drops those that are
// not worth having any more.
func (m *mailbox) writeTexts(ctx context.Context) error {
	for {
		more, err := m.writeSomeTexts(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// writeSomeTexts writes some blocks. Their content is read before the transaction, whose
// length others feel.
func (m *mailbox) writeSomeTexts(ctx context.Context) (more bool, err error) {
	var was []byte
	var plan textPlan
	err = m.account.svc.engine.View(ctx, m.account.id, func(r store.Reader) error {
		b, err := r.Get(textBlocksKey(m.id))
		var have textBlocks
		if err == nil {
			was = bytes.Clone(b)
			have, err = decodeTextBlocks(b)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		plan = planTexts(m.durable.Load(), have)
		return plan.build(r)
	})
	if err != nil || len(plan.drop) == 0 && len(plan.built) == 0 {
		return false, err
	}
	err = m.account.svc.engine.Update(ctx, m.account.id, func(tx store.Tx) error {
		if _, err := tx.Get(mailboxKey(m.id)); err != nil {
			return errGone
		}
		if now, err := tx.Get(textBlocksKey(m.id)); !bytes.Equal(now, was) {
			return err // somebody else has written blocks
		}
		plan.write(tx, m.id)
		return nil
	})
	return plan.more, err
}

// textPlan is what is to be done about a mailbox's blocks.
type textPlan struct {
	view       *view
	keep, drop textBlocks
	runs       imap.NumSet // positions of messages that are in no block
	built      []builtBlock
	more       bool // there are runs left
}

type builtBlock struct {
	textBlock
	columns [textColumns][]byte
}

// planTexts says which of the blocks are worth keeping, and which messages of v should
// have one.
func planTexts(v *view, have textBlocks) textPlan {
	p := textPlan{view: v}
	if v == nil {
		return p
	}
	from := uint32(1)
	for _, block := range have {
		if v.countBetween(block.first, block.last) < min(textBlockMin, (block.messages+1)/2) {
			p.drop = append(p.drop, block)
			continue
		}
		p.keep = append(p.keep, block)
		p.addRun(from, block.first-1)
		from = block.last + 1 // 0 after the last of all UIDs
	}
	if from > 0 {
		p.addRun(from, 1<<32-1)
	}
	return p
}

// countBetween returns how many messages have UIDs from first to last.
func (v *view) countBetween(first, last uint32) uint32 {
	before, _ := v.position(first)
	through, found := v.position(last)
	if found {
		through++
	}
	return through - before
}

// addRun takes the messages from first to last as a run, if they are enough.
func (p *textPlan) addRun(first, last uint32) {
	if first > last {
		return
	}
	run := p.view.Seqs(imap.NumSet{{Start: first, Stop: last}})
	if run.Count() >= textBlockMin {
		p.runs = append(p.runs, run...)
	}
}

// build makes the blocks of the plan's runs, as many as one transaction takes.
func (p *textPlan) build(r store.Reader) error {
	c := newTextCursor(r)
	defer c.close()
	for _, run := range p.runs {
		for run.Start+textBlockMin-1 <= run.Stop {
			if len(p.built) == textBlocksPerWrite {
				p.more = true
				return nil
			}
			next := imap.Range{Start: run.Start, Stop: min(run.Stop, run.Start+textBlockMessages-1)}
			block, n, err := buildBlock(c, p.view.places(imap.NumSet{next}))
			if err != nil {
				return err
			}
			if block.messages > 0 {
				p.built = append(p.built, block)
			}
			run.Start += uint32(n)
		}
	}
	return nil
}

// buildBlock makes a block of the first n messages of the run.
func buildBlock(c *textCursor, run []place) (block builtBlock, n int, err error) {
	var uids imap.NumSet
	var texts [textColumns][][]byte
	octets := 0
	for n < len(run) && octets < textBlockOctets {
		at := run[n]
		n++
		email, err := at.loadEmail(c.r)
		if err != nil {
			return block, 0, err
		}
		rec, err := c.text(email)
		if errors.Is(err, store.ErrNotFound) {
			continue // expunged meanwhile, and gone
		}
		if err != nil {
			return block, 0, err
		}
		uids.Add(at.uid())
		for k, text := range rec {
			texts[k] = append(texts[k], text)
			octets += len(text)
		}
	}
	if len(uids) > 0 {
		block.textBlock = textBlock{uids.Min(), uids.Max(), uint32(uids.Count())}
	}
	for k := range texts {
		block.columns[k] = encodeColumn(uids, texts[k])
	}
	return block, n, nil
}

// write makes the plan true.
func (p *textPlan) write(tx store.Tx, id mailboxID) {
	for _, block := range p.drop {
		for k := range textColumns {
			tx.Delete(columnKey(id, k, block.first))
		}
	}
	blocks := slices.Clone(p.keep)
	for _, b := range p.built {
		blocks = append(blocks, b.textBlock)
		for k, column := range b.columns {
			tx.Set(columnKey(id, textColumn(k), b.first), column)
		}
	}
	slices.SortFunc(blocks, func(a, b textBlock) int { return int(int64(a.first) - int64(b.first)) })
	tx.Set(textBlocksKey(id), blocks.encode())
}
