package message

import (
	"bytes"
	"strings"
)

// field is one header field as it stands in a header section.
type field struct {
	name  []byte // without the colon; empty where the line is no field
	value []byte // what follows the colon, folds and line end included
	raw   []byte // all of it
}

// nextField cuts the first field, with its folded lines, off a header section. At
// the blank line and at the end ok is false.
func nextField(h []byte) (f field, rest []byte, ok bool) {
	if blankLine(h) > 0 || len(h) == 0 {
		return field{}, h, false
	}
	end := fieldEnd(h)
	f.raw, rest = h[:end], h[end:]
	if name := fieldName(f.raw); name != nil {
		f.name, f.value = name, f.raw[bytes.IndexByte(f.raw, ':')+1:]
	}
	return f, rest, true
}

// fieldEnd returns the length of the field at the start of h: it ends at the first
// line end that is not followed by white space (RFC 5322 §2.2.3).
func fieldEnd(h []byte) int {
	end := 0
	for {
		i := bytes.IndexByte(h[end:], '\n')
		if i < 0 {
			return len(h)
		}
		end += i + 1
		if end == len(h) || h[end] != ' ' && h[end] != '\t' {
			return end
		}
	}
}

// blankLine returns the length of the blank line that h begins with, 0 if it does
// not begin with one.
func blankLine(h []byte) int {
	switch {
	case len(h) >= 1 && h[0] == '\n':
		return 1
	case len(h) >= 2 && h[0] == '\r' && h[1] == '\n':
		return 2
	}
	return 0
}

// lowerName returns the field's name in lower case, in buf. Names too long for
// buf mean nothing to us and give "".
func (f *field) lowerName(buf *[maxFieldName]byte) []byte {
	if len(f.name) > len(buf) {
		return nil
	}
	return appendLower(buf[:0], f.name)
}

// unfold appends a field's value to dst as one line: without folds and without the
// white space around it (RFC 5322 §2.2.3). NUL and bare CR and LF are left out, as
// IMAP strings cannot carry them.
func unfold(dst, value []byte) []byte {
	value = trimSpace(value)
	for {
		i := bytes.IndexAny(value, "\r\n\x00")
		if i < 0 {
			return append(dst, value...)
		}
		dst = append(dst, value[:i]...)
		value = value[i+1:]
	}
}

// FilterHeader appends to dst those fields of a header section that are named in
// fields, or with not set those that are not, byte for byte and in their order,
// and then the blank line if header has it (RFC 9051 §6.4.5.1). Lines that are no
// fields have no name.
func FilterHeader(dst, header []byte, fields []string, not bool) []byte {
	named := fieldMatcher(fields)
	for {
		f, rest, ok := nextField(header)
		if !ok {
			return append(dst, header[:blankLine(header)]...)
		}
		if named(f.name) != not {
			dst = append(dst, f.raw...)
		}
		header = rest
	}
}

// fieldMatcher returns a function that says whether a name is one of fields. A line that
// is no field has none, and so is not the one whose name is empty. Lists longer than mail
// programs send are looked up in a map, so that their cost is not multiplied by the header's.
func fieldMatcher(fields []string) func(name []byte) bool {
	const few = 32
	if len(fields) <= few {
		return func(name []byte) bool {
			for _, f := range fields {
				if len(name) == len(f) && equalName(name, f) {
					return len(name) > 0
				}
			}
			return false
		}
	}
	set := make(map[string]struct{}, len(fields))
	for _, f := range fields {
		set[strings.ToLower(f)] = struct{}{}
	}
	var buf []byte
	return func(name []byte) bool {
		buf = appendLower(buf[:0], name)
		_, ok := set[string(buf)]
		return ok && len(name) > 0
	}
}

// equalName compares a field name with another without regard to ASCII case.
func equalName(name []byte, other string) bool {
	if len(name) != len(other) {
		return false
	}
	for i, c := range name {
		if lower(c) != lower(other[i]) {
			return false
		}
	}
	return true
}

// lower returns an ASCII letter in lower case and anything else as it is.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func appendLower(dst, s []byte) []byte {
	for _, c := range s {
		dst = append(dst, lower(c))
	}
	return dst
}

// isSpace says whether c is white space or part of a line end.
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// trimSpace removes white space and line ends on both sides.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}
