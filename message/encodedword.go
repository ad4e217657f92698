package message

import (
	"bytes"
	"unicode/utf8"
)

// DecodeHeader returns the value of a header field as UTF-8 text on one line:
// unfolded, with its encoded words decoded (RFC 2047). White space between encoded
// words is dropped, and words of one charset that stand together are decoded
// together, because mailers cut characters apart. Octets that are neither ASCII nor
// UTF-8 are taken for windows-1252. CR, LF and NUL do not come through.
func DecodeHeader(value []byte) string {
	var stack [256]byte
	line := unfold(stack[:0], value)
	if !bytes.Contains(line, []byte("=?")) {
		if isASCII(line) {
			return string(line)
		}
		return string(appendRaw(nil, line))
	}
	d := wordDecoder{out: make([]byte, 0, len(line))}
	for len(line) > 0 {
		i := bytes.Index(line, []byte("=?"))
		if i < 0 {
			i = len(line)
		}
		w, n := parseWord(line[i:])
		if n == 0 {
			i = min(i+2, len(line))
			d.plain(line[:i])
			line = line[i:]
			continue
		}
		if len(trimSpace(line[:i])) > 0 || d.charset == nil {
			d.plain(line[:i])
		}
		d.word(w)
		line = line[i+n:]
	}
	d.flush()
	return string(d.out)
}

// wordDecoder gathers decoded text.
type wordDecoder struct {
	out     []byte
	charset []byte // of pending; nil if the last thing was no encoded word
	pending []byte // text of the last encoded words, not yet converted
}

// encodedWord is "=?charset?encoding?text?=".
type encodedWord struct {
	charset  []byte
	encoding byte
	text     []byte
}

// parseWord reads the encoded word at the start of b; n is its length, 0 if there is
// none. Text may hold spaces and question marks, which it should not (RFC 2047 §2).
// The search for its end stops at the next "=?", so that it is not repeated.
func parseWord(b []byte) (w encodedWord, n int) {
	if len(b) < 2 {
		return w, 0
	}
	end := bytes.IndexByte(b[2:min(len(b), 2+maxCharsetLabel)], '?')
	if end <= 0 {
		return w, 0
	}
	w.charset = b[2 : 2+end]
	i := 2 + end + 1
	if i+1 >= len(b) || b[i+1] != '?' {
		return w, 0
	}
	w.encoding = lower(b[i])
	if w.encoding != 'b' && w.encoding != 'q' {
		return w, 0
	}
	i += 2
	for start := i; ; i++ {
		next := bytes.IndexByte(b[i:], '?')
		if next < 0 {
			return w, 0
		}
		i += next
		if i+1 < len(b) && b[i+1] == '=' {
			w.text = b[start:i]
			return w, i + 2
		}
		if i > start && b[i-1] == '=' {
			return w, 0
		}
	}
}

// plain takes text outside of encoded words.
func (d *wordDecoder) plain(b []byte) {
	if len(b) > 0 {
		d.flush()
		d.out = appendRaw(d.out, b)
	}
}

func (d *wordDecoder) word(w encodedWord) {
	// RFC 2231 §5: a language may follow the charset.
	charset, _, _ := bytes.Cut(w.charset, []byte{'*'})
	if d.charset != nil && !bytes.EqualFold(charset, d.charset) {
		d.flush()
	}
	d.charset = charset
	if w.encoding == 'b' {
		var dec base64Decoder
		d.pending = dec.finish(dec.decode(d.pending, w.text))
		return
	}
	d.pending = appendQ(d.pending, w.text)
}

// flush converts the pending text.
func (d *wordDecoder) flush() {
	if d.charset == nil {
		return
	}
	start := len(d.out)
	d.out = decodeText(d.out, string(d.charset), d.pending)
	for i, c := range d.out[start:] {
		if c == '\r' || c == '\n' || c == 0 {
			d.out[start+i] = ' '
		}
	}
	d.charset, d.pending = nil, d.pending[:0]
}

// appendQ decodes the "Q" encoding (RFC 2047 §4.2).
func appendQ(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '_':
			c = ' '
		case c == '=' && i+2 < len(text) && unhex(text[i+1]) >= 0 && unhex(text[i+2]) >= 0:
			c = byte(unhex(text[i+1])<<4 | unhex(text[i+2]))
			i += 2
		}
		dst = append(dst, c)
	}
	return dst
}

// appendRaw appends text of no declared charset as UTF-8.
func appendRaw(dst, b []byte) []byte {
	if utf8.Valid(b) {
		return append(dst, b...)
	}
	return decodeText(dst, "windows-1252", b)
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
