package mail

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"tidemark/internal/store"
	"tidemark/message"
)

// Problem is something that Check found wrong.
type Problem struct {
	User    string // empty where no user has it
	Mailbox string // empty where it concerns more than one, or none
	UIDs    string // the messages in the mailbox, as a set of IMAP; empty where it concerns none
	Text    string
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
	tell := func(p Problem) {
		sum.Problems++
		report(p)
	}
	owners, err := s.usersOf(ctx, tell)
	if err != nil {
		return sum, s.fault(err)
	}
	if user != "" {
		if _, err := s.user(ctx, user); err != nil {
			return sum, err
		}
	}
	ids, err := s.accountsToCheck(ctx, owners, tell)
	if err != nil {
		return sum, s.fault(err)
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if user != "" && owners[id] != user {
			continue
		}
		c := newChecker(ctx, s, id, &sum, tell)
		c.user = owners[id]
		if c.user == "" && id != systemAccount {
			c.problemf("account %d belongs to no user whose record can be read", id)
		}
		err := c.run()
		if errors.Is(err, store.ErrCorrupt) {
			// The rest of this account is out of reach, that of the others is not.
			c.problemf("the account could not be checked to its end: %v", err)
			continue
		}
		if err != nil {
			return sum, fmt.Errorf("check the account of %q: %w", c.user, err)
		}
	}
	return sum, nil
}

// accountsToCheck returns all accounts but those of removed users that are to be erased.
func (s *Service) accountsToCheck(
	ctx context.Context, owners map[store.AccountID]string, tell func(Problem),
) (map[store.AccountID]bool, error) {
	ids := map[store.AccountID]bool{systemAccount: true}
	err := s.engine.Accounts(ctx, func(id store.AccountID) error {
		ids[id] = true
		return nil
	})
	if errors.Is(err, store.ErrCorrupt) {
		tell(Problem{Text: err.Error()})
	} else if err != nil {
		return nil, err
	}
	for id := range owners {
		ids[id] = true // even if it can be found by its owner alone
	}
	removed, err := s.removed(ctx)
	if err != nil && !errors.Is(err, store.ErrCorrupt) { // of which the engine's Verify tells
		return nil, err
	}
	for _, id := range removed {
		delete(ids, id)
	}
	return ids, nil
}

// checker verifies one account.
type checker struct {
	svc    *Service
	ctx    context.Context
	id     store.AccountID
	user   string // whose it is
	sum    *Checked
	report func(Problem)

	acct   *accountMeta
	names  map[mailboxID]string
	used   map[emailID]location   // emails that a mailbox has
	copies map[emailID][]location // where else they are
	waste  map[emailID]bool       // emails that wait for the collector
	blobs  map[store.BlobID]blobOwner
	// partial: there are records that cannot be read, so that what refers to them, or is
	// referred to by them, cannot be judged.
	partial bool
}

// blobOwner is what an email record says of its blob.
type blobOwner struct {
	email emailID // 0: no email record named the blob
	size  uint32
}

func newChecker(ctx context.Context, s *Service, id store.AccountID, sum *Checked, report func(Problem)) *checker {
	return &checker{
		svc: s, ctx: ctx, id: id, sum: sum, report: report,
		acct:   new(accountMeta),
		names:  make(map[mailboxID]string),
		used:   make(map[emailID]location),
		copies: make(map[emailID][]location),
		waste:  make(map[emailID]bool),
		blobs:  make(map[store.BlobID]blobOwner),
	}
}

// run checks the account. It fails only if it cannot go on: damage is reported. What the
// records mean comes first, because it says whose the damage is that the engine finds.
func (c *checker) run() error {
	if c.id != systemAccount {
		c.sum.Accounts++
		if err := c.svc.engine.View(c.ctx, c.id, c.records); err != nil {
			return err
		}
	}
	if err := c.svc.engine.Verify(c.ctx, c.id, c.damage); err != nil {
		return err
	}
	if c.id == systemAccount {
		return nil
	}
	return c.content()
}

