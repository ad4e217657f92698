package imapwire

import "bytes"

// globalType is the type that AppendBody gives a message/global, however its header
// spells it, so that AppendBodyRev1 soon knows what it has work with.
const globalType = `"MESSAGE" "GLOBAL"`

// AppendBodyRev1 appends body, which AppendBody has made, as IMAP4rev1 knows it: there
// message/rfc822 alone has an envelope and a body within, and message/global is a part
// like others (RFC 3501 §9, media-message). Clients of IMAP4rev1 lose their way in such
// a body otherwise.
func AppendBodyRev1(b, body []byte) []byte {
	if !bytes.Contains(body, []byte(globalType)) {
		return append(b, body...)
	}
	r := bodyRewriter{in: body, out: b}
	r.body()
	return r.out
}

// bodyRewriter copies a body without what a message/global has of the message within.
type bodyRewriter struct {
	in  []byte // what is left
	out []byte
}

// body copies a body. It recurses as deep as AppendBody did.
func (r *bodyRewriter) body() {
	global := bytes.HasPrefix(r.in, []byte("("+globalType))
	r.copy(1)
	if r.in[0] == '(' {
		for r.in[0] == '(' {
			r.body()
		}
	} else {
		r.copy(fieldsBeforeMessage(r.in))
		if bytes.HasPrefix(r.in, []byte(" (")) {
			r.message(global)
		}
	}
	for r.in[0] != ')' {
		r.copy(valueEnd(r.in))
	}
	r.copy(1)
}

// message copies the envelope and the body of a body-type-msg, or with drop skips them
// and the count of lines.
func (r *bodyRewriter) message(drop bool) {
	if drop {
		for range 3 {
			r.in = r.in[valueEnd(r.in):]
		}
		return
	}
	r.copy(valueEnd(r.in))
	r.copy(1)
	r.body()
}

func (r *bodyRewriter) copy(n int) {
	r.out = append(r.out, r.in[:n]...)
	r.in = r.in[n:]
}

// fieldsBeforeMessage returns the length of the type, the subtype and the body-fields
// with which a part begins.
func fieldsBeforeMessage(b []byte) int {
	end := 0
	for range 7 {
		end += valueEnd(b[end:])
	}
	return end
}

// valueEnd returns the length of the value that b begins with, and of a space before it:
// a string, a number, NIL, or a list of them.
func valueEnd(b []byte) int {
	for i, depth := 0, 0; ; {
		switch b[i] {
		case '(':
			depth++
			i++
		case ')':
			depth--
			i++
		case '"':
			i = quotedEnd(b, i)
		case '{':
			i = literalEnd(b, i)
		case ' ':
			i++
			continue
		default:
			for b[i] != ' ' && b[i] != ')' {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
}

func quotedEnd(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func literalEnd(b []byte, i int) int {
	size := 0
	for i++; b[i] != '}'; i++ {
		size = 10*size + int(b[i]-'0')
	}
	return i + len("}\r\n") + size
}
