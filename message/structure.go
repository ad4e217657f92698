package message

import (
	"bytes"
	"strings"

	"tidemark/imap"
)

// mimeHeader is what the MIME fields of one header section say.
type mimeHeader struct {
	part      Part // type, subtype, charset and encoding
	structure imap.BodyStructure
	boundary  string

	hasType, hasEncoding, hasDisposition, hasLanguage bool

	text struct{ id, description, md5, disposition, location string }
}

// field takes one field, whose name is in lower case. The first of each counts.
func (m *mimeHeader) field(name, value []byte) {
	s := &m.structure
	switch string(name) {
	case "content-type":
		if !m.hasType {
			m.hasType = m.contentType(value)
		}
	case "content-transfer-encoding":
		if !m.hasEncoding {
			m.contentEncoding(value)
		}
	case "content-id":
		setOnce(&s.ID, &m.text.id, value)
	case "content-description":
		setOnce(&s.Description, &m.text.description, value)
	case "content-md5":
		setOnce(&s.MD5, &m.text.md5, value)
	case "content-location":
		setOnce(&s.Location, &m.text.location, value)
	case "content-language":
		if !m.hasLanguage {
			s.Language, m.hasLanguage = parseLanguages(value), true
		}
	case "content-disposition":
		if !m.hasDisposition {
			m.contentDisposition(value)
		}
	}
}

// contentType reads type "/" subtype and the parameters (RFC 2045 §5.1). A value
// that does not begin so counts as missing (RFC 2045 §5.2).
func (m *mimeHeader) contentType(value []byte) bool {
	value = skipCFWS(value)
	major, rest := cutToken(value)
	rest = skipCFWS(rest)
	if len(major) == 0 || len(rest) == 0 || rest[0] != '/' {
		return false
	}
	minor, rest := cutToken(skipCFWS(rest[1:]))
	if len(minor) == 0 {
		return false
	}
	m.structure.Type, m.structure.Subtype = string(major), string(minor)
	if i := bytes.IndexByte(rest, ';'); i >= 0 {
		m.structure.Params = parseParams(nil, rest[i:])
	}
	m.part.Type, m.part.Subtype = lowerString(major), lowerString(minor)
	for _, p := range m.structure.Params {
		switch {
		case m.part.Charset == "" && strings.EqualFold(p.Name, "charset"):
			m.part.Charset = lowerString([]byte(strings.TrimSpace(p.Value)))
		case m.boundary == "" && strings.EqualFold(p.Name, "boundary"):
			// Boundaries do not end with white space (RFC 2046 §5.1.1).
			m.boundary = strings.TrimRight(p.Value, " \t")
		}
	}
	if len(m.part.Charset) > maxCharsetLabel {
		m.part.Charset = ""
	}
	return true
}

func (m *mimeHeader) contentEncoding(value []byte) {
	token, _ := cutToken(skipCFWS(value))
	if len(token) > 0 {
		m.structure.Encoding, m.part.Encoding = string(token), lowerString(token)
		m.hasEncoding = true
	}
}

// contentDisposition reads RFC 2183 §2.
func (m *mimeHeader) contentDisposition(value []byte) {
	token, rest := cutToken(skipCFWS(value))
	if len(token) == 0 {
		return
	}
	m.hasDisposition = true
	m.text.disposition = string(token)
	m.structure.Disposition = &m.text.disposition
	if i := bytes.IndexByte(rest, ';'); i >= 0 {
		m.structure.DispositionParams = parseParams(nil, rest[i:])
	}
}

// defaults fills in what the header did not say. inDigest is for the parts of
// multipart/digest (RFC 2046 §5.1.5).
func (m *mimeHeader) defaults(inDigest bool) {
	if !m.hasType {
		m.setType("TEXT", "PLAIN")
		if inDigest {
			m.setType("MESSAGE", "RFC822")
		}
	}
	if !m.hasEncoding {
		m.structure.Encoding, m.part.Encoding = "7BIT", "7bit"
	}
}

// setType sets a type that did not come from the header, without parameters.
func (m *mimeHeader) setType(major, minor string) {
	m.structure.Type, m.structure.Subtype, m.structure.Params = major, minor, nil
	m.part.Type, m.part.Subtype = strings.ToLower(major), strings.ToLower(minor)
	m.part.Charset, m.boundary = "", ""
}

// addCharset gives a text part that names no charset the default one
// (RFC 2045 §5.2).
func (m *mimeHeader) addCharset() {
	if m.part.Type != "text" {
		return
	}
	for _, p := range m.structure.Params {
		if strings.EqualFold(p.Name, "charset") {
			return
		}
	}
	m.structure.Params = append(m.structure.Params, imap.Param{Name: "CHARSET", Value: "US-ASCII"})
}

// isMessage says whether the part holds a message that can be read in place: one
// with a transfer encoding is not (RFC 2046 §5.2.1 forbids it).
func (m *mimeHeader) isMessage() bool {
	if m.part.Type != "message" || m.part.Subtype != "rfc822" && m.part.Subtype != "global" {
		return false
	}
	switch m.part.Encoding {
	case "7bit", "8bit", "binary":
		return true
	}
	return false
}

// cutToken cuts a MIME token off s (RFC 2045 §5.1), letting 8-bit octets pass.
func cutToken(s []byte) (token, rest []byte) {
	end := 0
	for end < len(s) && isToken(s[end]) {
		end++
	}
	return s[:end], s[end:]
}

func isToken(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '@', ',', ';', ':', '\\', '"', '/', '[', ']', '?', '=', 0x7f:
		return false
	}
	return c > ' '
}

// parseLanguages reads Content-Language (RFC 3282 §2): tags between commas.
func parseLanguages(value []byte) []string {
	var tags []string
	for len(value) > 0 && len(tags) < maxLanguages {
		var tag []byte
		tag, value = cutToken(skipCFWS(value))
		if len(tag) > 0 {
			tags = append(tags, string(tag))
		} else if len(value) > 0 {
			value = value[1:]
		}
		value = skipCFWS(value)
	}
	return tags
}

// lowerString returns s in lower case.
func lowerString(s []byte) string {
	var buf [64]byte
	return wellKnown(appendLower(buf[:0], s))
}
