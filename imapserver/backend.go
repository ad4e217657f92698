// Package imapserver is the server side of IMAP: connections, states, commands
// and the moments at which a client is told of changes. It knows no storage: the
// interfaces in this file say what it needs of one.
package imapserver

import (
	"context"
	"crypto/tls"
	"io"
	"iter"
	"net/netip"
	"time"

	"tidemark/imap"
	"tidemark/sasl"
)

// Errors: whatever a client can cause (no such mailbox, quota, a limit) is
// returned as an *imap.Error and shown to it. Every other error is the server's
// and is shown as NO [SERVERBUG] or, if errors.Is says it is an ErrUnavailable,
// as NO [UNAVAILABLE], with an id that stands in the log.

// ErrUnavailable is matched (errors.Is) by errors of the backend that are about
// its condition and not about the command: storage that takes no writes.
var ErrUnavailable = errUnavailable{}

type errUnavailable struct{}

func (errUnavailable) Error() string { return "temporarily unavailable" }

// Peer is what is known of the other end of a connection.
type Peer struct {
	Addr  netip.AddrPort
	Local netip.AddrPort
	TLS   *tls.ConnectionState // nil without TLS
	ID    string               // the connection's id in logs
}

// Authenticator decides who may come in, and logs who did and who did not.
type Authenticator interface {
	// Mechanisms returns the SASL mechanisms to offer to peer, in the order in
	// which they are announced. Without TLS it is empty unless plain text is
	// allowed from there; LOGIN is then refused as well.
	Mechanisms(peer Peer) []string

	// Begin starts an exchange with one of Mechanisms.
	Begin(ctx context.Context, peer Peer, mechanism string) (sasl.Server, error)

	// Login checks a user name and password. Failure is an *imap.Error with
	// AUTHENTICATIONFAILED, the same for every reason, and may be slow on purpose.
	Login(ctx context.Context, peer Peer, user, password string) (sasl.Identity, error)
}

// Backend opens accounts. All interfaces below may be used by one session from
// several goroutines, and all but their Close may be called concurrently.
type Backend interface {
	// OpenAccount opens the account of an authenticated user.
	OpenAccount(ctx context.Context, id sasl.Identity) (Account, error)
}

// Account is one user's mail as one session sees it. What cannot be done is refused with
// an *imap.Error that has the response code: no such mailbox (NONEXISTENT), a name that is
// taken (ALREADYEXISTS), too many mailboxes (LIMIT).
type Account interface {
	// Mailboxes returns every mailbox, and every subscribed name that has no
	// mailbox, ordered by name with INBOX first. The slice is shared: it must not
	// be changed.
	Mailboxes(ctx context.Context) ([]MailboxInfo, error)

	// Create makes a mailbox, and those above it that are missing, and returns its
	// MAILBOXID. uses are the special uses asked for (RFC 6154 §3).
	Create(ctx context.Context, name string, uses []imap.MailboxAttr) (imap.ObjectID, error)
	// Delete removes a mailbox and its messages. Mailboxes below it stay.
	Delete(ctx context.Context, name string) error
	// Rename renames a mailbox and what is below it. Renaming INBOX moves its
	// messages (RFC 9051 §6.3.6).
	Rename(ctx context.Context, from, to string) error
	// Subscribe adds a name to the subscriptions, or takes it away. The name need not
	// stand for a mailbox.
	Subscribe(ctx context.Context, name string, on bool) error

	// Status answers from counters; its cost does not grow with the mailbox.
	Status(ctx context.Context, name string) (MailboxStatus, error)

	// OpenMailbox opens a mailbox to be selected.
	OpenMailbox(ctx context.Context, name string, readOnly bool) (Mailbox, error)

	// NewUpload begins a message of size octets meant for the named mailbox. It is
	// called before a synchronising literal is asked for and refuses what
	// could not be appended: no such mailbox (TRYCREATE), too large (TOOBIG), no room
	// (OVERQUOTA).
	NewUpload(ctx context.Context, mailbox string, size int64) (Upload, error)

	// Append stores the messages in one transaction, all or none, and takes over
	// their uploads.
	Append(ctx context.Context, mailbox string, msgs []AppendMessage) (AppendResult, error)

	// AppendLimit is the largest message taken, in octets (RFC 7889).
	AppendLimit() int64

	Close() error
}

