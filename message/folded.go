package message

import "bytes"

// AppendFolded appends to dst the decoded and folded texts (see Fold) of all fields of
// a header section with the given name, each behind a line feed, so that no key matches
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
