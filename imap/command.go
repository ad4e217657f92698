package imap

import "time"

// Command is one client command without its tag. The concrete types are the
// structs of this package whose doc comment names a command.
type Command interface {
	// Name is the command's name in capitals as the client sent it, with "UID "
	// before it for the UID forms.
	Name() string
}

// Simple is a command without arguments: CAPABILITY, NOOP, LOGOUT, STARTTLS,
// IDLE, CHECK, CLOSE, UNSELECT, NAMESPACE or EXPUNGE.
type Simple string

// The commands without arguments.
const (
	Capability Simple = "CAPABILITY"
	Noop       Simple = "NOOP"
	Logout     Simple = "LOGOUT"
	StartTLS   Simple = "STARTTLS"
	Idle       Simple = "IDLE"
	Check      Simple = "CHECK"
	Close      Simple = "CLOSE"
	Unselect   Simple = "UNSELECT"
	Namespace  Simple = "NAMESPACE"
	Expunge    Simple = "EXPUNGE"
)

// Name returns the command's name.
func (c Simple) Name() string { return string(c) }

// Authenticate is AUTHENTICATE (RFC 9051 §6.2.2).
type Authenticate struct {
	Mechanism  string // in capitals
	HasInitial bool   // an initial response was given (RFC 4959)
	Initial    []byte // decoded; empty where the client wrote "="
}

// Name returns "AUTHENTICATE".
func (*Authenticate) Name() string { return "AUTHENTICATE" }

// Login is LOGIN (RFC 9051 §6.2.3).
type Login struct {
	User, Password string
}

// Name returns "LOGIN".
func (*Login) Name() string { return "LOGIN" }

// ID is ID (RFC 2971). Params is nil for NIL.
type ID struct {
	Params []IDParam
}

// IDParam is one field of ID. Null says that the value was NIL.
type IDParam struct {
	Field, Value string
	Null         bool
}

// Name returns "ID".
func (*ID) Name() string { return "ID" }

// Enable is ENABLE (RFC 5161); Capabilities are in capitals.
type Enable struct {
	Capabilities []string
}

// Name returns "ENABLE".
func (*Enable) Name() string { return "ENABLE" }

// Select is SELECT or EXAMINE (RFC 9051 §6.3.2 and §6.3.3).
type Select struct {
	Mailbox   string
	Supplied  string // how the client spelled Mailbox; empty where it is the same
	ReadOnly  bool   // EXAMINE
	CondStore bool   // (CONDSTORE), RFC 7162 §3.1.8
	QResync   *QResync
}

// Name returns "SELECT" or "EXAMINE".
func (c *Select) Name() string {
	if c.ReadOnly {
		return "EXAMINE"
	}
	return "SELECT"
}

// QResync is the QRESYNC parameter of SELECT (RFC 7162 §3.2.5): the last known
// UIDVALIDITY and MODSEQ, optionally the known UIDs and the sequence match data.
type QResync struct {
	UIDValidity uint32
	ModSeq      ModSeq
	KnownUIDs   NumSet // nil where not given; never has Star
	MatchSeqs   NumSet // nil where not given
	MatchUIDs   NumSet // as many numbers as MatchSeqs
}

// Create is CREATE (RFC 9051 §6.3.4) with the USE parameter of RFC 6154 §3.
type Create struct {
	Mailbox    string
	Supplied   string // how the client spelled Mailbox; empty where it is the same
	SpecialUse []MailboxAttr
}

// Name returns "CREATE".
func (*Create) Name() string { return "CREATE" }

// Delete is DELETE (RFC 9051 §6.3.5).
type Delete struct {
	Mailbox  string
	Supplied string // how the client spelled Mailbox; empty where it is the same
}

// Name returns "DELETE".
func (*Delete) Name() string { return "DELETE" }

