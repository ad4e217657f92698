package mail

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tidemark/internal/store"
	"tidemark/message"
)

// Problem is something that Check found wrong.
type Problem struct {
	User string // empty where no user has it
	Text string
}

// Checked is what a check has looked at.
type Checked struct {
	Accounts, Mailboxes, Messages, Problems int
}

// Check verifies every account, or the one of the named user: every record, every
// count, every reference and every checksum. It may run while the accounts are used: each
// account is seen as it is at one moment. report is called for each problem.
func (s *Service) Check(ctx context.Context, user string, report func(Problem)) (Checked, error) {
	var sum Checked
	owners := make(map[store.AccountID]string)
	err := s.Users(ctx, func(u User) error {
		if other, taken := owners[u.ID]; taken {
			report(Problem{u.Name, fmt.Sprintf("has the account %d of user %q", u.ID, other)})
			sum.Problems++
		}
		owners[u.ID] = u.Name
		return nil
	})
	if err != nil {
		return sum, err
	}
	var ids []store.AccountID
	err = s.engine.Accounts(ctx, func(id store.AccountID) error {
		if user == "" || owners[id] == user {
			ids = append(ids, id)
		}
		return nil
	})
	if err != nil {
		return sum, s.fault(err)
	}
	if user != "" {
		if _, err := s.user(ctx, user); err != nil {
			return sum, err
		}
	}
	for _, id := range ids {
		c := &checker{svc: s, ctx: ctx, id: id, sum: &sum, report: func(text string) {
			sum.Problems++
			report(Problem{owners[id], text})
		}}
		if _, owned := owners[id]; !owned && id != systemAccount {
			c.problemf("account %d belongs to no user", id)
		}
		err := c.run()
		if errors.Is(err, store.ErrCorrupt) {
			// The rest of this account is out of reach, that of the others is not.
			c.problemf("account %d could not be checked to its end: %v", id, err)
			continue
		}
		if err != nil {
			return sum, fmt.Errorf("account %d: %w", id, err)
		}
	}
	return sum, nil
}

// checker verifies one account.
type checker struct {
	svc    *Service
	ctx    context.Context
	id     store.AccountID
	sum    *Checked
	report func(string)

	acct  *accountMeta
	used  map[emailID]bool        // emails that a mailbox has
	waste map[emailID]bool        // emails that wait for the collector
	blobs map[store.BlobID]uint32 // sizes by the email records
}

func (c *checker) problemf(format string, args ...any) { c.report(fmt.Sprintf(format, args...)) }

// run checks the account. It fails only if it cannot go on: damage is reported.
func (c *checker) run() error {
	if err := c.svc.engine.Verify(c.ctx, c.id, c.report); err != nil {
		return err
	}
	if c.id == systemAccount {
		return nil
	}
	c.sum.Accounts++
	c.used = make(map[emailID]bool)
	c.waste = make(map[emailID]bool)
	c.blobs = make(map[store.BlobID]uint32)
	err := c.svc.engine.View(c.ctx, c.id, func(r store.Reader) error {
		var err error
		if c.acct, err = readAccountMeta(r); err != nil {
			c.problemf("the account's head: %v", err)
			c.acct = new(accountMeta)
		}
		return errors.Join(c.names(r), c.mailboxes(r), c.garbage(r), c.emails(r))
	})
	if err != nil {
		return err
	}
	return c.content()
}

