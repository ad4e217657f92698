package mail

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
	"sync/atomic"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
)

// details are the columns of a chunk that opening a mailbox, NOOP and FETCH FLAGS can do
// without. They never change: a message keeps its details.
type details struct {
	email    []uint64
	size     []uint32
	internal []packedTime
	sent     []packedTime
	saved    []int64
}

// lazyDetails are the details of a chunk's messages, read from the snapshot when they are
// first asked for. All versions of the chunk that have the same messages share them.
//
// A version that a session still holds may be older than the snapshot on disk. It stays
// complete by one rule: a record of details is overwritten or deleted only when those that
// it holds are in memory. A record goes when a chunk gains or loses messages, so that the
// rule is kept by viewEdit, which loads the details of such a chunk first, and by dropMailbox.
// It needs that all views of a mailbox that outlive the transaction or look that read them
// are made of one: mailbox.at and mailbox.load see to that.
type lazyDetails struct {
	mailbox  mailboxID // with firstUID, the key of the record
	firstUID uint32
	messages int

	// written is the MODSEQ of the snapshot that wrote the record, 0 if none has. The
	// chunk's own record names it, too, so that records that do not belong together are
	// found out.
	written atomic.Uint64
	columns atomic.Pointer[details] // nil until they are read
}

// knownDetails returns details that no snapshot has yet.
func knownDetails(d *details) *lazyDetails {
	l := new(lazyDetails)
	l.columns.Store(d)
	return l
}

// load returns the details, reading them if need be. Where that fails, the next call
// tries again. It may be called concurrently: all callers read the same record.
func (l *lazyDetails) load(r store.Reader) (*details, error) {
	d, err := l.look(r)
	if err == nil {
		l.columns.Store(d)
	}
	return d, err
}

// look returns the details like load, but does not keep what it has read: for going
// through mailboxes that nobody may have open.
func (l *lazyDetails) look(r store.Reader) (*details, error) {
	if d := l.columns.Load(); d != nil {
		return d, nil
	}
	b, err := r.Get(detailsKey(l.mailbox, l.firstUID))
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: they are missing", store.ErrCorrupt)
	}
	var d *details
	if err == nil {
		d, err = decodeDetails(b, l.messages, l.written.Load())
	}
	if err != nil {
		return nil, fmt.Errorf("details of UIDs from %d on in mailbox %d: %w", l.firstUID, l.mailbox, err)
	}
	return d, nil
}

const detailsVersion = 2

// encode returns the details as they are stored by the snapshot of a MODSEQ.
func (d *details) encode(modseq uint64) []byte {
	b := append(make([]byte, 0, 64+len(d.email)*40), detailsVersion)
	b = binary.AppendUvarint(b, modseq)
	b = binary.AppendUvarint(b, uint64(len(d.email)))
	b = appendPacked(b, d.email)
	b = appendPacked(b, d.size)
	b = appendPacked(b, d.internal)
	b = appendPacked(b, d.sent)
	return appendPacked(b, d.saved)
}

func decodeDetails(b []byte, messages int, modseq uint64) (*details, error) {
	r := newReader(b, detailsVersion, "details")
	if written, n := r.uint(), r.uint(); r.err == nil && (written != modseq || n != uint64(messages)) {
		return nil, fmt.Errorf("%w: they are those of %d messages as of MODSEQ %d, not of %d as of %d",
			store.ErrCorrupt, n, written, messages, modseq)
	}
	d := &details{
		email: takePacked[uint64](r, messages), size: takePacked[uint32](r, messages),
		internal: takePacked[packedTime](r, messages), sent: takePacked[packedTime](r, messages),
		saved: takePacked[int64](r, messages),
	}
	return d, r.done()
}

func (d *details) pick(keep []int) *details {
	return &details{
		email: pick(d.email, keep), size: pick(d.size, keep), internal: pick(d.internal, keep),
		sent: pick(d.sent, keep), saved: pick(d.saved, keep),
	}
}

