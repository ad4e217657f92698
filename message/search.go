package message

import "io"

// Needle is a search key made ready.
type Needle struct{ key []byte }

// NewNeedle returns the Needle for a key in UTF-8.
func NewNeedle(key string) *Needle { return &Needle{Fold(nil, key)} }

func (n *Needle) MatchHeader(header []byte, field string) bool { return false }

func (n *Needle) MatchText(src io.ReaderAt, root *Part, headers bool) (bool, error) {
	return false, nil
}
