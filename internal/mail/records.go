package mail

import (
	"encoding/binary"
	"fmt"

	"tidemark/imap"
	"tidemark/internal/store"
)

// Versions of the records. A change of a record's fields raises its number.
const (
	accountVersion = 1
	nameVersion    = 1
	mailboxVersion = 1
	logVersion     = 1
	emailVersion   = 1
	garbageVersion = 1
)

// accountMeta has the account's counters.
type accountMeta struct {
	LastMailbox     mailboxID
	LastEmail       emailID
	LastUIDValidity uint32
	ListVersion     uint64 // grows with each change of names, subscriptions or uses
	LastGarbage     uint64
	Names           uint32 // nameRecords
}

func (a *accountMeta) encode() []byte {
	b := []byte{accountVersion}
	b = binary.AppendUvarint(b, uint64(a.LastMailbox))
	b = binary.AppendUvarint(b, uint64(a.LastEmail))
	b = binary.AppendUvarint(b, uint64(a.LastUIDValidity))
	b = binary.AppendUvarint(b, a.ListVersion)
	b = binary.AppendUvarint(b, a.LastGarbage)
	return binary.AppendUvarint(b, uint64(a.Names))
}

func decodeAccountMeta(b []byte) (*accountMeta, error) {
	r := newReader(b, accountVersion, "account")
	a := &accountMeta{
		LastMailbox:     mailboxID(r.uint32()),
		LastEmail:       emailID(r.uint()),
		LastUIDValidity: r.uint32(),
		ListVersion:     r.uint(),
		LastGarbage:     r.uint(),
		Names:           r.uint32(),
	}
	return a, r.done()
}

// nameRecord says what a mailbox name stands for.
type nameRecord struct {
	Mailbox    mailboxID // 0: a subscribed name without a mailbox
	Subscribed bool
	Uses       []imap.MailboxAttr
}

func (n *nameRecord) encode() []byte {
	b := []byte{nameVersion}
	b = binary.AppendUvarint(b, uint64(n.Mailbox))
	b = append(b, boolByte(n.Subscribed))
	b = binary.AppendUvarint(b, uint64(len(n.Uses)))
	for _, u := range n.Uses {
		b = appendString(b, string(u))
	}
	return b
}

