package message

import (
	"bytes"
	"io"

	"tidemark/imap"
)

// Needle is a search key made ready to be looked for in messages: texts are
// compared in the form that Fold gives them. A Needle has buffers of its own and is
// for one goroutine at a time.
type Needle struct {
	key       []byte
	folded    []byte         // scratch
	line      []byte         // scratch
	header    []byte         // scratch
	addresses []imap.Address // scratch
	leaf      leafText
	plain     window
	html      window
}

// NewNeedle returns the Needle for a key in UTF-8. The empty key is in every text.
func NewNeedle(key string) *Needle {
	n := &Needle{key: Fold(nil, key)}
	n.plain.open(n.key)
	n.html.open(n.key)
	return n
}

// MatchString says whether the key is in s, which is UTF-8.
func (n *Needle) MatchString(s string) bool {
	n.folded = Fold(n.folded[:0], s)
	return bytes.Contains(n.folded, n.key)
}

// MatchHeader says whether a header section has a field of that name, in any case,
// with the key in its decoded value: HEADER and its kin (RFC 9051 §6.4.4). For the
// empty key it is enough that the field is there.
func (n *Needle) MatchHeader(header []byte, name string) bool {
	for {
		f, rest, ok := nextField(header)
		if !ok {
			return false
		}
		if equalName(f.name, name) && n.matchValue(f.value) {
			return true
		}
		header = rest
	}
}

func (n *Needle) matchValue(value []byte) bool {
	n.line = unfold(n.line[:0], value)
	if isASCII(n.line) && !bytes.Contains(n.line, []byte("=?")) {
		n.folded, _ = foldBytes(n.folded[:0], n.line, false)
		return bytes.Contains(n.folded, n.key)
	}
	return n.MatchString(DecodeHeader(value))
}

// MatchText says whether the key is in the message that src holds and root
// describes: BODY, or with headers set TEXT (RFC 9051 §6.4.4).
//
// Looked at is the text of every text and message part, wherever it is nested, as a
// person would read it: without transfer encoding and in Unicode. Of HTML both the source
// and the readable text are searched, so that words are found across tags, and
// addresses of links too. TEXT adds the header fields, decoded, of the message, of its
// parts, and of messages within.
//
// Bodies are read in pieces and to their end; of a header section the first MiB
// counts. Memory does not grow with the message. Errors are those of src.
func (n *Needle) MatchText(src io.ReaderAt, root *Part, headers bool) (bool, error) {
	if len(n.key) == 0 {
		return true, nil
	}
	if headers {
		if found, err := n.matchFields(src, root.Header); found || err != nil {
			return found, err
		}
	}
	for _, p := range root.Parts {
		if found, err := n.MatchText(src, p, headers); found || err != nil {
			return found, err
		}
	}
	switch {
	case root.IsMultipart():
		return false, nil
	case root.Message != nil:
		return n.MatchText(src, root.Message, headers)
	case root.Type == "text" || root.Type == "message":
		return n.matchBody(src, root)
	}
	return false, nil
}

// keptHeader is the size in octets of the largest header section that leaves its buffer to
// the next one.
const keptHeader = 32 << 10

// matchFields looks for the key in all fields of a header section, names included.
func (n *Needle) matchFields(src io.ReaderAt, ext Extent) (bool, error) {
	size := int(min(ext.Length, maxSearchedHeader))
	header := n.header
	if cap(header) < size {
		header = make([]byte, size)
	}
	if size <= keptHeader {
		n.header = header
	}
	k, err := src.ReadAt(header[:size], ext.Offset)
	if err != nil && err != io.EOF {
		return false, err
	}
	for header = header[:k]; ; {
		f, rest, ok := nextField(header)
		if !ok {
			return false, nil
		}
		if n.matchValue(f.raw) {
			return true, nil
		}
		header = rest
	}
}

// matchBody looks for the key in a leaf's text.
func (n *Needle) matchBody(src io.ReaderAt, p *Part) (bool, error) {
	if !n.leaf.open(src, p) {
		return false, nil
	}
	n.plain.reset()
	n.html.reset()
	var markup htmlText
	for {
		text, last, err := n.leaf.next()
		if err != nil {
			return false, err
		}
		if n.plain.add(text, last) {
			return true, nil
		}
		if p.Subtype == "html" {
			n.line = markup.write(n.line[:0], text)
			if last {
				n.line = markup.finish(n.line)
			}
			if n.html.add(n.line, last) {
				return true, nil
			}
		}
		if last {
			return false, nil
		}
	}
}

// window looks for a key in a folded text that comes in pieces. It holds the end of
// what it has seen, as long as the key less one octet.
type window struct {
	key    []byte
	folder folder
	folded []byte
	rest   []byte // an incomplete character
	joined []byte // scratch
}

// open sets the key, which must be folded.
func (w *window) open(key []byte) { w.key, w.folder.ascii = key, isASCII(key) }

func (w *window) reset() { w.folded, w.rest = w.folded[:0], w.rest[:0] }

// add takes the next piece of the text and says whether the key ends in it. Behind the
// last piece there is no incomplete character.
func (w *window) add(text []byte, last bool) bool {
	if len(w.rest) > 0 {
		w.joined = append(append(w.joined[:0], w.rest...), text...)
		text = w.joined
	}
	if over := len(w.folded) - (len(w.key) - 1); over > 0 {
		w.folded = append(w.folded[:0], w.folded[over:]...)
	}
	var rest []byte
	w.folded, rest = w.folder.fold(w.folded, text, !last)
	w.rest = append(w.rest[:0], rest...)
	return bytes.Contains(w.folded, w.key)
}
