package message

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"tidemark/imap"
)

// previewer makes the preview (RFC 8970) of the first text that yields one and is no
// attachment. It looks at little of it first, and at more where that was not
// enough, so that a long text costs no more than it must.
type previewer struct {
	text   string
	sample []byte // the decoded start of the text in work
	goal   int    // octets of sample at which to look next
	left   int    // octets that may still be looked at
}

// firstLook is how many octets are looked at first, and then four times as many.
const firstLook = 4 << 10

// usualLine is how far the line that reaches the goal goes beyond it at most, as a rule
// (RFC 5322 §2.1.1).
const usualLine = 1000

// begin says whether the leaf that st describes is a text for a preview. If so its
// octets are to be added to the sample.
func (v *previewer) begin(st *imap.BodyStructure) bool {
	if v.text != "" || v.left == 0 || !strings.EqualFold(st.Type, "text") {
		return false
	}
	if !strings.EqualFold(st.Subtype, "plain") && !strings.EqualFold(st.Subtype, "html") {
		return false
	}
	if st.Disposition != nil && strings.EqualFold(*st.Disposition, "attachment") {
		return false
	}
	v.goal = min(firstLook, v.left)
	v.sample = slices.Grow(v.sample[:0], v.goal+usualLine)
	return true
}

// grown is called when the sample has grown, and says whether it needs to grow on. The
// sample is looked at in lengths that do not depend on how it came.
func (v *previewer) grown(p *Part) (more bool) {
	for len(v.sample) >= v.goal {
		text, full := v.look(p, v.sample[:v.goal])
		if full || v.goal == v.left {
			v.text = text
			v.left -= v.goal
			return false
		}
		v.goal = min(4*v.goal, v.left)
	}
	return true
}

// end is called at the end of a text that is shorter than the goal.
func (v *previewer) end(p *Part) {
	v.text, _ = v.look(p, v.sample)
	v.left -= len(v.sample)
}

// look makes a preview of the start of p's text, and says whether it has the length
// that a preview can have.
func (v *previewer) look(p *Part, sample []byte) (text string, full bool) {
	utf8Text := decodeText(nil, p.Charset, sample)
	if p.Subtype == "html" {
		var h htmlText
		utf8Text = h.finish(h.write(nil, utf8Text))
	}
	return previewOf(utf8Text)
}

// previewOf returns the start of a text as one line: words with single spaces, without
// quoted lines, the line that introduces them, and the signature. full says that there
// could be more.
func previewOf(text []byte) (preview string, full bool) {
	var out []byte
	chars := 0
	for len(text) > 0 && chars < maxPreview {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if string(line) == "-- " {
			break
		}
		if len(line) > 0 && line[0] == '>' || introducesQuote(line, text) {
			continue
		}
		out, chars = appendWords(out, chars, line)
	}
	return string(out), chars >= maxPreview
}

// introducesQuote says whether line only introduces the quote below it, as
// "On Monday, Joe wrote:" does.
func introducesQuote(line, below []byte) bool {
	line = trimSpace(line)
	if len(line) == 0 || line[len(line)-1] != ':' {
		return false
	}
	below = bytes.TrimLeft(below, "\r\n")
	return len(below) > 0 && below[0] == '>'
}

// appendWords appends the words of a line to out and counts the characters in it, up
// to maxPreview.
func appendWords(out []byte, chars int, line []byte) ([]byte, int) {
	for word := range bytes.FieldsSeq(line) {
		if chars > 0 {
			out = append(out, ' ')
			chars++
		}
		for _, r := range string(word) {
			if chars >= maxPreview {
				return bytes.TrimRight(out, " "), chars
			}
			if !unicode.IsControl(r) {
				out = utf8.AppendRune(out, r)
				chars++
			}
		}
	}
	return out, chars
}
