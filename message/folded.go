package message

import "bytes"

// AppendFolded appends to dst the decoded and folded texts (see Fold) of all fields of
// a header section with the given name, each after a line feed, so that no key matches
// across two of them. MatchFolded searches in the result.
func AppendFolded(dst, header []byte, name string) []byte {
	for {
		f, rest, ok := nextField(header)
		if !ok {
			return dst
		}
		header = rest
		if len(f.name) > 0 && equalName(f.name, name) {
			dst = append(dst, '\n')
			dst = Fold(dst, DecodeHeader(f.value))
		}
	}
}

// MatchFolded says whether the key occurs in a text that was folded before.
func (n *Needle) MatchFolded(folded []byte) bool { return bytes.Contains(folded, n.key) }

// MatchAddresses says whether the key occurs in one of the addresses of a text that was
// folded before, written as "name <local@host>": FROM and its kin (RFC 9051 §6.4.4), for
// the other ways in which a field can write that.
func (n *Needle) MatchAddresses(folded []byte) bool {
	for line := range bytes.SplitSeq(folded, []byte{'\n'}) {
		n.addresses = ParseAddresses(n.addresses[:0], line)
		for _, a := range n.addresses {
			if a.Host == nil {
				continue // the name or the end of a group
			}
			n.line = n.line[:0]
			if a.Name != nil {
				n.line = append(append(n.line, *a.Name...), ' ')
			}
			n.line = append(append(append(n.line, '<'), *a.Mailbox...), '@')
			n.line = append(append(n.line, *a.Host...), '>')
			if bytes.Contains(n.line, n.key) {
				return true
			}
		}
	}
	return false
}
