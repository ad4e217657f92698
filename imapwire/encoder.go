package imapwire

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"tidemark/imap"
)

const (
	crlf = "\r\n"
	// quotedSize is the longest quoted string sent, in octets; what is longer is a
	// literal, because some clients read lines into buffers of fixed size.
	quotedSize = 1000
)

func appendUint[N ~uint32 | ~uint64](b []byte, n N) []byte {
	return strconv.AppendUint(b, uint64(n), 10)
}

// AppendString appends s as a string: quoted if it is printable ASCII and not long,
// else as a literal. NUL, which neither form may hold, becomes "?".
func AppendString(b []byte, s string) []byte {
	if len(s) <= quotedSize && directLen(s) == len(s) {
		return appendQuoted(b, s)
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "?")
	}
	return append(AppendLiteralHeader(b, int64(len(s))), s...)
}

// AppendNString appends a string, or NIL for nil.
func AppendNString(b []byte, s *string) []byte {
	if s == nil {
		return append(b, "NIL"...)
	}
	return AppendString(b, *s)
}

// AppendAString appends s as an atom where that is possible, else as a string. NIL is
// quoted, so that no reader takes it for nothing.
func AppendAString(b []byte, s string) []byte {
	if s != "" && allOf(s, classAString) && !strings.EqualFold(s, "NIL") {
		return append(b, s...)
	}
	return AppendString(b, s)
}

// AppendMailbox appends a mailbox name, given in UTF-8: as it is if utf8 says that the
// client has enabled IMAP4rev2 or UTF8=ACCEPT, else in modified UTF-7 (RFC 9051 §5.1).
func AppendMailbox(b []byte, name string, utf8 bool) []byte {
	if directLen(name) == len(name) && (utf8 || strings.IndexByte(name, '&') < 0) {
		return AppendString(b, name)
	}
	if !utf8 {
		var buf [64]byte
		return AppendString(b, string(EncodeMailbox(buf[:0], name)))
	}
	if quotableUTF8(name) {
		return appendQuoted(b, name)
	}
	return AppendString(b, name)
}

// quotableUTF8 says whether s can be a quoted string for a client that reads UTF-8.
func quotableUTF8(s string) bool {
	if len(s) > quotedSize || !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, forbiddenInMailbox)
}

// appendQuoted appends s, which must not have CR, LF or NUL, between quotes.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// AppendLiteralHeader appends the announcement of a literal of n octets, which must not
// contain NUL.
func AppendLiteralHeader(b []byte, n int64) []byte {
	b = strconv.AppendInt(append(b, '{'), n, 10)
	return append(b, "}\r\n"...)
}

// AppendLiteral8Header appends the announcement of a literal8 of n octets (RFC 9051
// §9), which may contain NUL.
func AppendLiteral8Header(b []byte, n int64) []byte {
	return AppendLiteralHeader(append(b, '~'), n)
}

// appendWords appends words with spaces between them.
func appendWords[S ~string](b []byte, words []S) []byte {
	for i, w := range words {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, w...)
	}
	return b
}

// AppendFlags appends the FLAGS response: the flags that a mailbox has (RFC 9051
// §7.3.5).
func AppendFlags(b []byte, flags []imap.Flag) []byte {
	b = appendWords(append(b, "* FLAGS ("...), flags)
	return append(b, ")\r\n"...)
}

// AppendExists appends an EXISTS response: how many messages there are.
func AppendExists(b []byte, n uint32) []byte { return appendCount(b, n, " EXISTS\r\n") }

// AppendRecent appends a RECENT response (RFC 3501 §7.3.2), for IMAP4rev1 only.
func AppendRecent(b []byte, n uint32) []byte { return appendCount(b, n, " RECENT\r\n") }

// AppendExpunge appends an EXPUNGE response.
func AppendExpunge(b []byte, seq imap.SeqNum) []byte {
	return appendCount(b, uint32(seq), " EXPUNGE\r\n")
}

func appendCount(b []byte, n uint32, name string) []byte {
	return append(appendUint(append(b, "* "...), n), name...)
}

// vanishedRanges is how many ranges one VANISHED response has at most, so that its line
// stays below the 8,000 octets that clients can be relied on to read (RFC 2683
// §3.2.1.5).
const vanishedRanges = 350

// AppendVanished appends VANISHED responses (RFC 7162 §3.2.10), several where the set
// is long and none where it is empty. earlier adds (EARLIER).
func AppendVanished(b []byte, uids imap.NumSet, earlier bool) []byte {
	for len(uids) > 0 {
		n := min(len(uids), vanishedRanges)
		b = append(b, "* VANISHED "...)
		if earlier {
			b = append(b, "(EARLIER) "...)
		}
		b = append(uids[:n].Append(b), crlf...)
		uids = uids[n:]
	}
	return b
}

// AppendCapability appends a CAPABILITY response.
func AppendCapability(b []byte, capabilities []string) []byte {
	b = appendWords(append(b, "* CAPABILITY "...), capabilities)
	return append(b, crlf...)
}

// AppendEnabled appends an ENABLED response (RFC 9051 §7.2.1), which may be empty.
func AppendEnabled(b []byte, capabilities []string) []byte {
	b = append(b, "* ENABLED"...)
	for _, c := range capabilities {
		b = append(append(b, ' '), c...)
	}
	return append(b, crlf...)
}

// AppendID appends an ID response (RFC 2971 §3.2); nil is NIL.
func AppendID(b []byte, params []imap.IDParam) []byte {
	b = append(b, "* ID "...)
	if params == nil {
		return append(b, "NIL\r\n"...)
	}
	b = append(b, '(')
	for i, p := range params {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(AppendString(b, p.Field), ' ')
		if p.Null {
			b = append(b, "NIL"...)
		} else {
			b = AppendString(b, p.Value)
		}
	}
	return append(b, ")\r\n"...)
}
