package lmtp

import "bytes"

// pathEnd returns where the path of a MAIL or RCPT line begins, behind its "<", and
// where it ends, at its ">". A ">" within quotes is part of the path.
func pathEnd(line []byte) (start, end int, ok bool) {
	start = bytes.IndexByte(line, '<') + 1
	if start == 0 {
		return 0, 0, false
	}
	quoted := false
	for i := start; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == '>' && !quoted:
			return start, i, true
		}
	}
	return 0, 0, false
}

// withoutRoute takes the source route out of the path of a MAIL or RCPT line: it must
// be understood, and should be ignored (RFC 5321 §4.1.1.3, §C). Every other line, and
// one with a bad route, is returned as it is.
func withoutRoute(line []byte) []byte {
	if !hasVerb(line, "RCPT") && !hasVerb(line, "MAIL") {
		return line
	}
	start, end, ok := pathEnd(line)
	if !ok {
		return line
	}
	behind := start
	for behind < end && line[behind] == '@' {
		n := domainLength(line[behind+1 : end])
		if n < 0 {
			return line
		}
		behind += 1 + n + 1
		if line[behind-1] == ':' {
			return append(append(make([]byte, 0, len(line)), line[:start]...), line[behind:]...)
		}
	}
	return line
}

// domainLength returns the length of the domain that b begins with, up to the "," or
// ":" behind it; negative where there is none.
func domainLength(b []byte) int {
	from := 0
	if len(b) > 0 && b[0] == '[' { // an address literal may have colons
		from = max(bytes.IndexByte(b, ']'), 0)
	}
	n := bytes.IndexAny(b[from:], ",:")
	if n < 0 || !isDomain(string(b[:from+n])) {
		return -1
	}
	return from + n
}
