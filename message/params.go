package message

import (
	"bytes"
	"slices"
	"strings"

	"tidemark/imap"
)

// parseParams appends the parameters in s, which begins at the first semicolon, to
// dst (RFC 2045 §5.1, leniently). Sections of RFC 2231 §3 are joined.
func parseParams(dst []imap.Param, s []byte) []imap.Param {
	sectioned := false
	for len(s) > 0 && len(dst) < maxParams {
		var p imap.Param
		p, s = nextParam(s)
		if p.Name != "" {
			sectioned = sectioned || strings.IndexByte(p.Name, '*') >= 0
			dst = append(dst, p)
		}
	}
	if sectioned {
		return joinSections(dst)
	}
	return dst
}

// nextParam reads one "; name=value" at the start of s.
func nextParam(s []byte) (p imap.Param, rest []byte) {
	s = skipCFWS(s)
	if len(s) > 0 && s[0] == ';' {
		s = skipCFWS(s[1:])
	}
	end := 0
	for end < len(s) && s[end] != '=' && s[end] != ';' {
		end++
	}
	name := s[:end]
	if i := bytes.IndexAny(name, " \t\r\n("); i >= 0 {
		name = name[:i]
	}
	if end == len(s) || s[end] == ';' {
		return p, s[end:] // a word without a value is dropped
	}
	value, rest := paramValue(skipCFWS(s[end+1:]))
	return imap.Param{Name: cleanString(name), Value: value}, rest
}

// paramValue reads a token or quoted string. Tokens may hold white space and
// anything but a semicolon, because many mailers forget the quotes.
func paramValue(s []byte) (value string, rest []byte) {
	if len(s) > 0 && s[0] == '"' {
		if end := skipQuoted(s, 0); end > 0 {
			rest = s[end:]
			if i := bytes.IndexByte(rest, ';'); i >= 0 {
				rest = rest[i:]
			} else {
				rest = nil
			}
			return limitValue(appendUnquoted(nil, s[1:end-1])), rest
		}
		s = s[1:]
	}
	end := bytes.IndexByte(s, ';')
	if end < 0 {
		end = len(s)
	}
	token := s[:end]
	if i := bytes.IndexByte(token, '('); i >= 0 && skipComment(token, i) > 0 {
		token = token[:i]
	}
	return limitValue(unfold(nil, token)), s[end:]
}

func limitValue(v []byte) string { return string(v[:min(len(v), maxParamValue)]) }

// cleanString returns a value as one line without the octets that IMAP strings can
// not carry.
func cleanString(value []byte) string {
	var buf [128]byte
	return string(unfold(buf[:0], value))
}

// skipCFWS skips white space and comments (RFC 5322 §3.2.2). A comment that is not
// closed is skipped to the end.
func skipCFWS(s []byte) []byte {
	for len(s) > 0 {
		switch {
		case isSpace(s[0]):
			s = s[1:]
		case s[0] == '(':
			end := skipComment(s, 0)
			if end == 0 {
				return nil
			}
			s = s[end:]
		default:
			return s
		}
	}
	return s
}

// section is one "name*0=…" or "name*0*=…" of RFC 2231 §3.
type section struct {
	key      string // the name in lower case
	index    int
	extended bool // the value is percent-encoded
	value    string
}

// joinSections replaces the sections of each parameter by the parameter, in the
// place of the section 0. Where one of the sections is extended, the whole is in
// extended form and the name ends with an asterisk (RFC 9051 §7.5.2).
func joinSections(params []imap.Param) []imap.Param {
	var all []section
	for _, p := range params {
		if s, ok := asSection(p); ok {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b section) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return a.index - b.index
	})
	out := params[:0]
	for _, p := range params {
		s, ok := asSection(p)
		switch {
		case !ok:
			out = append(out, p)
		case s.index == 0:
			first, _ := slices.BinarySearchFunc(all, s.key, func(t section, key string) int {
				return strings.Compare(t.key, key)
			})
			if first >= len(all) || all[first].key != s.key || all[first].index != 0 {
				continue // joined already
			}
			value, extended := joinValue(all[first:])
			all[first].index = -1
			name, _, _ := strings.Cut(p.Name, "*")
			if extended {
				name += "*"
			}
			out = append(out, imap.Param{Name: name, Value: value})
		}
	}
	return out
}

// asSection takes "name*1" or "name*1*" apart. "name*" alone is a parameter in
// extended form and no section.
func asSection(p imap.Param) (section, bool) {
	name, index, ok := strings.Cut(p.Name, "*")
	if !ok || name == "" {
		return section{}, false
	}
	index, extended := strings.CutSuffix(index, "*")
	n := number([]byte(index), 3)
	if n < 0 || n > 0 && index[0] == '0' {
		return section{}, false
	}
	return section{strings.ToLower(name), n, extended, p.Value}, true
}

// joinValue joins the sections at the start of s that belong together: those
// numbered 0, 1, 2 and so on of one name.
func joinValue(s []section) (value string, extended bool) {
	n := 0
	for n < len(s) && n < maxContinuations && s[n].key == s[0].key && s[n].index == n {
		extended = extended || s[n].extended
		n++
	}
	var b []byte
	for _, part := range s[:n] {
		if extended && !part.extended {
			b = appendPercent(b, part.value)
		} else {
			b = append(b, part.value...)
		}
	}
	if extended && !s[0].extended {
		// The charset stands in section 0 alone; here there is none.
		b = append([]byte("''"), b...)
	}
	return limitValue(b), extended
}

// appendPercent appends s in the form of extended values (RFC 2231 §7).
func appendPercent(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`*'%()<>@,;:\"/[]?=`, c) >= 0 {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}