// names checks that names and mailboxes belong together one to one.
func (c *checker) names(r store.Reader) error {
	named := make(map[mailboxID]string)
	count := uint32(0)
	err := c.each(r, kindName, func(key, value []byte) error {
		count++
		name := string(key[1:])
		n, err := decodeNameRecord(value)
		if err != nil {
			return fmt.Errorf("name %q: %w", name, err)
		}
		if canonical(name) != name {
			c.problemf("%q is not a mailbox name", name)
		}
		if n.Mailbox == 0 {
			return nil
		}
		if other, taken := named[n.Mailbox]; taken {
			c.problemf("%q and %q are the same mailbox %d", other, name, n.Mailbox)
		}
		named[n.Mailbox] = name
		if _, err := r.Get(mailboxKey(n.Mailbox)); errors.Is(err, store.ErrNotFound) {
			c.problemf("%q stands for mailbox %d, which does not exist", name, n.Mailbox)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if count != c.acct.Names {
		c.problemf("the account counts %d mailbox names, there are %d", c.acct.Names, count)
	}
	return c.each(r, kindMailbox, func(key, _ []byte) error {
		if id := mailboxIDOf(key); named[id] == "" {
			c.problemf("mailbox %d has no name", id)
		}
		return nil
	})
}

// each calls fn with every record of a kind. Damage, and errors of fn, are reported.
func (c *checker) each(r store.Reader, kind byte, fn func(key, value []byte) error) error {
	start, end := kindRange(kind)
	it := r.Scan(start, end, false)
	defer it.Close()
	for it.Next() {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		value, err := it.Value()
		if errors.Is(err, store.ErrCorrupt) {
			continue // the engine's Verify has told of it
		}
		if err == nil {
			err = fn(it.Key(), value)
		}
		if err != nil {
			c.problemf("record %q: %v", it.Key(), err)
		}
	}
	return it.Close()
}

// mailboxes makes every mailbox anew from its snapshot and log, and compares.
func (c *checker) mailboxes(r store.Reader) error {
	return c.each(r, kindMailbox, func(key, value []byte) error {
		id := mailboxIDOf(key)
		c.sum.Mailboxes++
		meta, err := decodeMailboxMeta(value)
		if err != nil {
			return err
		}
		v, err := loadSnapshot(r, id, meta, newFlagTable())
		if err == nil {
			v, err = replay(r, id, v, meta)
		}
		if err != nil {
			return err
		}
		c.counts(id, meta, v)
		return errors.Join(c.log(r, id, meta), c.texts(r, id, v))
	})
}

func (c *checker) counts(id mailboxID, meta *mailboxMeta, v *view) {
	c.sum.Messages += int(v.Len())
	for _, n := range [...]struct {
		what       string
		have, want uint64
	}{
		{"messages", uint64(meta.Messages), uint64(v.Len())},
		{"unseen messages", uint64(meta.Unseen), uint64(v.unseen)},
		{"deleted messages", uint64(meta.Deleted), uint64(v.deleted)},
		{"octets", meta.Size, v.octets},
		{"as UIDNEXT", uint64(meta.UIDNext), uint64(v.uidNext)},
	} {
		if n.have != n.want {
			c.problemf("mailbox %d counts %d %s, there are %d", id, n.have, n.what, n.want)
		}
	}
	if meta.UIDValidity == 0 || meta.UIDValidity > c.acct.LastUIDValidity {
		c.problemf("mailbox %d has UIDVALIDITY %d, the account has given out up to %d",
			id, meta.UIDValidity, c.acct.LastUIDValidity)
	}
	if id > c.acct.LastMailbox {
		c.problemf("mailbox %d has a number that was not given out", id)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(meta.Keywords)))) != len(meta.Keywords) {
		c.problemf("mailbox %d names a keyword twice", id)
	}
	for _, ch := range v.chunks {
		for _, e := range ch.email {
			c.used[emailID(e)] = true
		}
	}
}

// log checks that the log has no holes from its floor to its head.
func (c *checker) log(r store.Reader, id mailboxID, meta *mailboxMeta) error {
	start, end := ofMailbox(kindLog, id)
	it := r.Scan(start, end, false)
	defer it.Close()
	next := meta.LogFloor + 1
	for it.Next() {
		modseq := lastNumber8(it.Key())
		if modseq != next {
			c.problemf("mailbox %d: log goes from %d to %d", id, next-1, modseq)
		}
		next = modseq + 1
		b, err := it.Value()
		if err == nil {
			_, err = decodeLogRecord(b)
		}
		if err != nil {
			c.problemf("mailbox %d: log record %d: %v", id, modseq, err)
		}
	}
	if next != meta.ModSeq+1 {
		c.problemf("mailbox %d: log ends at %d, HIGHESTMODSEQ is %d", id, next-1, meta.ModSeq)
	}
	return it.Close()
}

func (c *checker) garbage(r store.Reader) error {
	return c.each(r, kindGarbage, func(_, value []byte) error {
		g, err := decodeGarbageRecord(value)
		if err != nil {
			return err
		}
		for _, e := range g.Emails {
			c.waste[e] = true
		}
		return nil
	})
}

// emails checks that every message has an email record, and every email record a
// message, a text record and parts that can be read.
func (c *checker) emails(r store.Reader) error {
	seen := make(map[emailID]bool)
	err := c.each(r, kindEmail, func(key, value []byte) error {
		id := emailID(lastNumber8(key))
		seen[id] = true
		var rec emailRecord
		if err := decodeEmailRecord(value, &rec); err != nil {
			return err
		}
		if _, err := message.ParsePart(rec.Parts); err != nil {
			c.problemf("email %d: %v", id, err)
		}
		if !c.used[id] && !c.waste[id] {
			c.problemf("email %d is in no mailbox", id)
		}
		if id > c.acct.LastEmail {
			c.problemf("email %d has a number that was not given out", id)
		}
		if _, err := r.Get(textKey(id)); errors.Is(err, store.ErrNotFound) {
			c.problemf("email %d has no text record", id)
		}
		if _, twice := c.blobs[rec.Blob]; twice {
			c.problemf("email %d shares its content with another", id)
		}
		c.blobs[rec.Blob] = rec.Size
		return nil
	})
	for e := range c.used {
		if !seen[e] {
			c.problemf("email %d is in a mailbox, but there is no record of it", e)
		}
	}
	return err
}

// content compares the blobs that the engine has with those that emails refer to. Mail
// may have come and gone since the records were read, so that what differs is looked at
// again.
func (c *checker) content() error {
	err := c.svc.engine.Blobs(c.ctx, c.id, func(b store.BlobInfo) error {
		size, ok := c.blobs[b.ID]
		if ok && int64(size) != b.Size {
			c.problemf("content %x has %d octets, its email says %d", b.ID, b.Size, size)
		}
		if ok {
			delete(c.blobs, b.ID)
			return nil
		}
		c.blobs[b.ID] = ownerless
		return nil
	})
	if err != nil || len(c.blobs) == 0 {
		return err
	}
	return c.differing()
}

// ownerless marks a blob that no email record named.
const ownerless = 1<<32 - 1

// differing looks again at what did not fit. Content is there for as long as its email
// is: with the blobs listed before the emails, what does not fit now is wrong.
func (c *checker) differing() error {
	there := make(map[store.BlobID]bool)
	err := c.svc.engine.Blobs(c.ctx, c.id, func(b store.BlobInfo) error {
		there[b.ID] = true
		return nil
	})
	if err != nil {
		return err
	}
	named := make(map[store.BlobID]bool)
	err = c.svc.engine.View(c.ctx, c.id, func(r store.Reader) error {
		return c.each(r, kindEmail, func(_, value []byte) error {
			var rec emailRecord
			if decodeEmailRecord(value, &rec) == nil {
				named[rec.Blob] = true
			}
			return nil
		})
	})
	for id, size := range c.blobs {
		switch {
		case size == ownerless && there[id] && !named[id]:
			c.problemf("content %x belongs to no email", id)
		case size != ownerless && !there[id] && named[id]:
			c.problemf("content %x is missing", id)
		}
	}
	return err
}
