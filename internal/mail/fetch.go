package mail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"tidemark/imap"
	"tidemark/imapserver"
	"tidemark/internal/store"
	"tidemark/message"
)

// errExpunged is the answer about a message that another session has expunged and
// whose content is no longer there (RFC 5530, EXPUNGEISSUED).
var errExpunged = imap.Refuse(imap.CodeExpungeIssued, "The message has been expunged")

// summary is what is stored of a message (imapserver.Summary). Its fields alias the
// store's memory.
type summary struct {
	emailRecord
	email emailID
}

// Envelope returns the ENVELOPE in wire form.
func (s *summary) Envelope() []byte { return s.emailRecord.Envelope }

// Body returns the BODY in wire form.
func (s *summary) Body() []byte { return s.emailRecord.Body }

// BodyStructure returns the BODYSTRUCTURE in wire form.
func (s *summary) BodyStructure() []byte { return s.emailRecord.BodyStructure }

// Preview returns the PREVIEW (RFC 8970).
func (s *summary) Preview() []byte { return s.emailRecord.Preview }

// EmailID returns the EMAILID (RFC 8474 §5.1).
func (s *summary) EmailID() imap.ObjectID { return s.email.objectID() }

// objectID returns the EMAILID: copies of a message within an account share it.
func (e emailID) objectID() imap.ObjectID { return imap.ObjectID(fmt.Sprintf("M%x", uint64(e))) }

// summariesPerRead is how many messages are read in one look at the store.
const summariesPerRead = 256

// Summaries calls fn with what is stored of each message. fn must not wait for
// anything: a snapshot of the store is held while it runs.
func (s *Selected) Summaries(
	ctx context.Context, msgs []imapserver.Details, fn func(i int, s imapserver.Summary) error,
) error {
	for first := 0; first < len(msgs); first += summariesPerRead {
		part := msgs[first:min(first+summariesPerRead, len(msgs))]
		err := s.svc().engine.View(ctx, s.account.id, func(r store.Reader) error {
			return readSummaries(r, part, func(i int, s imapserver.Summary) error { return fn(first+i, s) })
		})
		if err != nil {
			return s.svc().fault(err)
		}
	}
	return nil
}

