package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tidemark/imap"
	"tidemark/internal/store"
)

// What the engine finds damaged is a key or a blob. An operator knows users, mailboxes
// and UIDs.

// location is where a message is.
type location struct {
	mailbox mailboxID
	uid     uint32
}

// locations returns where an email is: in more than one place if it was copied.
func (c *checker) locations(e emailID) []location {
	first, ok := c.used[e]
	if !ok {
		return nil
	}
	return append([]location{first}, c.copies[e]...)
}

// place notes that a mailbox has the email.
func (c *checker) place(e emailID, at location) {
	if _, taken := c.used[e]; taken {
		c.copies[e] = append(c.copies[e], at)
		return
	}
	c.used[e] = at
}

// problemf reports something that is wrong with the account.
func (c *checker) problemf(format string, args ...any) {
	c.report(Problem{User: c.user, Text: fmt.Sprintf(format, args...)})
}

// mailboxProblemf reports something that is wrong with a mailbox.
func (c *checker) mailboxProblemf(id mailboxID, format string, args ...any) {
	p := Problem{User: c.user, Mailbox: c.names[id], Text: fmt.Sprintf(format, args...)}
	if p.Mailbox == "" {
		p.Text = fmt.Sprintf("mailbox number %d: %s", id, p.Text)
	}
	c.report(p)
}

// emailProblemf reports something that is wrong with a message, in each mailbox that
// has it.
func (c *checker) emailProblemf(e emailID, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(c.locations(e)) == 0 {
		c.problemf("a message in no mailbox (number %d): %s", e, text)
		return
	}
	c.messagesProblem([]emailID{e}, text)
}

// messagesProblem reports what is wrong with several messages, once for each mailbox.
func (c *checker) messagesProblem(emails []emailID, text string) {
	uids := make(map[mailboxID][]uint32)
	for _, e := range emails {
		for _, at := range c.locations(e) {
			uids[at.mailbox] = append(uids[at.mailbox], at.uid)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(uids)) {
		c.uidsProblem(id, uids[id], text)
	}
}

// uidsProblem reports what is wrong with messages of one mailbox.
func (c *checker) uidsProblem(id mailboxID, uids []uint32, text string) {
	c.report(Problem{c.user, c.names[id], imap.NumSetOf(uids...).String(), text})
}

// damage reports what the engine has found.
func (c *checker) damage(d store.Damage) {
	switch {
	case d.Range:
		c.gap(d)
	case d.Blobs:
		c.blobDamage(d)
	case len(d.Key) > 0:
		c.keyDamage(d.Key, d.Text)
	}
}

func (c *checker) blobDamage(d store.Damage) {
	if len(d.Key) == len(store.BlobID{}) {
		id := store.BlobID(d.Key)
		if owner, ok := c.blobs[id]; ok {
			c.emailProblemf(owner.email, "the content is damaged: %s", d.Text)
			return
		}
	}
	c.problemf("content %x, of no message that could be read: %s", d.Key, d.Text)
}

// keyDamage reports that the record at key is damaged.
func (c *checker) keyDamage(key []byte, text string) {
	switch what := recordName(key); key[0] {
	case kindUser:
		c.report(Problem{User: userOfKey(key), Text: fmt.Sprintf("%s: %s", what, text)})
	case kindName:
		c.report(Problem{User: c.user, Mailbox: nameOfKey(key), Text: fmt.Sprintf("%s: %s", what, text)})
	case kindMailbox, kindLog, kindChunk, kindDetails, kindBlocks, kindColumn:
		c.mailboxProblemf(mailboxIDOf(key), "%s: %s", what, text)
	case kindEmail, kindText:
		c.emailProblemf(emailID(lastNumber8(key)), "%s: %s", what, text)
	default:
		c.problemf("%s: %s", what, text)
	}
}

// gap reports a range that cannot be read, and the messages in it.
func (c *checker) gap(d store.Damage) {
	var emails []emailID
	if d.Blobs {
		for id, owner := range c.blobs {
			if within(d, id[:]) {
				emails = append(emails, owner.email)
			}
		}
		c.problemf("%s; cannot be read, in part: content of messages", d.Text)
	} else {
		for e := range c.used {
			if within(d, emailKey(e)) || within(d, textKey(e)) {
				emails = append(emails, e)
			}
		}
		c.problemf("%s; cannot be read, in part: %s", d.Text, strings.Join(kindsWithin(c.id, d.Key, d.Until), ", "))
	}
	c.messagesProblem(emails, "cannot be read: "+d.Text)
}

// within says whether a key or BlobID lies in a range of damage.
func within(d store.Damage, key []byte) bool {
	return bytes.Compare(key, d.Key) > 0 && (len(d.Until) == 0 || bytes.Compare(key, d.Until) < 0)
}

// usersOf returns the names of the users by their accounts. A user whose record is
// damaged is left out: the check of the system account reports it.
func (s *Service) usersOf(ctx context.Context, report func(Problem)) (map[store.AccountID]string, error) {
	owners := make(map[store.AccountID]string)
	err := s.engine.View(ctx, systemAccount, func(r store.Reader) error {
		return eachRecord(ctx, r, kindUser, func(key, value []byte) {
			name := userOfKey(key)
			u, err := decodeUser(value)
			if err != nil {
				report(Problem{User: name, Text: err.Error()})
				return
			}
			if other, taken := owners[u.ID]; taken {
				report(Problem{User: name, Text: fmt.Sprintf("has the account %d of user %q", u.ID, other)})
			}
			owners[u.ID] = name
		}, func() {})
	})
	return owners, err
}

// eachRecord calls fn with every record of a kind that can be read, once. Where the
// store is damaged it goes on from the other end. It calls damaged when there are
// records that cannot be read; which ones is for the engine's Verify to say.
func eachRecord(ctx context.Context, r store.Reader, kind byte, fn func(key, value []byte), damaged func()) error {
	start, end := kindRange(kind)
	var last []byte
	scan := func(reverse bool) error {
		it := r.Scan(start, end, reverse)
		defer it.Close()
		for it.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			last = append(last[:0], it.Key()...)
			value, err := it.Value()
			if errors.Is(err, store.ErrCorrupt) {
				damaged()
				continue
			}
			if err != nil {
				return err
			}
			fn(it.Key(), value)
		}
		return it.Close()
	}
	err := scan(false)
	if !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	damaged()
	if len(last) > 0 {
		start = append(bytes.Clone(last), 0) // the least key after it
	}
	if err = scan(true); errors.Is(err, store.ErrCorrupt) {
		return nil
	}
	return err
}
