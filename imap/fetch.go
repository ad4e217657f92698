package imap

// Fetch is FETCH or UID FETCH (RFC 9051 §6.4.5). Macros have been replaced by
// the items that they stand for.
type Fetch struct {
	UID          bool
	Set          SetRef
	Items        []FetchItem
	ChangedSince *ModSeq // RFC 7162 §3.1.4.1
	Vanished     bool    // RFC 7162 §3.2.6; UID FETCH with ChangedSince only
}

// Name returns "FETCH" or "UID FETCH".
func (c *Fetch) Name() string { return uidForm("FETCH", c.UID) }

// FetchItem is one data item that FETCH asks for.
type FetchItem struct {
	Kind    FetchKind
	Peek    bool     // do not set \Seen: BODY.PEEK, BINARY.PEEK and RFC822.HEADER
	Section Section  // of FetchBodySection, FetchBinary and FetchBinarySize
	Partial *Partial // of FetchBodySection and FetchBinary
}

// FetchKind names a FETCH data item.
type FetchKind uint8

// The FETCH data items.
const (
	FetchUID FetchKind = iota
	FetchFlags
	FetchInternalDate
	FetchRFC822Size
	FetchModSeq // RFC 7162 §3.1.5
	FetchEnvelope
	FetchBody          // BODY without a section
	FetchBodyStructure // BODYSTRUCTURE
	FetchBodySection   // BODY[…] and BODY.PEEK[…]
	FetchRFC822        // RFC 3501 §6.4.5: like BODY[], answered as RFC822
	FetchRFC822Header  // like BODY.PEEK[HEADER], answered as RFC822.HEADER
	FetchRFC822Text    // like BODY[TEXT], answered as RFC822.TEXT
	FetchBinary        // BINARY[…], BINARY.PEEK[…]
	FetchBinarySize    // BINARY.SIZE[…]
	FetchEmailID       // RFC 8474 §5.1
	FetchThreadID      // RFC 8474 §5.2
	FetchSaveDate      // RFC 8514
	FetchPreview       // RFC 8970
	FetchPreviewLazy
)

// Section is the part of a message within the brackets of BODY[…]
// (RFC 9051 §6.4.5.1).
type Section struct {
	Part   []uint32 // part numbers, empty for the message itself
	Text   SectionText
	Fields []string // of HEADER.FIELDS and HEADER.FIELDS.NOT, as the client wrote them
}

// SectionText is the part specifier that ends a section.
type SectionText uint8

// The part specifiers.
const (
	SectionAll             SectionText = iota // nothing: the whole message or part
	SectionHeader                             // HEADER
	SectionHeaderFields                       // HEADER.FIELDS
	SectionHeaderFieldsNot                    // HEADER.FIELDS.NOT
	SectionBody                               // TEXT
	SectionMIME                               // MIME; only after a part number
)

// Partial is <offset.length> (RFC 9051 §6.4.5.1).
type Partial struct {
	Offset uint64 // below 2^63
	Length uint64 // at least 1
}