// MailboxInfo is one mailbox, or a subscribed name without one.
type MailboxInfo struct {
	Name        string // UTF-8
	ID          imap.ObjectID
	NonExistent bool // a subscribed name only
	Subscribed  bool
	SpecialUse  []imap.MailboxAttr
}

// MailboxStatus is what STATUS may ask for.
type MailboxStatus struct {
	ID            imap.ObjectID
	UIDValidity   uint32
	UIDNext       imap.UID
	HighestModSeq imap.ModSeq
	Messages      uint32
	Unseen        uint32
	Deleted       uint32
	Recent        uint32
	Size          int64
}

// Upload receives the octets of one message. Abort gives it up; after Append has
// taken it Abort does nothing. A Write that fails with an *imap.Error says why the
// message is not acceptable; the rest of the literal is then to be discarded.
type Upload interface {
	io.Writer
	Abort()
}

// AppendMessage is one message of an Append.
type AppendMessage struct {
	Upload       Upload
	Flags        []imap.Flag
	InternalDate time.Time // zero for now
}

// AppendResult is the content of APPENDUID (RFC 9051 §7.1).
type AppendResult struct {
	UIDValidity uint32
	UIDs        imap.NumSet
}

// Mailbox is a mailbox that a session has selected.
type Mailbox interface {
	Name() string
	ID() imap.ObjectID
	UIDValidity() uint32
	ReadOnly() bool

	// View returns the newest version that is durable. It costs next to nothing.
	View() View

	// Watch has wake called, from any goroutine, whenever View may have become
	// newer or the mailbox was deleted, until stop is called. wake must not block.
	Watch(wake func()) (stop func())

	// Gone says whether the mailbox was deleted.
	Gone() bool

	// ClaimRecent returns the UID from which on, and up to the view's last,
	// messages are \Recent for this session alone (RFC 3501 §2.3.2). A read-only
	// session is told but takes nothing.
	ClaimRecent(v View) (first imap.UID)

	// Since returns what a client that knows the state at modseq must be told to
	// come to v: the UIDs that have been expunged since, of those in known (nil: of
	// all), and the UIDs whose flags or other metadata have changed, new messages
	// among them. Where history does not reach back that far, expunged is every UID
	// of known (nil: below UIDNEXT) that is not in v (RFC 7162 §3.2.5.2).
	Since(ctx context.Context, v View, modseq imap.ModSeq, known imap.NumSet) (expunged, changed imap.NumSet, err error)

	// Details returns what stands beside the Rows at the given positions of v, which
	// must exist, in their order. It may have to be read first.
	Details(ctx context.Context, v View, seqs imap.NumSet) ([]Details, error)

	// Summaries calls fn for the messages in their order with what is stored of each.
	// A message that is no longer there gets nil. The Summary is valid during the call
	// only, and fn must not wait for anything. An error of fn ends it and is returned.
	Summaries(ctx context.Context, msgs []Details, fn func(i int, s Summary) error) error

	// Messages opens the messages' content, one after the other in their order. Each must
	// be closed. The error of one, EXPUNGEISSUED when it is no longer there, is not that
	// of the others.
	Messages(ctx context.Context, msgs []Details) iter.Seq2[Message, error]

	// Store changes flags in one transaction.
	Store(ctx context.Context, c StoreChange) (StoreResult, error)

	// Settle waits until all that Store has answered early is durable. An error means
	// that it may never be. Not to be called while Store runs.
	Settle(ctx context.Context) error

	// Expunge removes those of uids that are \Deleted; nil means all that are.
	Expunge(ctx context.Context, uids imap.NumSet) error

	// Copy copies the messages, or moves them, in one transaction. Messages that are
	// no longer there are left out.
	Copy(ctx context.Context, uids imap.NumSet, dest string, move bool) (CopyResult, error)

	// Search returns the UIDs of v's messages that match. In key every SearchSeq has
	// been replaced by a SearchUID, and every SetRef is resolved to plain numbers.
	Search(ctx context.Context, v View, key imap.SearchKey) (imap.NumSet, error)

	// Sort returns those of uids that are in v, in the given order (RFC 5256 §3).
	Sort(ctx context.Context, v View, order []imap.SortKey, uids imap.NumSet) ([]imap.UID, error)

	// Thread returns those of uids that are in v as threads (RFC 5256 §3).
	Thread(ctx context.Context, v View, algorithm imap.ThreadAlgorithm, uids imap.NumSet) ([]*imap.ThreadNode, error)

	Close() error
}

