// Package transfer copies mailboxes between accounts, Maildirs and mbox files. A
// copy that was broken off is taken up again by running it once more: what the
// target has already is not stored twice.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"tidemark/imap"
)

// Mailbox is what a Source says of one of its mailboxes.
type Mailbox struct {
	Name        string // UTF-8, "/" between levels
	Subscribed  bool
	UIDValidity uint32 // 0 where the source has none
	Messages    int    // -1 where it is not known beforehand
}

// Message is one message of a Source.
type Message struct {
	// Key names the message within its mailbox, and is the same in each run: 1 to
	// MaxKey of [A-Za-z0-9_-].
	Key   string
	Name  string   // for people who look for the message at the source
	UID   imap.UID // at the source; 0 where it has none
	Flags []imap.Flag
	Date  time.Time // INTERNALDATE; zero where the source has none
	Size  int64     // octets; an estimate where the source has to read it to know
	// Open gives the message, with CR LF line ends unless it came with others. It may
	// be called more than once, until the next mailbox is begun.
	Open func() (io.ReadCloser, error)
}

// MaxKey is the longest Key, in octets.
const MaxKey = 64

// Source is where mail comes from.
type Source interface {
	// Mailboxes lists the mailboxes in the order in which they are to be copied.
	Mailboxes(ctx context.Context) ([]Mailbox, error)

	// Messages yields the messages of a mailbox in the order of their arrival. An
	// error stands for a message, or for a part of the mailbox, that cannot be
	// read; it is reported and the copy goes on with what is yielded next.
	Messages(ctx context.Context, mailbox string) iter.Seq2[Message, error]
}

// Target is where mail goes to.
//
// An error that is an *imap.Error is about the mailbox or message at hand: it is
// reported and the copy goes on. Every other error ends the copy.
type Target interface {
	// Create makes a mailbox where it is missing, with those above it, and
	// subscribes to it if m says so. It never unsubscribes.
	Create(ctx context.Context, m Mailbox) error

	// Known says which messages the mailbox has, or once had, under these keys.
	Known(ctx context.Context, mailbox string, keys []string) ([]bool, error)

	// Import stores the messages that the mailbox does not know and returns what
	// became of each. Key and message become durable together. A message
	// that cannot be stored does not keep the others from it.
	Import(ctx context.Context, mailbox string, batch []Message) ([]Outcome, error)
}

// Refresher is a Target that follows the source: messages it knows get the flags
// that they have there now. A target that people change is none.
type Refresher interface {
	// Refresh sets the flags of known messages. A message that is no longer there is
	// passed over.
	Refresh(ctx context.Context, mailbox string, known []Message) error
}

// Finisher is a Target that has something to do when a mailbox is complete, or
// when the copy ends before it is.
type Finisher interface {
	Finish(ctx context.Context, mailbox string, complete bool) error
}

// Outcome is what became of one message of a batch.
type Outcome struct {
	Status Status
	Reason string // of Refused, for people
}

// Status is the kind of an Outcome.
type Status uint8

// The outcomes: stored now, there already, and not to be stored.
const (
	Stored Status = iota
	Known
	Refused
)

// Options of a Copy.
type Options struct {
	// Only restricts the copy to mailboxes for which it returns true; nil means all.
	Only func(mailbox string) bool
	// Progress is called after each batch and mailbox, if it is not nil.
	Progress func(Progress)
}

// Progress is how far a copy has come.
type Progress struct {
	Mailbox          string
	Mailboxes        int // of all
	MailboxesDone    int
	Messages         int // of all; -1 where a source does not know beforehand
	MessagesDone     int
	OctetsDone       int64
	MessagesNotTaken int
}

// Report is what a copy has done.
type Report struct {
	Found     int   // mailboxes that there are to copy
	Mailboxes int   // that were gone through to their end
	Stored    int   // messages
	Known     int   // messages that were there already
	Refused   int   // messages that were not taken or could not be read
	Octets    int64 // of the stored messages

	// Problems lists, up to MaxProblems, what was not copied and why.
	Problems []Problem
}

// MaxProblems bounds Report.Problems; Report.Refused counts on.
const MaxProblems = 1000

// Problem is a message, or a mailbox if Message is empty, that was not copied as a whole.
type Problem struct {
	Mailbox string
	Message string // Name of the message
	Reason  string
}

// A batch ends at so many messages or octets. It is one transaction of the target,
// so this is how much is done again after a crash, and what shares a sync.
const (
	batchMessages = 256
	batchOctets   = 8 << 20
)

// Copy copies what src has to dst. The report is of use also where an error, or the
// context, ended the copy early.
func Copy(ctx context.Context, dst Target, src Source, o Options) (Report, error) {
	c := &copier{dst: dst, src: src, options: o}
	err := c.run(ctx)
	return c.report, err
}