func decodeNameRecord(b []byte) (*nameRecord, error) {
	r := newReader(b, nameVersion, "mailbox name")
	n := &nameRecord{Mailbox: mailboxID(r.uint32()), Subscribed: r.byte() != 0}
	for range r.count() {
		n.Uses = append(n.Uses, imap.MailboxAttr(r.string()))
	}
	return n, r.done()
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// mailboxMeta is the head of a mailbox: its counters as of ModSeq, and how far
// its log and its snapshot reach.
type mailboxMeta struct {
	UIDValidity uint32
	UIDNext     uint32
	ModSeq      uint64 // of the newest log record; HIGHESTMODSEQ
	Messages    uint32
	Unseen      uint32
	Deleted     uint32
	Size        uint64 // octets
	Recent      uint32 // UIDs from here on have been \Recent in no session

	Snapshot uint64 // the MODSEQ that the chunks stand for
	LogFloor uint64 // log records up to here have been trimmed

	Keywords []imap.Flag // flag number 5+i is Keywords[i]
}

func (m *mailboxMeta) encode() []byte {
	b := []byte{mailboxVersion}
	for _, n := range [...]uint64{
		uint64(m.UIDValidity), uint64(m.UIDNext), m.ModSeq, uint64(m.Messages), uint64(m.Unseen),
		uint64(m.Deleted), m.Size, uint64(m.Recent), m.Snapshot, m.LogFloor, uint64(len(m.Keywords)),
	} {
		b = binary.AppendUvarint(b, n)
	}
	for _, k := range m.Keywords {
		b = appendString(b, string(k))
	}
	return b
}

func decodeMailboxMeta(b []byte) (*mailboxMeta, error) {
	r := newReader(b, mailboxVersion, "mailbox")
	m := &mailboxMeta{
		UIDValidity: r.uint32(), UIDNext: r.uint32(), ModSeq: r.uint(), Messages: r.uint32(), Unseen: r.uint32(),
		Deleted: r.uint32(), Size: r.uint(), Recent: r.uint32(), Snapshot: r.uint(), LogFloor: r.uint(),
	}
	for range r.count() {
		m.Keywords = append(m.Keywords, imap.Flag(r.string()))
	}
	return m, r.done()
}

// logRecord is one change of a mailbox: what one command did, in one MODSEQ. Its
// parts take effect in the order of the fields.
type logRecord struct {
	Time     int64 // seconds since 1970
	Flags    []flagChange
	Expunged imap.NumSet // UIDs
	Added    []added
}

// flagChange gives UIDs the flags in Add, after taking away those in Remove, or
// all, if Replace is set.
type flagChange struct {
	UIDs    imap.NumSet
	Replace bool
	Add     flagBits
	Remove  flagBits
}

// added is one message that came into the mailbox.
type added struct {
	UID      uint32
	Email    emailID
	Size     uint32
	Internal packedTime
	Sent     packedTime // of the Date header; 0 if there was none to be read
	Saved    int64      // seconds since 1970
	Flags    flagBits
}

func (l *logRecord) encode() []byte {
	b := binary.AppendVarint([]byte{logVersion}, l.Time)
	b = binary.AppendUvarint(b, uint64(len(l.Flags)))
	for _, c := range l.Flags {
		b = appendSet(b, c.UIDs)
		b = append(b, boolByte(c.Replace))
		b = appendString(b, string(c.Add))
		b = appendString(b, string(c.Remove))
	}
	b = appendSet(b, l.Expunged)
	b = binary.AppendUvarint(b, uint64(len(l.Added)))
	var uid uint32
	for _, a := range l.Added {
		b = binary.AppendUvarint(b, uint64(a.UID-uid))
		uid = a.UID
		b = binary.AppendUvarint(b, uint64(a.Email))
		b = binary.AppendUvarint(b, uint64(a.Size))
		b = binary.AppendVarint(b, int64(a.Internal))
		b = binary.AppendVarint(b, int64(a.Sent))
		b = binary.AppendVarint(b, a.Saved)
		b = appendString(b, string(a.Flags))
	}
	return b
}

func decodeLogRecord(b []byte) (*logRecord, error) {
	r := newReader(b, logVersion, "log")
	l := &logRecord{Time: r.int()}
	for range r.count() {
		l.Flags = append(l.Flags, flagChange{
			UIDs: r.set(), Replace: r.byte() != 0, Add: flagBits(r.string()), Remove: flagBits(r.string()),
		})
	}
	l.Expunged = r.set()
	n := r.count()
	if n > 0 {
		l.Added = make([]added, 0, n)
	}
	var uid uint32
	for range n {
		step := r.uint32()
		if step == 0 || uid+step < uid {
			r.fail()
		}
		uid += step
		l.Added = append(l.Added, added{
			UID: uid, Email: emailID(r.uint()), Size: r.uint32(),
			Internal: packedTime(r.int()), Sent: packedTime(r.int()), Saved: r.int(), Flags: flagBits(r.string()),
		})
	}
	return l, r.done()
}

// emailRecord is what was worked out of a message when it arrived. The byte
// fields are in wire form or in the form of package message; decoding does not copy
// them.
type emailRecord struct {
	Blob          store.BlobID
	Size          uint32
	Parts         []byte // message.Part in its binary form
	Envelope      []byte
	Body          []byte
	BodyStructure []byte
	Preview       []byte
}

func (e *emailRecord) encode() []byte {
	n := 64
	fields := e.fields()
	for _, f := range fields {
		n += len(*f) + 4
	}
	b := append(make([]byte, 0, n), emailVersion)
	b = append(b, e.Blob[:]...)
	b = binary.AppendUvarint(b, uint64(e.Size))
	for _, f := range fields {
		b = appendField(b, *f)
	}
	return b
}

func (e *emailRecord) fields() [5]*[]byte {
	return [...]*[]byte{&e.Envelope, &e.Body, &e.BodyStructure, &e.Parts, &e.Preview}
}

func decodeEmailRecord(b []byte, e *emailRecord) error {
	r := newReader(b, emailVersion, "email")
	if len(r.b) < len(e.Blob) {
		r.fail()
		return r.err
	}
	r.b = r.b[copy(e.Blob[:], r.b):]
	e.Size = r.uint32()
	for _, f := range e.fields() {
		*f = r.bytes()
	}
	return r.done()
}

// garbageRecord lists emails that an expunge may have left without a message.
type garbageRecord struct {
	Time   int64 // seconds since 1970
	Emails []emailID
}

func (g *garbageRecord) encode() []byte {
	b := binary.AppendVarint([]byte{garbageVersion}, g.Time)
	b = binary.AppendUvarint(b, uint64(len(g.Emails)))
	var last emailID
	for _, e := range g.Emails {
		b = binary.AppendVarint(b, int64(e-last))
		last = e
	}
	return b
}

func decodeGarbageRecord(b []byte) (*garbageRecord, error) {
	r := newReader(b, garbageVersion, "garbage")
	g := &garbageRecord{Time: r.int()}
	var last emailID
	for range r.count() {
		last += emailID(r.int())
		g.Emails = append(g.Emails, last)
	}
	return g, r.done()
}

// get reads and decodes the record at key. An absent record is ErrNotFound with
// its name.
func get[T any](r store.Reader, key []byte, decode func([]byte) (T, error)) (T, error) {
	b, err := r.Get(key)
	if err != nil {
		var none T
		return none, fmt.Errorf("record %q: %w", key, err)
	}
	return decode(b)
}