func readSummaries(r store.Reader, msgs []imapserver.Details, fn func(i int, s imapserver.Summary) error) error {
	records := newRecordCursor(r, kindEmail)
	defer records.close()
	var sum summary
	for i, msg := range msgs {
		sum.email = emailID(msg.Email)
		b, err := records.at(sum.email)
		switch {
		case errors.Is(err, store.ErrNotFound):
			err = fn(i, nil)
		case err != nil:
			return fmt.Errorf("email %d: %w", sum.email, err)
		default:
			if err := decodeEmailRecord(b, &sum.emailRecord); err != nil {
				return fmt.Errorf("email %d: %w", sum.email, err)
			}
			err = fn(i, &sum)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// content is an open message: its octets and its parts (imapserver.Message).
type content struct {
	svc  *Service
	blob store.Blob
	root *message.Part
}

// messagesPerRead is how many messages Messages looks up in one look at the store.
const messagesPerRead = 32

// Messages opens the messages' content, one after the other.
func (s *Selected) Messages(ctx context.Context, msgs []imapserver.Details) iter.Seq2[imapserver.Message, error] {
	return func(yield func(imapserver.Message, error) bool) {
		for part := range slices.Chunk(msgs, messagesPerRead) {
			for _, at := range s.locateAll(ctx, part) {
				c, err := s.account.openContent(ctx, at)
				if err != nil && !yield(nil, s.svc().fault(err)) || err == nil && !yield(c, nil) {
					return
				}
			}
		}
	}
}

// located is where the octets of an email are, or why that is not known.
type located struct {
	email emailID
	blob  store.BlobID
	root  *message.Part
	err   error
}

// locateAll says of each message where its octets are.
func (s *Selected) locateAll(ctx context.Context, msgs []imapserver.Details) []located {
	list := make([]located, len(msgs))
	err := s.svc().engine.View(ctx, s.account.id, func(r store.Reader) error {
		records := newRecordCursor(r, kindEmail)
		defer records.close()
		for i, msg := range msgs {
			email := emailID(msg.Email)
			record, err := records.at(email)
			list[i] = locate(email, record, err)
		}
		return nil
	})
	if err != nil {
		for i := range list {
			list[i].err = err
		}
	}
	return list
}

// locate takes what the record of an email says, or the error of reading it.
func locate(email emailID, record []byte, err error) located {
	at := located{email: email, err: err}
	var rec emailRecord
	if at.err == nil {
		at.err = decodeEmailRecord(record, &rec)
	}
	if at.err == nil {
		at.blob = rec.Blob
		at.root, at.err = message.ParsePart(rec.Parts)
		if at.err != nil {
			at.err = fmt.Errorf("%w: parts: %w", store.ErrCorrupt, at.err)
		}
	}
	return at
}

// openContent opens what was located. It must be closed.
func (a *account) openContent(ctx context.Context, at located) (c *content, err error) {
	var blob store.Blob
	if err = at.err; err == nil {
		blob, err = a.svc.engine.OpenBlob(ctx, a.id, at.blob)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, errExpunged
	case err != nil:
		return nil, fmt.Errorf("content of email %d: %w", at.email, err)
	}
	return &content{svc: a.svc, blob: blob, root: at.root}, nil
}

// Close releases the message.
func (c *content) Close() error { return c.blob.Close() }

// Section returns the octets of BODY[section] (RFC 9051 §6.4.5.1), nil if the
// message has no such part.
func (c *content) Section(s imap.Section) (imapserver.Content, error) {
	extent, filter, ok := c.root.Section(s)
	if !ok {
		return nil, nil
	}
	if !filter {
		return &extentContent{c, extent}, nil
	}
	not := s.Text == imap.SectionHeaderFieldsNot
	if extent.Length > maxFiltered {
		return newFilteredContent(c, extent, s.Fields, not)
	}
	header, err := c.read(extent)
	if err != nil {
		return nil, err
	}
	fields := make([]byte, 0, len(header))
	return bytesContent(message.FilterHeader(fields, header, s.Fields, not)), nil
}

// maxFiltered is the longest header section, in octets, of which the chosen fields are
// held in memory until they have been sent.
const maxFiltered = 64 << 10

// read returns the octets of an extent, without copying where the engine has them.
func (c *content) read(e message.Extent) ([]byte, error) {
	if b := c.blob.Bytes(); b != nil {
		return b[e.Offset:e.End()], nil
	}
	b := make([]byte, e.Length)
	if _, err := c.blob.ReadAt(b, e.Offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, c.svc.fault(err)
	}
	return b, nil
}

// Binary returns a part without its transfer encoding (RFC 3516 §4.1), nil if the
// message has no such part. Of a part that has parts of its own it is the body as it is.
func (c *content) Binary(number []uint32) (imapserver.Content, error) {
	if len(number) == 0 {
		return &extentContent{c, c.root.Extent()}, nil
	}
	part := c.root.Find(number)
	if part == nil {
		return nil, nil
	}
	if part.Decoded < 0 {
		return nil, imap.Refuse(imap.CodeUnknownCTE, "The part has an unknown Content-Transfer-Encoding")
	}
	if part.Decoded == part.Body.Length {
		if _, identity := message.DecodeTransfer(nil, part.Encoding); identity || part.IsMultipart() {
			return &extentContent{c, part.Body}, nil
		}
	}
	return &decodedContent{c, part}, nil
}

// extentContent is a run of the message as it is.
type extentContent struct {
	c *content
	e message.Extent
}

// Size returns the octets.
func (x *extentContent) Size() int64 { return x.e.Length }

// WriteRange writes octets of the extent.
func (x *extentContent) WriteRange(w io.Writer, offset, n int64) error {
	for at, end := x.e.Offset+offset, x.e.Offset+offset+n; at < end; {
		b, err := x.c.blob.Piece(at)
		if err != nil {
			return err
		}
		b = b[:min(int64(len(b)), end-at)]
		if _, err := w.Write(b); err != nil {
			return err
		}
		at += int64(len(b))
	}
	return nil
}

// bytesContent is octets made for the answer.
type bytesContent []byte

// Size returns the octets.
func (b bytesContent) Size() int64 { return int64(len(b)) }

// WriteRange writes a part of them.
func (b bytesContent) WriteRange(w io.Writer, offset, n int64) error {
	_, err := w.Write(b[offset : offset+n])
	return err
}

// filteredContent is some fields of a large header section, chosen once to count them
// and again while they are written.
type filteredContent struct {
	c      *content
	e      message.Extent
	fields []string
	not    bool
	size   int64
}

func newFilteredContent(c *content, e message.Extent, fields []string, not bool) (*filteredContent, error) {
	f := &filteredContent{c: c, e: e, fields: fields, not: not}
	var count rangeWriter
	if err := f.copyTo(&count); err != nil {
		return nil, c.svc.fault(err)
	}
	f.size = count.seen
	return f, nil
}

func (f *filteredContent) copyTo(w io.Writer) error {
	return message.CopyHeader(w, io.NewSectionReader(f.c.blob, f.e.Offset, f.e.Length), f.fields, f.not)
}

// Size returns the octets.
func (f *filteredContent) Size() int64 { return f.size }

// WriteRange writes a part of them.
func (f *filteredContent) WriteRange(w io.Writer, offset, n int64) error {
	return f.copyTo(&rangeWriter{w: w, from: offset, to: offset + n})
}

// rangeWriter counts what it is given and passes on what lies between two offsets.
type rangeWriter struct {
	w        io.Writer
	from, to int64
	seen     int64
}

func (r *rangeWriter) Write(p []byte) (int, error) {
	first := min(max(r.from-r.seen, 0), int64(len(p)))
	last := min(max(r.to-r.seen, first), int64(len(p)))
	r.seen += int64(len(p))
	if first < last {
		if _, err := r.w.Write(p[first:last]); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// decodedContent is a part decoded while it is written.
type decodedContent struct {
	c    *content
	part *message.Part
}

// Size returns the octets after decoding.
func (d *decodedContent) Size() int64 { return d.part.Decoded }

// WriteRange decodes from the part's start and writes what lies in the range.
func (d *decodedContent) WriteRange(w io.Writer, offset, n int64) error {
	src := io.NewSectionReader(d.c.blob, d.part.Body.Offset, d.part.Body.Length)
	r, ok := message.DecodeTransfer(src, d.part.Encoding)
	if !ok {
		return fmt.Errorf("%w: part with unknown encoding has a decoded size", store.ErrCorrupt)
	}
	if _, err := io.CopyN(io.Discard, r, offset); err != nil {
		return fmt.Errorf("decoding %s: %w", d.part.Encoding, err)
	}
	if _, err := io.CopyN(w, r, n); err != nil {
		return fmt.Errorf("decoding %s: %w", d.part.Encoding, err)
	}
	return nil
}
