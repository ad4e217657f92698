package message

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// wantsSample says whether the text of the leaf o shall be looked at for the preview:
// it is the first text that yields one and no attachment.
func (s *Scanner) wantsSample(o *openPart) bool {
	if s.preview != "" || s.previewLeft == 0 || o.part.Type != "text" {
		return false
	}
	if o.part.Subtype != "plain" && o.part.Subtype != "html" {
		return false
	}
	disposition := o.structure.Disposition
	return disposition == nil || !equalName([]byte(*disposition), "attachment")
}

// takeSample makes the preview from the sample of o and lets go of the sample.
func (s *Scanner) takeSample(o *openPart) {
	o.sampled = false
	text := decodeText(nil, o.part.Charset, s.sample)
	s.sample = s.sample[:0]
	if o.part.Subtype == "html" {
		var h htmlText
		s.preview = previewOf(h.finish(h.write(nil, text)))
		return
	}
	s.preview = previewOf(text)
}

// previewOf returns the start of a text as one line: words with single spaces, without
// quoted lines, the line that introduces them, and the signature.
func previewOf(text []byte) string {
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
	return string(out)
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
	for _, word := range bytes.Fields(line) {
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
