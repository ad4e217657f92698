package message

import (
	"encoding/binary"
	"io"
	"math/bits"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/transform"
)

// leafText reads the texts of leaves as a person would read them, one leaf after the
// other: without transfer encoding and in UTF-8. Text whose charset is UTF-8, or not
// known, is handed out as it is, as folding makes UTF-8 of it. Buffers are kept.
type leafText struct {
	src      io.ReaderAt
	at, end  int64
	transfer transferDecoder // nil for none
	charset  charsetText
	raw      []byte
	decoded  []byte
}

// leafPiece is how many octets of a message are read at once.
const leafPiece = 32 << 10

// open begins the text of p, a leaf of the message that src holds. It says false where
// the transfer encoding is not known.
func (t *leafText) open(src io.ReaderAt, p *Part) bool {
	var ok bool
	if t.transfer, ok = newTransferDecoder(p.Encoding); !ok {
		return false
	}
	t.charset.open(p.Charset)
	t.src, t.at, t.end = src, p.Body.Offset, p.Body.End()
	return true
}

// next returns the next piece of the text, which is valid until the following call, and
// whether it was the last. Errors are those of the source.
func (t *leafText) next() (text []byte, last bool, err error) {
	if t.raw == nil {
		t.raw = make([]byte, leafPiece)
	}
	text = t.raw[:min(leafPiece, t.end-t.at)]
	if len(text) > 0 {
		var n int
		n, err = t.src.ReadAt(text, t.at)
		if err != nil && err != io.EOF {
			return nil, false, err
		}
		text, t.at = text[:n], t.at+int64(n)
	}
	last = t.at == t.end || err == io.EOF
	if t.transfer != nil {
		t.decoded = t.transfer.decode(t.decoded[:0], text)
		if last {
			t.decoded = t.transfer.finish(t.decoded)
		}
		text = t.decoded
	}
	text, err = t.charset.convert(text, last)
	return text, last, err
}

// charsetText makes UTF-8 of text that comes in pieces.
type charsetText struct {
	bytes   byteTable             // of the charset that had one last
	table   *byteTable            // for a charset of single octets
	decoder transform.Transformer // for others that are not UTF-8
	held    []byte                // an incomplete character
	text    []byte
}

func (c *charsetText) open(label string) {
	c.table, c.decoder, c.held = nil, nil, c.held[:0]
	switch e := lookupCharset(label).(type) {
	case nil:
	case *charmap.Charmap:
		c.bytes.load(e)
		c.table = &c.bytes
	default:
		c.decoder = e.NewDecoder()
		c.decoder.Reset()
	}
}

// convert returns the next piece in UTF-8. It is valid until the following call.
func (c *charsetText) convert(piece []byte, last bool) ([]byte, error) {
	switch {
	case c.table != nil:
		c.text = c.table.appendText(c.text[:0], piece)
	case c.decoder != nil:
		return c.decode(piece, last)
	default:
		return piece, nil
	}
	return c.text, nil
}

func (c *charsetText) decode(piece []byte, last bool) ([]byte, error) {
	if len(c.held) > 0 {
		c.held = append(c.held, piece...)
		piece = c.held
	}
	c.text = c.text[:0]
	for room := len(piece); ; room *= 2 {
		c.text = slices.Grow(c.text, room+transformRoom)
		dst, src, err := c.decoder.Transform(c.text[len(c.text):cap(c.text)], piece, last)
		c.text, piece = c.text[:len(c.text)+dst], piece[src:]
		switch {
		case err == transform.ErrShortDst:
			continue
		case err == transform.ErrShortSrc && !last:
			err = nil
		}
		c.held = append(c.held[:0], piece...)
		return c.text, err
	}
}

// transformRoom is the room in octets that is enough for each step of a decoder.
const transformRoom = 64

// byteTable has the UTF-8 of each octet of a charset.
type byteTable struct {
	of    *charmap.Charmap
	text  [256]packed
	ascii bool // ASCII stands for itself
}

func (t *byteTable) load(of *charmap.Charmap) {
	if t.of == of {
		return
	}
	t.of, t.ascii = of, true
	for i := range t.text {
		t.text[i] = pack([]byte(string(of.DecodeByte(byte(i)))))
		t.ascii = t.ascii && (i >= utf8.RuneSelf || t.text[i] == pack([]byte{byte(i)}))
	}
}

func (t *byteTable) appendText(dst, src []byte) []byte {
	const most = 3 // octets of UTF-8 for one: no table leaves the basic plane
	out, n := slices.Grow(dst, most*len(src)+wordSize), len(dst)
	out = out[:cap(out)]
	for i := 0; i < len(src); {
		if t.ascii && src[i] < utf8.RuneSelf {
			k := copyASCII(out[n:], src[i:])
			i, n = i+k, n+k
			continue
		}
		n += t.text[src[i]].put(out[n:])
		i++
	}
	return out[:n]
}

// copyASCII copies the ASCII characters that src begins with, and returns their number. It
// may write up to wordSize octets more.
func copyASCII(dst, src []byte) int {
	i := 0
	for ; i+wordSize <= len(src); i += wordSize {
		w := binary.LittleEndian.Uint64(src[i:])
		binary.LittleEndian.PutUint64(dst[i:], w)
		if other := w & highBits; other != 0 {
			return i + bits.TrailingZeros64(other)/8
		}
	}
	for ; i < len(src) && src[i] < utf8.RuneSelf; i++ {
		dst[i] = src[i]
	}
	return i
}
