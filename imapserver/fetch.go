package imapserver

import (
	"context"
	"errors"
	"iter"
	"slices"

	"tidemark/imap"
	"tidemark/imapwire"
)

// fetch is FETCH (RFC 9051 §6.4.5, RFC 7162 §3.1.4).
func (s *selected) fetch(ctx context.Context, cmd *imap.Fetch) (outcome, error) {
	if cmd.Vanished && !s.enabled.qresync {
		return outcome{}, imap.Bad("QRESYNC has not been enabled")
	}
	f := newFetcher(s, cmd)
	if f.contents > maxContents {
		return outcome{}, imap.Refuse(imap.CodeLimit, "Too many sections in one FETCH")
	}
	if f.contents > fewContents {
		limited, end, err := s.beginHeavy(ctx)
		if err != nil {
			return outcome{}, err
		}
		defer end()
		ctx = limited
	}
	if f.has(imap.FetchModSeq) {
		s.enableCondStore()
	}
	seqs, err := s.resolve(cmd.Set, cmd.UID)
	if err != nil {
		return outcome{}, err
	}
	if cmd.Vanished {
		if err := s.tellVanished(ctx, cmd); err != nil {
			return outcome{}, err
		}
	}
	if err := f.run(ctx, seqs); err != nil {
		return outcome{}, err
	}
	if err := s.markSeen(ctx, f.seen); err != nil {
		return outcome{}, err
	}
	if f.failed != nil {
		return outcome{}, f.failed
	}
	if f.gone {
		// RFC 2180 §4.1.3: what could be sent has been, and the client learns that a
		// NOOP will tell it of expunges.
		return outcome{code: imap.CodeExpungeIssued, text: "Some of the messages no longer exist"}, nil
	}
	return outcome{}, nil
}

// tellVanished tells which of the UIDs of a UID FETCH with VANISHED are gone
// (RFC 7162 §3.2.6).
func (s *selected) tellVanished(ctx context.Context, cmd *imap.Fetch) error {
	asked := s.saved
	if !cmd.Set.Saved {
		asked = cmd.Set.Nums.Resolve(max(uint32(s.base.UIDNext()), 1) - 1)
	}
	if len(asked) == 0 {
		return nil
	}
	expunged, _, err := s.mailbox.Since(ctx, s.base, *cmd.ChangedSince, asked)
	if err == nil && len(expunged) > 0 {
		s.put(imapwire.AppendVanished(s.buf(), expunged, true))
	}
	return err
}

// markSeen sets \Seen on messages whose content was fetched without PEEK, in one
// change, and tells it. That it could not be set, because the disk is full say, is no
// reason to call a FETCH failed that has sent everything.
func (s *selected) markSeen(ctx context.Context, uids imap.NumSet) error {
	if len(uids) == 0 {
		return nil
	}
	result, err := s.mailbox.Store(ctx, StoreChange{
		UIDs: uids, Op: imap.StoreAdd, Flags: []imap.Flag{imap.FlagSeen}, Early: s.storesEarly(),
	})
	if _, refused := errors.AsType[*imap.Error](err); refused || errors.Is(err, ErrUnavailable) {
		s.log.Debug("messages not marked as seen", "error", err)
		return nil
	}
	if err == nil {
		s.advance(result.After, false)
	}
	return err
}

// maxContents is how many different sections one FETCH may ask for of each message: all of
// them are open while the answer is made.
const maxContents = 100

// fewContents is how many sections mail programs ask for at once. With more, a FETCH counts
// as heavy: each may mean decoding a large part, and little may come of it.
const fewContents = 8

// fetcher is one FETCH in work.
type fetcher struct {
	*selected
	items     []imap.FetchItem
	details   bool // an item needs Details, Summary or Message
	summaries bool // an item needs Summary
	content   bool // an item needs Message
	contents  int  // how many do
	seeing    bool // an item sets \Seen
	since     imap.ModSeq
	limited   bool // to messages that changed after since

	seen   imap.NumSet // UIDs to be made \Seen
	gone   bool        // a message's content was no longer there
	failed error       // the first failure that was about one message
}

