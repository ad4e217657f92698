package lmtp

import (
	"bytes"
	"math"
	"strconv"
)

// pathEnd returns where the path of a MAIL or RCPT line begins, after its "<", and
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
	after := start
	for after < end && line[after] == '@' {
		n := domainLength(line[after+1 : end])
		if n < 0 {
			return line
		}
		after += 1 + n + 1
		if line[after-1] == ':' {
			return append(append(make([]byte, 0, len(line)), line[:start]...), line[after:]...)
		}
	}
	return line
}

// domainLength returns the length of the domain that b begins with, up to the "," or
// ":" after it; negative where there is none.
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

// cutSize takes the SIZE parameter out of a MAIL line and returns it, 0 where there is
// none. The library knows sizes below 4 GiB only, while one of 20 digits is to be
// refused as too large and not as bad syntax (RFC 1870 §4 and §6.1); it stands for any
// size beyond 2^63-1. What is no size is left for the library to refuse.
func cutSize(line []byte) (rest []byte, size int64) {
	if !hasVerb(line, "MAIL") {
		return line, 0
	}
	_, at, ok := pathEnd(line)
	if !ok {
		return line, 0
	}
	const keyword = " SIZE="
	for at++; at < len(line); at++ {
		if len(line)-at < len(keyword) || !bytes.EqualFold(line[at:at+len(keyword)], []byte(keyword)) {
			continue
		}
		value := line[at+len(keyword):]
		value = value[:len(value)-len(bytes.TrimLeft(value, "0123456789"))]
		end := at + len(keyword) + len(value)
		if len(value) == 0 || len(value) > 20 || end < len(line) && line[end] > ' ' {
			return line, 0
		}
		size, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			size = math.MaxInt64
		}
		return append(append(make([]byte, 0, len(line)), line[:at]...), line[end:]...), size
	}
	return line, 0
}