type copier struct {
	dst      Target
	src      Source
	options  Options
	report   Report
	progress Progress
}

func (c *copier) run(ctx context.Context) error {
	all, err := c.src.Mailboxes(ctx)
	if err != nil {
		return err
	}
	var mailboxes []Mailbox
	for _, m := range all {
		if c.options.Only == nil || c.options.Only(m.Name) {
			mailboxes = append(mailboxes, m)
			c.expect(m.Messages)
		}
	}
	c.progress.Mailboxes, c.report.Found = len(mailboxes), len(mailboxes)
	for _, m := range mailboxes {
		c.progress.Mailbox = m.Name
		c.tell()
		if err := c.mailbox(ctx, m); err != nil {
			return fmt.Errorf("mailbox %q: %w", m.Name, err)
		}
		c.progress.MailboxesDone++
		c.report.Mailboxes++
		c.tell()
	}
	return nil
}

// expect adds a mailbox's messages to those to come.
func (c *copier) expect(messages int) {
	if messages < 0 || c.progress.Messages < 0 {
		c.progress.Messages = -1
		return
	}
	c.progress.Messages += messages
}

func (c *copier) tell() {
	if c.options.Progress != nil {
		c.options.Progress(c.progress)
	}
}

func (c *copier) problem(mailbox, message string, reason error) {
	if len(c.report.Problems) < MaxProblems {
		c.report.Problems = append(c.report.Problems, Problem{mailbox, message, reason.Error()})
	}
}

// tolerable returns nil where err is about the mailbox at hand alone, which is then
// reported.
func (c *copier) tolerable(mailbox string, err error) error {
	if refusal, ok := errors.AsType[*imap.Error](err); ok {
		c.problem(mailbox, "", errors.New(refusal.Text))
		return nil
	}
	return err
}

func (c *copier) mailbox(ctx context.Context, m Mailbox) (err error) {
	if err := c.dst.Create(ctx, m); err != nil {
		return c.tolerable(m.Name, err)
	}
	if f, ok := c.dst.(Finisher); ok {
		defer func() {
			// Also a cancelled copy must be brought to a clean end.
			ctx := context.WithoutCancel(ctx)
			err = errors.Join(err, c.tolerable(m.Name, f.Finish(ctx, m.Name, err == nil)))
		}()
	}
	var batch []Message
	var octets int64
	flush := func() error {
		err := c.batch(ctx, m.Name, batch)
		batch, octets = batch[:0], 0
		return err
	}
	for msg, err := range c.src.Messages(ctx, m.Name) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.refused(m.Name, msg.Name, err)
			continue
		}
		batch = append(batch, msg)
		octets += msg.Size
		if len(batch) == batchMessages || octets >= batchOctets {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return flush()
}

func (c *copier) refused(mailbox, message string, reason error) {
	c.report.Refused++
	c.progress.MessagesDone++
	c.progress.MessagesNotTaken++
	c.problem(mailbox, message, reason)
}

// batch brings a batch to the target.
func (c *copier) batch(ctx context.Context, mailbox string, batch []Message) error {
	if len(batch) == 0 {
		return nil
	}
	keys := make([]string, len(batch))
	for i, m := range batch {
		keys[i] = m.Key
	}
	isKnown, err := c.dst.Known(ctx, mailbox, keys)
	if err != nil {
		return c.tolerable(mailbox, err)
	}
	var known, fresh []Message
	seen := make(map[string]bool, len(batch))
	for i, m := range batch {
		if isKnown[i] || seen[m.Key] {
			known = append(known, m)
		} else {
			fresh = append(fresh, m)
		}
		seen[m.Key] = true
	}
	if r, ok := c.dst.(Refresher); ok && len(known) > 0 {
		if err := c.tolerable(mailbox, r.Refresh(ctx, mailbox, known)); err != nil {
			return err
		}
	}
	c.report.Known += len(known)
	c.progress.MessagesDone += len(known)
	if len(fresh) > 0 {
		if err := c.store(ctx, mailbox, fresh); err != nil {
			return err
		}
	}
	c.tell()
	return nil
}

// store has messages stored that the target does not know.
func (c *copier) store(ctx context.Context, mailbox string, fresh []Message) error {
	outcomes, err := c.dst.Import(ctx, mailbox, fresh)
	if refusal, ok := errors.AsType[*imap.Error](err); ok {
		for _, m := range fresh {
			c.refused(mailbox, m.Name, errors.New(refusal.Text))
		}
		return nil
	}
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		switch o.Status {
		case Stored:
			c.report.Stored++
			c.report.Octets += fresh[i].Size
			c.progress.OctetsDone += fresh[i].Size
			c.progress.MessagesDone++
		case Known:
			c.report.Known++
			c.progress.MessagesDone++
		case Refused:
			c.refused(mailbox, fresh[i].Name, errors.New(o.Reason))
		}
	}
	return nil
}
