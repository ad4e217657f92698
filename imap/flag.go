package imap

import "strings"

// Flag is a system flag or a keyword (RFC 9051 §2.3.2). Flags compare without
// regard to case; system flags are kept in the spelling below.
type Flag string

// The system flags. Recent is session-only, exists for IMAP4rev1 clients alone
// and cannot be stored (RFC 3501 §2.3.2).
const (
	FlagSeen     Flag = `\Seen`
	FlagAnswered Flag = `\Answered`
	FlagFlagged  Flag = `\Flagged`
	FlagDeleted  Flag = `\Deleted`
	FlagDraft    Flag = `\Draft`
	FlagRecent   Flag = `\Recent`
)

// FlagWildcard in PERMANENTFLAGS says that clients may make new keywords
// (RFC 9051 §7.1).
const FlagWildcard Flag = `\*`

// SystemFlags are the flags that are stored with a message and have a fixed
// meaning, in the order in which they are announced.
var SystemFlags = [...]Flag{FlagAnswered, FlagFlagged, FlagDeleted, FlagSeen, FlagDraft}

// CanonicalFlag returns f with a system flag's spelling made canonical. A
// keyword is returned as it is.
func CanonicalFlag(f Flag) Flag {
	if !strings.HasPrefix(string(f), `\`) {
		return f
	}
	for _, s := range [...]Flag{FlagAnswered, FlagFlagged, FlagDeleted, FlagSeen, FlagDraft, FlagRecent} {
		if strings.EqualFold(string(f), string(s)) {
			return s
		}
	}
	return f
}

// IsSystem says whether f begins with a backslash: such a flag is fixed by a
// standard, and a client cannot make a new one.
func (f Flag) IsSystem() bool { return strings.HasPrefix(string(f), `\`) }

// IsKeyword says whether f is a flag-keyword (RFC 9051 §9): an atom.
func (f Flag) IsKeyword() bool {
	return f != "" && strings.IndexFunc(string(f), func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r)
	}) < 0
}

// EqualFlag compares two flags without regard to ASCII case.
func EqualFlag(a, b Flag) bool { return strings.EqualFold(string(a), string(b)) }

// MailboxAttr is an attribute of a mailbox in a LIST answer (RFC 9051 §7.3.1,
// RFC 6154 §2).
type MailboxAttr string

// Mailbox attributes: first those about the name, then the special uses.
const (
	AttrNonExistent   MailboxAttr = `\NonExistent`
	AttrNoinferiors   MailboxAttr = `\Noinferiors`
	AttrNoselect      MailboxAttr = `\Noselect`
	AttrHasChildren   MailboxAttr = `\HasChildren`
	AttrHasNoChildren MailboxAttr = `\HasNoChildren`
	AttrMarked        MailboxAttr = `\Marked`
	AttrUnmarked      MailboxAttr = `\Unmarked`
	AttrSubscribed    MailboxAttr = `\Subscribed`
	AttrRemote        MailboxAttr = `\Remote`

	AttrAll       MailboxAttr = `\All`
	AttrArchive   MailboxAttr = `\Archive`
	AttrDrafts    MailboxAttr = `\Drafts`
	AttrFlagged   MailboxAttr = `\Flagged`
	AttrJunk      MailboxAttr = `\Junk`
	AttrSent      MailboxAttr = `\Sent`
	AttrTrash     MailboxAttr = `\Trash`
	AttrImportant MailboxAttr = `\Important`
)

// SpecialUses are the attributes of RFC 6154 §2 and RFC 8457 §3 that a mailbox
// can be given.
var SpecialUses = [...]MailboxAttr{
	AttrAll, AttrArchive, AttrDrafts, AttrFlagged, AttrJunk, AttrSent, AttrTrash, AttrImportant,
}

// CanonicalSpecialUse returns the special use that s spells in any case.
func CanonicalSpecialUse(s string) (MailboxAttr, bool) {
	for _, u := range SpecialUses {
		if strings.EqualFold(s, string(u)) {
			return u, true
		}
	}
	return "", false
}