// View is one immutable version of a mailbox.
type View interface {
	ModSeq() imap.ModSeq // HIGHESTMODSEQ as of this version; at least 1
	Len() uint32         // messages
	UIDNext() imap.UID
	// Keywords are the keywords in use, in the order in which they came.
	Keywords() []imap.Flag

	UID(seq imap.SeqNum) imap.UID
	// Seq returns the position of uid, 0 where it is not there.
	Seq(uid imap.UID) imap.SeqNum
	Row(seq imap.SeqNum) Row
	// Rows yields the messages at the given positions, which must exist.
	Rows(seqs imap.NumSet) iter.Seq2[imap.SeqNum, Row]

	// UIDs and Seqs turn sets of positions and UIDs into each other. Numbers that
	// do not exist are left out.
	UIDs(seqs imap.NumSet) imap.NumSet
	Seqs(uids imap.NumSet) imap.NumSet

	FirstUnseen() imap.SeqNum // 0 if all are seen

	// Newer returns the positions of the messages whose MODSEQ is above modseq. Its cost
	// follows their number.
	Newer(modseq imap.ModSeq) imap.NumSet

	// Delta says how to come to this version from old, an earlier version of the
	// same mailbox. Its cost follows what has changed.
	Delta(old View) Delta
}

// Delta is the difference between two views of a mailbox.
type Delta struct {
	Expunged imap.NumSet // positions in the old view
	Changed  imap.NumSet // positions in the new view of old messages with a newer MODSEQ
	Added    uint32      // messages at the end of the new view
	Keywords bool        // Keywords differ
}

// Row is the small, hot part of a message, in memory for as long as the mailbox is
// open.
type Row struct {
	UID    imap.UID
	Flags  *imap.FlagSet
	ModSeq imap.ModSeq
}

// Details are the part of a message that is read when it is first asked for, and never
// changes.
type Details struct {
	Size         uint32 // octets
	InternalDate Timestamp
	SaveDate     int64  // seconds since 1970
	Email        uint64 // the account's number of the content, for the backend
}

// Timestamp is a time in whole seconds together with the zone it was given in.
type Timestamp struct {
	Unix int64
	Zone int16 // minutes east of UTC
}

// Time returns t in its own zone.
func (t Timestamp) Time() time.Time {
	return time.Unix(t.Unix, 0).In(time.FixedZone("", int(t.Zone)*60))
}

// Summary is what was stored of a message when it arrived.
type Summary interface {
	// In wire form, as after "ENVELOPE ", "BODY " and "BODYSTRUCTURE ".
	Envelope() []byte
	Body() []byte
	BodyStructure() []byte
	EmailID() imap.ObjectID
	// Preview is the beginning of the text as UTF-8 on one line (RFC 8970 §3.1); empty
	// where there is no text.
	Preview() []byte
}

// Message is an open message.
type Message interface {
	// Section returns the octets of BODY[section], nil for a part that does not
	// exist (to be sent as NIL).
	Section(s imap.Section) (Content, error)
	// Binary returns the part with its transfer encoding removed. UNKNOWN-CTE is an
	// *imap.Error (RFC 3516 §4.3). nil where there is no such part.
	Binary(part []uint32) (Content, error)
	Close() error
}

// Content is a run of octets of known length.
type Content interface {
	Size() int64
	// WriteRange writes n octets from offset to w. The range must lie within Size.
	WriteRange(w io.Writer, offset, n int64) error
}

// StoreChange is what Mailbox.Store does.
type StoreChange struct {
	UIDs           imap.NumSet
	Op             imap.StoreOp
	Flags          []imap.Flag
	UnchangedSince *imap.ModSeq

	// Early asks for the result before the change is durable. Its After is then for this
	// session alone, and View comes to it later.
	Early bool
}

// StoreResult tells of a finished Store. Before is the version the change was made
// on and After the one with it: what lies between a session's view and Before was
// done by others.
type StoreResult struct {
	Before, After View
	Modified      imap.NumSet // UIDs not changed, because they are newer than UnchangedSince
}

// CopyResult is the content of COPYUID (RFC 9051 §7.1). Source and Dest have
// equally many numbers that correspond in order; both are empty where nothing was
// copied.
type CopyResult struct {
	UIDValidity  uint32
	Source, Dest imap.NumSet
}
