package imap

// Envelope is the parsed header of a message (RFC 9051 §7.5.2). Strings are the
// header's octets unfolded, with encoded words left as they are. A nil string
// pointer and an empty address list are NIL.
type Envelope struct {
	Date      *string
	Subject   *string
	From      []Address
	Sender    []Address // From where the header had none
	ReplyTo   []Address // From where the header had none
	To        []Address
	Cc        []Address
	Bcc       []Address
	InReplyTo *string
	MessageID *string
}

// Address is one address of an Envelope. A group begins with an Address whose
// Host alone is nil of Mailbox and Host, and ends with one where both are nil
// (RFC 9051 §7.5.2).
type Address struct {
	Name    *string
	ADL     *string // source route; obsolete
	Mailbox *string
	Host    *string
}

// BodyStructure is one part of the MIME structure (RFC 9051 §7.5.2).
type BodyStructure struct {
	Type, Subtype string  // as in the header; upper case where they are a default
	Params        []Param // in the header's order; charset US-ASCII is added to a text part that names none

	// Of parts that are not multipart.
	ID          *string
	Description *string
	Encoding    string // "7BIT" where the header named none
	Size        uint32 // octets of the encoded body
	MD5         *string

	// Of message/rfc822 and message/global: the message within.
	Envelope *Envelope
	Message  *BodyStructure

	// Of text parts and of message/rfc822 and message/global.
	Lines uint32

	// Of multipart. A multipart without parts does not occur: the scanner gives
	// it one text/plain part that has all of its body.
	Parts []*BodyStructure

	// Extension data, sent in BODYSTRUCTURE only.
	Disposition       *string
	DispositionParams []Param
	Language          []string
	Location          *string
}

// Param is a parameter of Content-Type or Content-Disposition. RFC 2231
// continuations have been joined; a charset mark is left as it came.
type Param struct {
	Name, Value string
}

// IsMultipart says whether the part has parts of its own.
func (b *BodyStructure) IsMultipart() bool { return len(b.Parts) > 0 }
