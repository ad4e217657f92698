package imapwire

import (
	"encoding/base64"
	"strings"

	"tidemark/imap"
)

// AppendTagged appends the status response that ends a command (RFC 9051 §7.1). code
// may be empty or one with arguments. text must not be empty. Octets of text that a
// line cannot carry become "?".
func AppendTagged(b []byte, tag string, kind imap.StatusKind, code imap.Code, text string) []byte {
	b = append(append(b, tag...), ' ')
	return appendCondition(b, kind, code, text)
}

// AppendUntagged appends an untagged status response; see AppendTagged.
func AppendUntagged(b []byte, kind imap.StatusKind, code imap.Code, text string) []byte {
	return appendCondition(append(b, "* "...), kind, code, text)
}

// AppendContinue appends a continuation request with a text.
func AppendContinue(b []byte, text string) []byte {
	return append(appendText(append(b, "+ "...), text), crlf...)
}

// AppendChallenge appends a continuation request with a challenge in base64 (RFC 9051
// §6.2.2).
func AppendChallenge(b, challenge []byte) []byte {
	b = base64.StdEncoding.AppendEncode(append(b, "+ "...), challenge)
	return append(b, crlf...)
}

func appendCondition(b []byte, kind imap.StatusKind, code imap.Code, text string) []byte {
	b = append(append(b, kind...), ' ')
	if code != "" {
		b = append(appendText(append(b, '['), string(code)), "] "...)
	}
	return append(appendText(b, text), crlf...)
}

func appendText(b []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c < ' ' || c > '~' {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}

// The functions below make response codes with arguments. The result goes wherever an
// imap.Code does, into an *imap.Error as well.

// CodeCapability is CAPABILITY.
func CodeCapability(capabilities []string) imap.Code {
	return imap.Code("CAPABILITY " + strings.Join(capabilities, " "))
}

// CodePermanentFlags is PERMANENTFLAGS.
func CodePermanentFlags(flags []imap.Flag) imap.Code {
	b := appendWords([]byte("PERMANENTFLAGS ("), flags)
	return imap.Code(append(b, ')'))
}

// CodeUIDValidity is UIDVALIDITY.
func CodeUIDValidity(n uint32) imap.Code { return codeNumber("UIDVALIDITY ", n) }

// CodeUIDNext is UIDNEXT.
func CodeUIDNext(uid imap.UID) imap.Code { return codeNumber("UIDNEXT ", uid) }

// CodeUnseen is UNSEEN, the first message that is not \Seen (RFC 3501 §7.1).
func CodeUnseen(seq imap.SeqNum) imap.Code { return codeNumber("UNSEEN ", seq) }

// CodeHighestModSeq is HIGHESTMODSEQ (RFC 7162 §3.1.2.1).
func CodeHighestModSeq(m imap.ModSeq) imap.Code { return codeNumber("HIGHESTMODSEQ ", m) }

func codeNumber[N ~uint32 | ~uint64](name string, n N) imap.Code {
	return imap.Code(appendUint([]byte(name), n))
}

// CodeAppendUID is APPENDUID. uids must not be empty.
func CodeAppendUID(uidValidity uint32, uids imap.NumSet) imap.Code {
	b := appendUint([]byte("APPENDUID "), uidValidity)
	return imap.Code(uids.Append(append(b, ' ')))
}

// CodeCopyUID is COPYUID. Neither set may be empty.
func CodeCopyUID(uidValidity uint32, source, dest imap.NumSet) imap.Code {
	b := appendUint([]byte("COPYUID "), uidValidity)
	b = source.Append(append(b, ' '))
	return imap.Code(dest.Append(append(b, ' ')))
}

// CodeModified is MODIFIED (RFC 7162 §3.1.3), with sequence numbers or UIDs as the
// command was. The set must not be empty.
func CodeModified(set imap.NumSet) imap.Code {
	return imap.Code(set.Append([]byte("MODIFIED ")))
}

// CodeMailboxID is MAILBOXID (RFC 8474 §4.1).
func CodeMailboxID(id imap.ObjectID) imap.Code {
	return imap.Code("MAILBOXID (" + string(id) + ")")
}

// CodeBadCharset is BADCHARSET with the charsets that are known.
func CodeBadCharset(charsets ...string) imap.Code {
	return imap.Code("BADCHARSET (" + strings.Join(charsets, " ") + ")")
}