func (c *checker) records(r store.Reader) error {
	meta, err := readAccountMeta(r)
	if err == nil {
		c.acct = meta
	} else if err = c.passOver(err); err != nil {
		return err
	}
	return errors.Join(c.mailboxNames(r), c.mailboxes(r), c.garbage(r), c.emails(r))
}

// mailboxNames checks that names and mailboxes belong together one to one.
func (c *checker) mailboxNames(r store.Reader) error {
	count := uint32(0)
	err := c.each(r, kindName, func(key, value []byte) error {
		count++
		name := nameOfKey(key)
		n, err := decodeNameRecord(value)
		if err != nil {
			return err
		}
		if canonical(name) != name {
			c.problemf("%q is not a mailbox name", name)
		}
		if n.Mailbox == 0 {
			return nil
		}
		if other, taken := c.names[n.Mailbox]; taken {
			c.problemf("%q and %q are the same mailbox", other, name)
		}
		c.names[n.Mailbox] = name
		if _, err := r.Get(mailboxKey(n.Mailbox)); errors.Is(err, store.ErrNotFound) {
			c.mailboxProblemf(n.Mailbox, "the name stands for a mailbox that does not exist")
		}
		return nil
	})
	if err != nil || c.partial {
		return err
	}
	if count != c.acct.Names {
		c.problemf("the account counts %d mailbox names, there are %d", c.acct.Names, count)
	}
	return c.each(r, kindMailbox, func(key, _ []byte) error {
		if id := mailboxIDOf(key); c.names[id] == "" && !c.partial {
			c.mailboxProblemf(id, "has no name")
		}
		return nil
	})
}

// each calls fn with every record of a kind. Errors of fn are reported; so is damage, by
// the engine's Verify.
func (c *checker) each(r store.Reader, kind byte, fn func(key, value []byte) error) error {
	return eachRecord(c.ctx, r, kind, func(key, value []byte) {
		if err := fn(key, value); err != nil {
			c.partial = true
			c.keyDamage(key, err.Error())
		}
	}, func() { c.partial = true })
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
			c.partial = true
			c.mailboxProblemf(id, "cannot be opened, because what follows is damaged")
			return errors.Join(c.lists(r, id, meta), c.log(r, id, meta))
		}
		c.counts(id, meta, v)
		c.chunks(r, id, v)
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
			c.mailboxProblemf(id, "counts %d %s, there are %d", n.have, n.what, n.want)
		}
	}
	if last := c.acct.LastUIDValidity; !c.partial && (meta.UIDValidity == 0 || meta.UIDValidity > last) {
		c.mailboxProblemf(id, "has UIDVALIDITY %d, the account has given out up to %d", meta.UIDValidity, last)
	}
	if !c.partial && id > c.acct.LastMailbox {
		c.mailboxProblemf(id, "has a number that was not given out")
	}
	if len(slices.Compact(slices.Sorted(slices.Values(meta.Keywords)))) != len(meta.Keywords) {
		c.mailboxProblemf(id, "names a keyword twice")
	}
}

// chunks checks the totals of each chunk and takes in its details.
func (c *checker) chunks(r store.Reader, id mailboxID, v *view) {
	for _, ch := range v.chunks {
		d := c.details(r, id, ch)
		if d == nil {
			continue
		}
		cols := ch.columns()
		counted := newChunk(cols, nil)
		counted.seal(v.sets)
		for i, e := range d.email {
			c.place(emailID(e), location{id, cols.uid[i]})
			counted.octets += uint64(d.size[i])
		}
		if counted.maxModSeq != ch.maxModSeq || counted.unseen != ch.unseen ||
			counted.deleted != ch.deleted || counted.octets != ch.octets {
			c.uidsProblem(id, cols.uid, "their totals are wrong")
		}
	}
}