func newFetcher(s *selected, cmd *imap.Fetch) *fetcher {
	f := &fetcher{selected: s}
	if cmd.UID {
		f.add(imap.FetchItem{Kind: imap.FetchUID}) // RFC 9051 §6.4.9
	}
	for _, item := range cmd.Items {
		f.add(item)
	}
	if cmd.ChangedSince != nil {
		f.add(imap.FetchItem{Kind: imap.FetchModSeq}) // RFC 7162 §3.1.4.1
		f.since, f.limited = *cmd.ChangedSince, true
	}
	return f
}

// add adds an item that is not there yet: asking for a body three hundred times gets
// it once.
func (f *fetcher) add(item imap.FetchItem) {
	if sets := setsSeen(item); sets && !f.mailbox.ReadOnly() {
		f.seeing = true
	}
	item.Peek = false // makes no difference in the answer
	if item.Kind == imap.FetchPreviewLazy {
		item.Kind = imap.FetchPreview // it is there already
	}
	if slices.ContainsFunc(f.items, func(have imap.FetchItem) bool { return sameItem(have, item) }) {
		return
	}
	switch item.Kind {
	case imap.FetchInternalDate, imap.FetchRFC822Size, imap.FetchSaveDate:
		f.details = true
	case imap.FetchEnvelope, imap.FetchBody, imap.FetchBodyStructure, imap.FetchEmailID, imap.FetchPreview:
		f.details, f.summaries = true, true
	case imap.FetchBodySection, imap.FetchRFC822, imap.FetchRFC822Header, imap.FetchRFC822Text,
		imap.FetchBinary, imap.FetchBinarySize:
		f.details, f.content = true, true
		f.contents++
	}
	f.items = append(f.items, item)
}

func (f *fetcher) has(kind imap.FetchKind) bool {
	return slices.ContainsFunc(f.items, func(i imap.FetchItem) bool { return i.Kind == kind })
}

// setsSeen says whether fetching item makes a message \Seen.
func setsSeen(item imap.FetchItem) bool {
	switch item.Kind {
	case imap.FetchBodySection, imap.FetchBinary, imap.FetchRFC822, imap.FetchRFC822Text:
		return !item.Peek
	}
	return false
}

// sameItem says whether two items get one answer.
func sameItem(a, b imap.FetchItem) bool {
	return a.Kind == b.Kind && a.Section.Text == b.Section.Text &&
		slices.Equal(a.Section.Part, b.Section.Part) && slices.Equal(a.Section.Fields, b.Section.Fields) &&
		(a.Partial == b.Partial || a.Partial != nil && b.Partial != nil && *a.Partial == *b.Partial)
}

// fetchBatch is how many rows are put together for one call of Mailbox.Summaries.
const fetchBatch = 256

