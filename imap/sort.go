package imap

// Sort is SORT or UID SORT (RFC 5256).
type Sort struct {
	UID     bool
	Order   []SortKey // at least one
	Charset string    // in capitals
	Key     SearchKey
}

// Name returns "SORT" or "UID SORT".
func (c *Sort) Name() string { return uidForm("SORT", c.UID) }

// SortKey is one criterion of SORT.
type SortKey struct {
	Field   SortField
	Reverse bool
}

// SortField names what SORT compares.
type SortField uint8

// The sort criteria (RFC 5256 §3, RFC 5957 §3).
const (
	SortArrival SortField = iota
	SortCc
	SortDate
	SortFrom
	SortSize
	SortSubject
	SortTo
	SortDisplayFrom
	SortDisplayTo
)

// Thread is THREAD or UID THREAD (RFC 5256).
type Thread struct {
	UID       bool
	Algorithm ThreadAlgorithm
	Charset   string // in capitals
	Key       SearchKey
}

// Name returns "THREAD" or "UID THREAD".
func (c *Thread) Name() string { return uidForm("THREAD", c.UID) }

// ThreadAlgorithm is a way to find threads (RFC 5256 §3).
type ThreadAlgorithm uint8

// The algorithms.
const (
	ThreadOrderedSubject ThreadAlgorithm = iota
	ThreadReferences
)

// ThreadNode is a message in a thread with its replies. UID is 0 for a message that is
// missing and only holds its replies together.
type ThreadNode struct {
	UID      UID
	Children []*ThreadNode
}
