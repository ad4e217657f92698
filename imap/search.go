package imap

import "time"

// Search is SEARCH or UID SEARCH (RFC 9051 §6.4.4, RFC 4731, RFC 5182).
type Search struct {
	UID     bool
	Return  *SearchReturn // nil where no RETURN was given
	Charset string        // in capitals; empty where not given. Texts in Key are UTF-8 already.
	Key     SearchKey
}

// Name returns "SEARCH" or "UID SEARCH".
func (c *Search) Name() string { return uidForm("SEARCH", c.UID) }

// SearchReturn is the set of result options after RETURN. "RETURN ()" is All.
type SearchReturn struct {
	Min, Max, All, Count, Save bool
}

// SearchKey is one node of a search: And, Not, Or or one of the tests.
type SearchKey interface{ searchKey() }

// The inner nodes of a search.
type (
	SearchAnd []SearchKey // all of them; the empty And matches everything
	SearchOr  struct{ A, B SearchKey }
	SearchNot struct{ Key SearchKey }
)

// The tests of a search.
type (
	// SearchSeq is a sequence set, SearchUID is UID with a set (or "$").
	SearchSeq struct{ Set SetRef }
	SearchUID struct{ Set SetRef }

	// SearchFlag is SEEN, UNSEEN, KEYWORD x and so on. RECENT has FlagRecent.
	SearchFlag struct {
		Flag Flag
		Not  bool
	}

	// SearchHeader is HEADER name value, and SUBJECT, which is a name here as well. An
	// empty Value asks whether the field is there.
	SearchHeader struct{ Name, Value string }

	// SearchAddress is FROM, TO, CC and BCC, which are its names. Value is looked for
	// in the field as it is written, and in each address as "name <local@host>".
	SearchAddress struct{ Name, Value string }

	// SearchBody is BODY, SearchText is TEXT.
	SearchBody struct{ Value string }
	SearchText struct{ Value string }

	// SearchDate compares one of a message's dates with a day, without regard to
	// time and zone.
	SearchDate struct {
		Field DateField
		Op    DateOp
		Day   Date
	}

	// SearchSize is LARGER or SMALLER: strictly more, or less, than N octets.
	SearchSize struct {
		Larger bool
		N      uint64
	}

	// SearchWithin is YOUNGER or OLDER (RFC 5032), by INTERNALDATE.
	SearchWithin struct {
		Older    bool
		Interval time.Duration
	}

	// SearchModSeq is MODSEQ (RFC 7162 §3.1.5); per-flag entries are read and,
	// as the RFC allows, not told apart.
	SearchModSeq struct{ ModSeq ModSeq }

	// SearchEmailID and SearchThreadID are of RFC 8474 §6.
	SearchEmailID  struct{ ID ObjectID }
	SearchThreadID struct{ ID ObjectID }

	// SearchSaveDateSupported is SAVEDATESUPPORTED (RFC 8514 §4.3).
	SearchSaveDateSupported struct{}
)

// DateField says which date SearchDate looks at.
type DateField uint8

// The dates of a message.
const (
	DateInternal DateField = iota // INTERNALDATE: BEFORE, ON, SINCE
	DateSent                      // Date header: SENTBEFORE, SENTON, SENTSINCE
	DateSaved                     // RFC 8514: SAVEDBEFORE, SAVEDON, SAVEDSINCE
)

// DateOp says how SearchDate compares.
type DateOp uint8

// Before is strictly earlier; Since is that day or later.
const (
	DateBefore DateOp = iota
	DateOn
	DateSince
)

func (SearchAnd) searchKey()               {}
func (SearchOr) searchKey()                {}
func (SearchNot) searchKey()               {}
func (SearchSeq) searchKey()               {}
func (SearchUID) searchKey()               {}
func (SearchFlag) searchKey()              {}
func (SearchHeader) searchKey()            {}
func (SearchAddress) searchKey()           {}
func (SearchBody) searchKey()              {}
func (SearchText) searchKey()              {}
func (SearchDate) searchKey()              {}
func (SearchSize) searchKey()              {}
func (SearchWithin) searchKey()            {}
func (SearchModSeq) searchKey()            {}
func (SearchEmailID) searchKey()           {}
func (SearchThreadID) searchKey()          {}
func (SearchSaveDateSupported) searchKey() {}