// run answers for the messages at the given positions of base.
func (f *fetcher) run(ctx context.Context, seqs imap.NumSet) error {
	if f.limited && f.base == f.tip {
		seqs = seqs.Intersect(f.tip.Newer(f.since))
	}
	batch := make([]fetchRow, 0, min(seqs.Count(), fetchBatch))
	for r := range f.rows(seqs) {
		if f.limited && r.row.ModSeq <= f.since {
			continue
		}
		batch = append(batch, r)
		if len(batch) < fetchBatch {
			continue
		}
		if err := f.answer(ctx, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return f.answer(ctx, batch)
}

// rows yields the newest rows of the messages at the given positions of base.
func (f *fetcher) rows(seqs imap.NumSet) iter.Seq[fetchRow] {
	return func(yield func(fetchRow) bool) {
		for seq, row := range f.base.Rows(seqs) {
			r := fetchRow{seq: seq, row: row, present: true}
			if f.base != f.tip {
				r.row, r.present = f.selected.row(seq)
			}
			if !yield(r) {
				return
			}
		}
	}
}

// fetchRow is one message that is to be answered for.
type fetchRow struct {
	seq     imap.SeqNum
	row     Row
	details Details // if they are needed
	present bool
}

// addDetails completes the rows with what is asked beyond them. Base has every message, and
// the details are the same in all versions.
func (f *fetcher) addDetails(ctx context.Context, batch []fetchRow) error {
	if !f.details {
		return nil
	}
	var seqs imap.NumSet
	for i := range batch {
		seqs.Add(uint32(batch[i].seq))
	}
	details, err := f.mailbox.Details(ctx, f.base, seqs)
	if err != nil {
		return err
	}
	for i := range batch {
		batch[i].details = details[i]
	}
	return nil
}

func (f *fetcher) answer(ctx context.Context, batch []fetchRow) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.addDetails(ctx, batch); err != nil {
		return err
	}
	if f.has(imap.FetchModSeq) && len(batch) > 0 {
		f.told.modSeqs = true
	}
	switch {
	case f.content:
		return f.answerContent(ctx, batch)
	case f.summaries:
		return f.answerSummaries(ctx, batch)
	default:
		for i := range batch {
			f.put(f.appendRow(f.buf(), &batch[i], nil))
		}
		return f.writeError()
	}
}

// writeError returns a failure of the connection as one that ends it.
func (c *conn) writeError() error {
	if c.t.writeFailed != nil {
		return &streamError{c.t.writeFailed}
	}
	return nil
}

// appendRow appends the response for a message none of whose items need its content.
func (f *fetcher) appendRow(b []byte, r *fetchRow, sum Summary) []byte {
	b = imapwire.AppendFetchStart(b, r.seq)
	for i := range f.items {
		if i > 0 {
			b = append(b, ' ')
		}
		b = f.appendItem(b, &f.items[i], r, sum)
	}
	return imapwire.AppendFetchEnd(b)
}

// appendItem appends an item that does not need the content.
func (f *fetcher) appendItem(b []byte, item *imap.FetchItem, r *fetchRow, sum Summary) []byte {
	switch item.Kind {
	case imap.FetchUID:
		return imapwire.AppendFetchUID(b, r.row.UID)
	case imap.FetchFlags:
		return f.appendFlags(b, r.row)
	case imap.FetchInternalDate:
		return imapwire.AppendFetchInternalDate(b, r.details.InternalDate.Unix, r.details.InternalDate.Zone)
	case imap.FetchRFC822Size:
		return imapwire.AppendFetchSize(b, uint64(r.details.Size))
	case imap.FetchModSeq:
		return imapwire.AppendFetchModSeq(b, r.row.ModSeq)
	case imap.FetchSaveDate:
		return imapwire.AppendFetchSaveDate(b, r.details.SaveDate)
	case imap.FetchThreadID:
		return imapwire.AppendFetchThreadID(b, "")
	case imap.FetchEmailID:
		return imapwire.AppendFetchEmailID(b, sum.EmailID())
	case imap.FetchPreview:
		text := string(sum.Preview())
		return imapwire.AppendFetchPreview(b, &text)
	case imap.FetchEnvelope:
		return append(append(b, "ENVELOPE "...), sum.Envelope()...)
	case imap.FetchBody:
		return f.appendBody(append(b, "BODY "...), sum.Body())
	default: // imap.FetchBodyStructure
		return f.appendBody(append(b, "BODYSTRUCTURE "...), sum.BodyStructure())
	}
}

// appendBody appends a body as the client's version of IMAP knows it.
func (f *fetcher) appendBody(b, body []byte) []byte {
	if f.enabled.rev2 {
		return append(b, body...)
	}
	return imapwire.AppendBodyRev1(b, body)
}

// errBatchFull ends a call of Mailbox.Summaries to write what has been made: nothing
// is written while the backend may hold a snapshot.
var errBatchFull = errors.New("batch is full")

// answerSummaries answers for messages of which summaries are asked.
func (f *fetcher) answerSummaries(ctx context.Context, batch []fetchRow) error {
	msgs := make([]Details, len(batch))
	for i := range batch {
		msgs[i] = batch[i].details
	}
	for done := 0; done < len(batch); {
		b, next := f.buf(), done
		err := f.mailbox.Summaries(ctx, msgs[done:], func(i int, sum Summary) error {
			next = done + i + 1
			if sum == nil {
				f.gone = true
				return nil
			}
			b = f.appendRow(b, &batch[done+i], sum)
			if len(b) >= outputSize {
				return errBatchFull
			}
			return nil
		})
		f.put(b)
		if err != nil && !errors.Is(err, errBatchFull) {
			return err
		}
		if err := f.writeError(); err != nil {
			return err
		}
		if err == nil {
			return nil
		}
		done = next
	}
	return nil
}