// details returns the details of a chunk, nil if they cannot be read.
func (c *checker) details(r store.Reader, id mailboxID, ch *chunk) *details {
	d, err := ch.lazy.load(r)
	if err != nil {
		c.partial = true
		c.uidsProblem(id, ch.columns().uid, err.Error())
	}
	return d
}

// lists checks the mailbox's lists of messages one by one.
func (c *checker) lists(r store.Reader, id mailboxID, meta *mailboxMeta) error {
	start, end := ofMailbox(kindChunk, id)
	it := r.Scan(start, end, false)
	defer it.Close()
	for it.Next() {
		b, err := it.Value()
		if err != nil {
			continue // the engine's Verify tells of it
		}
		ch, err := decodeChunk(b, id, newFlagTable(), meta.Keywords)
		if err != nil {
			c.keyDamage(it.Key(), err.Error())
			continue
		}
		c.details(r, id, ch)
	}
	return c.passOver(it.Close())
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
			c.mailboxProblemf(id, "the log goes from %d to %d", next-1, modseq)
		}
		next = modseq + 1
		b, err := it.Value()
		if err != nil {
			continue // the engine's Verify tells of it
		}
		if _, err = decodeLogRecord(b); err != nil {
			c.keyDamage(it.Key(), err.Error())
		}
	}
	err := it.Close()
	if err == nil && next != meta.ModSeq+1 {
		c.mailboxProblemf(id, "the log ends at %d, HIGHESTMODSEQ is %d", next-1, meta.ModSeq)
	}
	return c.passOver(err)
}

// passOver returns nil for damage, of which the engine's Verify tells.
func (c *checker) passOver(err error) error {
	if errors.Is(err, store.ErrCorrupt) {
		c.partial = true
		return nil
	}
	return err
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
			c.emailProblemf(id, "the summary: %v", err)
		}
		if _, used := c.used[id]; !used && !c.waste[id] && !c.partial {
			c.emailProblemf(id, "nothing will remove it")
		}
		if id > c.acct.LastEmail && !c.partial {
			c.emailProblemf(id, "has the number %d, which was not given out", id)
		}
		if _, err := r.Get(textKey(id)); errors.Is(err, store.ErrNotFound) {
			c.emailProblemf(id, "the text for SEARCH is missing")
		}
		if other, twice := c.blobs[rec.Blob]; twice {
			c.emailProblemf(id, "shares its content with message number %d", other.email)
		}
		c.blobs[rec.Blob] = blobOwner{id, rec.Size}
		return nil
	})
	if err != nil || c.partial {
		return err
	}
	for e := range c.used {
		if !seen[e] {
			c.emailProblemf(e, "the summary is missing")
		}
	}
	return nil
}

// content compares the blobs that the engine has with those that emails refer to. Mail
// may have come and gone since the records were read, so that what differs is looked at
// again.
func (c *checker) content() error {
	err := c.svc.engine.Blobs(c.ctx, c.id, func(b store.BlobInfo) error {
		owner, ok := c.blobs[b.ID]
		if ok && int64(owner.size) != b.Size {
			c.emailProblemf(owner.email, "the content has %d octets, the summary says %d", b.Size, owner.size)
		}
		if ok {
			delete(c.blobs, b.ID)
			return nil
		}
		c.blobs[b.ID] = blobOwner{}
		return nil
	})
	if c.partial || errors.Is(err, store.ErrCorrupt) {
		return nil // the engine's Verify has told of what cannot be compared
	}
	if err != nil || len(c.blobs) == 0 {
		return err
	}
	return c.differing()
}

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
	for id, owner := range c.blobs {
		switch {
		case owner.email == 0 && there[id] && !named[id]:
			c.problemf("content %x belongs to no message", id)
		case owner.email != 0 && !there[id] && named[id]:
			c.emailProblemf(owner.email, "the content is missing")
		}
	}
	return err
}