// Rename is RENAME (RFC 9051 §6.3.6).
type Rename struct {
	From, To string
	// How the client spelled From and To; empty where it is the same.
	SuppliedFrom, SuppliedTo string
}

// Name returns "RENAME".
func (*Rename) Name() string { return "RENAME" }

// Subscribe is SUBSCRIBE, or UNSUBSCRIBE where Undo is set (RFC 9051 §6.3.7 and
// §6.3.8).
type Subscribe struct {
	Mailbox string
	Undo    bool
}

// Name returns "SUBSCRIBE" or "UNSUBSCRIBE".
func (c *Subscribe) Name() string {
	if c.Undo {
		return "UNSUBSCRIBE"
	}
	return "SUBSCRIBE"
}

// Status is STATUS (RFC 9051 §6.3.11).
type Status struct {
	Mailbox string
	Items   StatusItems
}

// Name returns "STATUS".
func (*Status) Name() string { return "STATUS" }

// StatusItems is a set of STATUS data items. They are answered in the order of
// the constants.
type StatusItems uint32

// The STATUS items (RFC 9051 §6.3.11, RFC 7162 §3.1.7, RFC 8474 §4.3, RFC 7889).
const (
	StatusMessages StatusItems = 1 << iota
	StatusRecent
	StatusUIDNext
	StatusUIDValidity
	StatusUnseen
	StatusDeleted
	StatusSize
	StatusHighestModSeq
	StatusMailboxID
	StatusAppendLimit
)

// Append is APPEND, with several messages where MULTIAPPEND is used (RFC 3502).
// The messages themselves are not in the struct: the decoder hands them out one
// after the other, each as an AppendItem with a literal that is read as it comes.
type Append struct {
	Mailbox  string
	Supplied string // how the client spelled Mailbox; empty where it is the same
}

// Name returns "APPEND".
func (*Append) Name() string { return "APPEND" }

// AppendItem is what precedes one message literal of an APPEND.
type AppendItem struct {
	Flags  []Flag
	Time   time.Time // zero where the client gave none
	Size   int64     // octets announced by the literal
	Sync   bool      // the client waits for "+"
	Binary bool      // literal8 (RFC 3516 §4.4)
	UTF8   bool      // the UTF8 data extension (RFC 6855 §4)
}

// UIDExpunge is UID EXPUNGE (RFC 9051 §6.4.9); plain EXPUNGE is Simple.
type UIDExpunge struct{ UIDs SetRef }

// Name returns "UID EXPUNGE".
func (*UIDExpunge) Name() string { return "UID EXPUNGE" }

// SetRef is the set that a command works on: numbers as the client wrote them,
// or "$", the saved search result (RFC 5182).
type SetRef struct {
	Saved bool
	Nums  NumSet // not resolved; nil if Saved
}

// Store is STORE or UID STORE (RFC 9051 §6.4.6).
type Store struct {
	UID            bool
	Set            SetRef
	Op             StoreOp
	Silent         bool
	Flags          []Flag
	UnchangedSince *ModSeq // RFC 7162 §3.1.3
}

// Name returns "STORE" or "UID STORE".
func (c *Store) Name() string { return uidForm("STORE", c.UID) }

// StoreOp says what STORE does with its flags.
type StoreOp uint8

// The operations of STORE: FLAGS, +FLAGS and -FLAGS.
const (
	StoreReplace StoreOp = iota
	StoreAdd
	StoreRemove
)

// Copy is COPY, MOVE or one of their UID forms (RFC 9051 §6.4.7 and §6.4.8).
type Copy struct {
	UID     bool
	Move    bool
	Set     SetRef
	Mailbox string
}

// Name returns "COPY" or "MOVE" or the UID form.
func (c *Copy) Name() string {
	if c.Move {
		return uidForm("MOVE", c.UID)
	}
	return uidForm("COPY", c.UID)
}

func uidForm(name string, uid bool) string {
	if uid {
		return "UID " + name
	}
	return name
}