// grow moves the details to where there is room for n messages.
func (d *details) grow(n int) {
	d.email, d.size, d.saved = grow(d.email, n), grow(d.size, n), grow(d.saved, n)
	d.internal, d.sent = grow(d.internal, n), grow(d.sent, n)
}

// append adds a message to details that are part of no view yet.
func (d *details) append(a *added) {
	d.email = append(d.email, uint64(a.Email))
	d.size = append(d.size, a.Size)
	d.internal = append(d.internal, a.Internal)
	d.sent = append(d.sent, a.Sent)
	d.saved = append(d.saved, a.Saved)
}

func joinDetails(a, b *details) *details {
	return &details{
		email: slices.Concat(a.email, b.email), size: slices.Concat(a.size, b.size),
		internal: slices.Concat(a.internal, b.internal), sent: slices.Concat(a.sent, b.sent),
		saved: slices.Concat(a.saved, b.saved),
	}
}

// details returns the details of the chunk, which must have been loaded.
func (c *chunk) details() *details { return c.lazy.columns.Load() }

// The details of one message, which must have been loaded (view.loadDetails).
func (p place) email() emailID           { return emailID(p.c.details().email[p.i]) }
func (p place) size() uint32             { return p.c.details().size[p.i] }
func (p place) internalDate() packedTime { return p.c.details().internal[p.i] }
func (p place) sentDate() packedTime     { return p.c.details().sent[p.i] } // 0 without one
func (p place) saveDate() int64          { return p.c.details().saved[p.i] }

// loadEmail returns the email of one message, whose details need not have been loaded.
func (p place) loadEmail(r store.Reader) (emailID, error) {
	d, err := p.c.lazy.load(r)
	if err != nil {
		return 0, err
	}
	return emailID(d.email[p.i]), nil
}

// chunksAt yields the chunks that have any of the given positions.
func (v *view) chunksAt(seqs imap.NumSet) iter.Seq[*chunk] {
	return func(yield func(*chunk) bool) {
		k := 0
		for _, r := range seqs {
			k += sort.Search(len(v.chunks)-k, func(i int) bool { return v.starts[k+i+1] >= r.Start })
			for ; k < len(v.chunks) && v.starts[k] < r.Stop; k++ {
				if !yield(v.chunks[k]) {
					return
				}
			}
		}
	}
}

// loadDetails reads the details of the messages at the given positions, as far as they
// are not in memory yet.
func (v *view) loadDetails(r store.Reader, seqs imap.NumSet) error {
	for c := range v.chunksAt(seqs) {
		if _, err := c.lazy.load(r); err != nil {
			return err
		}
	}
	return nil
}

// hasDetails says whether the details of the messages at the given positions are in memory.
func (v *view) hasDetails(seqs imap.NumSet) bool {
	for c := range v.chunksAt(seqs) {
		if c.details() == nil {
			return false
		}
	}
	return true
}

// all returns the positions of all messages.
func (v *view) all() imap.NumSet {
	if v.Len() == 0 {
		return nil
	}
	return imap.NumSet{{Start: 1, Stop: v.Len()}}
}

// loadDetails has the details of the messages at the given positions of v in memory.
func (m *mailbox) loadDetails(ctx context.Context, v *view, seqs imap.NumSet) error {
	if v.hasDetails(seqs) {
		return nil
	}
	return m.account.svc.engine.View(ctx, m.account.id, func(r store.Reader) error { return v.loadDetails(r, seqs) })
}

// Details returns what is known of the messages at the given positions of v, which must
// exist, beyond their Rows.
func (s *Selected) Details(
	ctx context.Context, version imapserver.View, seqs imap.NumSet,
) ([]imapserver.Details, error) {
	v := version.(*view)
	if err := s.loadDetails(ctx, v, seqs); err != nil {
		return nil, s.svc().fault(err)
	}
	out := make([]imapserver.Details, 0, seqs.Count())
	for _, p := range v.at(seqs) {
		out = append(out, imapserver.Details{
			Size: p.size(), InternalDate: p.internalDate().timestamp(), SaveDate: p.saveDate(),
			Email: uint64(p.email()),
		})
	}
	return out, nil
}
