package message

import (
	"encoding/binary"
	"html"
	"math/bits"
	"strings"
)

// htmlText takes the readable text out of HTML, piece by piece: without tags,
// comments, scripts and styles, with character references replaced, each run of
// white space made one space. It builds no tree and holds no more than a word, and
// what it yields does not depend on where the pieces are cut.
type htmlText struct {
	state  htmlState
	word   []byte // the tag's name, or the character reference, in work
	quote  byte   // that an attribute's value began with
	raw    string // "</script": what ends the text that is not shown
	match  int    // octets of raw, or of a comment's start or end, seen
	spaced bool   // the last thing appended was a space
}

type htmlState uint8

const (
	htmlPlain   htmlState = iota
	htmlRef               // after "&"
	htmlOpen              // after "<"
	htmlName              // in a tag's name
	htmlTag               // after it
	htmlMarkup            // after "<!"
	htmlComment           // after "<!--"
	htmlRaw               // in a script, a style or a title
)

// maxHTMLWord is the longest tag name or character reference that is looked up;
// the longest reference that HTML knows has 32 octets.
const maxHTMLWord = 40

// write appends to dst the text in the next piece.
func (h *htmlText) write(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		if h.state == htmlPlain {
			if n := textRun(src[i:], h.spaced); n > 0 {
				dst = append(dst, src[i:i+n]...)
				i += n
				h.spaced = src[i-1] == ' '
			}
			if i == len(src) {
				break
			}
		}
		c := src[i]
		i++
		switch h.state {
		case htmlPlain:
			dst = h.plain(dst, c)
		case htmlRef:
			if isAlnum(c) || c == '#' && len(h.word) == 1 {
				if h.word = append(h.word, c); len(h.word) >= maxHTMLWord {
					dst = h.reference(dst)
				}
				continue
			}
			if c == ';' {
				h.word = append(h.word, c)
			} else {
				i-- // it does not belong to the reference
			}
			dst = h.reference(dst)
		case htmlOpen:
			if !h.open(c) {
				dst = append(dst, '<')
				h.state, h.spaced = htmlPlain, false
				i--
			}
		case htmlName:
			dst = h.name(dst, c)
		case htmlTag:
			h.tag(c)
		case htmlMarkup:
			h.markup(c)
		case htmlComment:
			h.comment(c)
		case htmlRaw:
			h.rawText(c)
		}
	}
	return dst
}

// finish appends what was still held back at the end.
func (h *htmlText) finish(dst []byte) []byte {
	if h.state == htmlRef {
		dst = h.reference(dst)
	}
	return dst
}

// textRun returns how many octets at the start of src stand for themselves: no markup,
// and no white space but single spaces. With spaced set, a space stands before them.
func textRun(src []byte, spaced bool) int {
	i := 0
	var before uint64 // the high bit of the lowest octet: a space stands before the word
	if spaced {
		before = 0x80
	}
	for ; i+wordSize <= len(src); i += wordSize {
		w := binary.LittleEndian.Uint64(src[i:])
		space := octetsEqual(w, ' ')
		control := (w - ' '*eachByte) &^ w // exact up to the first
		stop := octetsEqual(w, '<') | octetsEqual(w, '&') | space&(space<<8|before) | control&highBits
		if stop != 0 {
			return i + bits.TrailingZeros64(stop)/8
		}
		before = space >> 56
	}
	for ; i < len(src); i++ {
		c := src[i]
		if c < ' ' || c == '<' || c == '&' || c == ' ' && before != 0 {
			break
		}
		before = 0
		if c == ' ' {
			before = 0x80
		}
	}
	return i
}

// octetsEqual returns a word with the high bit of each octet of w that is c, which must be
// ASCII.
func octetsEqual(w uint64, c byte) uint64 {
	const low = eachByte * 0x7f
	w ^= uint64(c) * eachByte
	return ^((w&low + low) | w | low)
}

// plain takes an octet that textRun stops at.
func (h *htmlText) plain(dst []byte, c byte) []byte {
	switch c {
	case '<':
		h.state = htmlOpen
	case '&':
		h.state, h.word = htmlRef, append(h.word[:0], c)
	default:
		dst = h.space(dst)
	}
	return dst
}

func (h *htmlText) space(dst []byte) []byte {
	if h.spaced {
		return dst
	}
	h.spaced = true
	return append(dst, ' ')
}

// reference ends a character reference.
func (h *htmlText) reference(dst []byte) []byte {
	h.state = htmlPlain
	text := html.UnescapeString(string(h.word))
	if text == "\u00a0" || text == "\n" || text == "\t" || text == " " {
		return h.space(dst)
	}
	h.spaced = false
	return append(dst, text...)
}

// open takes the octet after "<" and says whether it is markup at all.
func (h *htmlText) open(c byte) bool {
	switch {
	case c == '!' || c == '?':
		h.state, h.match = htmlMarkup, 0
	case isLetter(c) || c == '/':
		h.state, h.word = htmlName, append(h.word[:0], lower(c))
	default:
		return false
	}
	return true
}

// name takes an octet of a tag's name, or the one after it.
func (h *htmlText) name(dst []byte, c byte) []byte {
	if isAlnum(c) {
		if len(h.word) < maxHTMLWord {
			h.word = append(h.word, lower(c))
		}
		return dst
	}
	name := strings.TrimPrefix(string(h.word), "/")
	if !isInline(name) {
		dst = h.space(dst)
	}
	h.raw = ""
	switch string(h.word) {
	case "script", "style", "title":
		h.raw = "</" + string(h.word)
	}
	h.state, h.quote = htmlTag, 0
	h.tag(c)
	return dst
}

// tag takes an octet of a tag after its name.
func (h *htmlText) tag(c byte) {
	switch {
	case h.quote != 0:
		if c == h.quote {
			h.quote = 0
		}
	case c == '"' || c == '\'':
		h.quote = c
	case c == '>':
		h.state, h.match = htmlPlain, 0
		if h.raw != "" {
			h.state = htmlRaw
		}
	}
}

// markup takes an octet after "<!".
func (h *htmlText) markup(c byte) {
	switch {
	case c == '>':
		h.state = htmlPlain
	case c == '-' && h.match < 2:
		if h.match++; h.match == 2 {
			h.state, h.match = htmlComment, 0
		}
	default:
		h.match = 2 // no comment
	}
}

// comment waits for "-->".
func (h *htmlText) comment(c byte) {
	switch {
	case c == '-':
		h.match++
	case c == '>' && h.match >= 2:
		h.state = htmlPlain
	default:
		h.match = 0
	}
}

// rawText waits for the end tag that h.raw begins.
func (h *htmlText) rawText(c byte) {
	switch {
	case lower(c) == h.raw[h.match]:
		h.match++
	case c == '<':
		h.match = 1
	default:
		h.match = 0
	}
	if h.match == len(h.raw) {
		h.state, h.raw, h.quote = htmlTag, "", 0
	}
}

// isInline says whether an element stands within a word or line, so that its tags
// are no space.
func isInline(name string) bool {
	switch name {
	case "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn",
		"em", "font", "i", "ins", "kbd", "label", "mark", "nobr", "o", "q", "s", "samp",
		"small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr":
		return true
	}
	return false
}

func isAlnum(c byte) bool { return isLetter(c) || '0' <= c && c <= '9' }
