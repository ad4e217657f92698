package message

import "bytes"

// ParseReferences returns the message ids in the value of a References or
// In-Reply-To field in their order, normalised as RFC 5256 §3 wants for threading:
// what stands in the angle brackets, without white space, comments and quoting. Of more
// than 1,000 the last are kept, because the last is the parent.
func ParseReferences(value []byte) []string {
	n := 0
	for rest := value; ; n++ {
		id, next := nextID(rest)
		if id == nil {
			break
		}
		rest = next
	}
	skip := max(0, n-maxReferences)
	ids := make([]string, 0, n-skip)
	for rest := value; ; skip-- {
		id, next := nextID(rest)
		if id == nil {
			return ids
		}
		if rest = next; skip <= 0 {
			ids = append(ids, normalID(id))
		}
	}
}

// firstID returns the first message id in value, normalised; "" if there is none.
func firstID(value []byte) string {
	id, _ := nextID(value)
	return normalID(id)
}

// nextID returns what stands in the next pair of angle brackets, if it has an "@" and
// so can be an id; nil where there is none left.
func nextID(b []byte) (id, rest []byte) {
	for {
		open := bytes.IndexByte(b, '<')
		if open < 0 {
			return nil, nil
		}
		b = b[open+1:]
		end := bytes.IndexAny(b, "<>")
		if end < 0 {
			return nil, nil
		}
		if b[end] == '>' && bytes.IndexByte(b[:end], '@') >= 0 {
			return b[:end], b[end+1:]
		}
		b = b[end:]
	}
}

// normalID removes quoting, white space and comments from an id.
func normalID(id []byte) string {
	if !bytes.ContainsAny(id, " \t\r\n\x00\"(\\") {
		return string(id)
	}
	var p addressParser
	p.in = id
	p.addrSpec(0, len(id), false)
	return string(p.local) + "@" + string(p.host)
}
