package transcript

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Kind says what a Node is.
type Kind int

// The kinds of Node.
const (
	Atom   Kind = iota // anything unquoted, NIL and numbers among them
	String             // quoted or literal
	List               // in parentheses
)

// Node is one value in a response.
type Node struct {
	Kind Kind
	Text string // of an Atom or a String
	Kids []Node // of a List
}

// Is reports whether n is the atom s, in any case.
func (n Node) Is(s string) bool { return n.Kind == Atom && strings.EqualFold(n.Text, s) }

// String shows n much as it stood on the wire.
func (n Node) String() string {
	switch n.Kind {
	case List:
		parts := make([]string, len(n.Kids))
		for i, k := range n.Kids {
			parts[i] = k.String()
		}
		return "(" + strings.Join(parts, " ") + ")"
	case String:
		return strconv.Quote(n.Text)
	}
	return n.Text
}

// Response is one response of a server, parsed without regard to which command
// it answers.
type Response struct {
	Tag    string // "*", "+" or a command's tag
	Status string // OK, NO, BAD, BYE or PREAUTH; else empty
	Code   []Node // what stands in the brackets after Status; nil without
	Text   string // for people, after Status and Code, or after "+"
	Data   []Node // of an untagged response without Status
	Raw    string
}

// Name returns the word that says what an untagged response is about, in upper
// case: its Status, or the first word that is no number.
func (r Response) Name() string {
	if r.Status != "" {
		return r.Status
	}
	for _, n := range r.Data[:min(2, len(r.Data))] {
		if n.Kind == Atom && (n.Text == "" || n.Text[0] < '0' || n.Text[0] > '9') {
			return strings.ToUpper(n.Text)
		}
	}
	return ""
}

// Number returns the number that an untagged response begins with, as in
// "* 3 EXISTS".
func (r Response) Number() (uint32, bool) {
	if len(r.Data) == 0 || r.Data[0].Kind != Atom {
		return 0, false
	}
	n, err := strconv.ParseUint(r.Data[0].Text, 10, 32)
	return uint32(n), err == nil
}

// CodeIs reports whether the response code is name.
func (r Response) CodeIs(name string) bool { return len(r.Code) > 0 && r.Code[0].Is(name) }

var errSyntax = errors.New("malformed response")

// ParseResponse parses one response: a line with the literals in it, without the
// last CRLF. It reads the grammar common to all responses (RFC 9051 §9,
// response-data and resp-text), so it needs no knowledge of extensions.
func ParseResponse(raw string) (Response, error) {
	r := Response{Raw: raw}
	tag, rest, ok := strings.Cut(raw, " ")
	r.Tag = tag
	if tag == "+" {
		r.Text = rest
		return r, nil
	}
	if !ok || tag == "" {
		return r, fmt.Errorf("%w: %q", errSyntax, raw)
	}
	word, after, _ := strings.Cut(rest, " ")
	switch word := strings.ToUpper(word); word {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		r.Status = word
		return r, r.parseText(after)
	}
	if tag != "*" {
		return r, fmt.Errorf("%w: a tag without a status: %q", errSyntax, raw)
	}
	p := parser{s: rest}
	data, err := p.values(0)
	if err == nil && p.i < len(p.s) {
		err = fmt.Errorf("%w: %q left over in %q", errSyntax, p.s[p.i:], raw)
	}
	r.Data = data
	return r, err
}

// parseText splits "[CODE ...] text" (RFC 9051 §9, resp-text).
func (r *Response) parseText(s string) error {
	if !strings.HasPrefix(s, "[") {
		r.Text = s
		return nil
	}
	p := parser{s: s, i: 1}
	code, err := p.values(']')
	if err != nil {
		return err
	}
	r.Code = code
	r.Text = strings.TrimPrefix(p.s[p.i:], " ")
	return nil
}

type parser struct {
	s     string
	i     int
	depth int
}

// values reads values up to the closing character, which is consumed; 0 is the
// end of the text.
func (p *parser) values(closing byte) ([]Node, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > 200 {
		return nil, fmt.Errorf("%w: nested too deep", errSyntax)
	}
	nodes := []Node{}
	for {
		switch {
		case p.i >= len(p.s):
			if closing != 0 {
				return nil, fmt.Errorf("%w: no %q in %q", errSyntax, closing, p.s)
			}
			return nodes, nil
		case p.s[p.i] == closing && closing != 0:
			p.i++
			return nodes, nil
		case p.s[p.i] == ' ':
			p.i++
		default:
			n, err := p.value(closing)
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, n)
		}
	}
}

func (p *parser) value(closing byte) (Node, error) {
	switch c := p.s[p.i]; {
	case c == '(':
		p.i++
		kids, err := p.values(')')
		return Node{Kind: List, Kids: kids}, err
	case c == '"':
		return p.quoted()
	case c == '{', c == '~' && strings.HasPrefix(p.s[p.i:], "~{"):
		return p.literal()
	case c == ')':
		return Node{}, fmt.Errorf("%w: lone ) in %q", errSyntax, p.s)
	}
	return p.atom(closing), nil
}

func (p *parser) quoted() (Node, error) {
	var b strings.Builder
	for i := p.i + 1; i < len(p.s); i++ {
		switch p.s[i] {
		case '\\':
			i++
			if i < len(p.s) {
				b.WriteByte(p.s[i])
			}
		case '"':
			p.i = i + 1
			return Node{Kind: String, Text: b.String()}, nil
		case '\r', '\n':
			return Node{}, fmt.Errorf("%w: line end in a quoted string: %q", errSyntax, p.s)
		default:
			b.WriteByte(p.s[i])
		}
	}
	return Node{}, fmt.Errorf("%w: open quote in %q", errSyntax, p.s)
}

func (p *parser) literal() (Node, error) {
	head, rest, ok := strings.Cut(p.s[p.i:], "}\r\n")
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimLeft(head, "~{"), "+"))
	if !ok || err != nil || n < 0 || n > len(rest) {
		return Node{}, fmt.Errorf("%w: bad literal at %.40q", errSyntax, p.s[p.i:])
	}
	p.i += len(head) + len("}\r\n") + n
	return Node{Kind: String, Text: rest[:n]}, nil
}

// atom reads up to a space or parenthesis; what stands in brackets, as in
// BODY[HEADER.FIELDS (TO)]<0>, belongs to the atom.
func (p *parser) atom(closing byte) Node {
	start, open := p.i, 0
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '[':
			open++
		case c == ']' && open > 0:
			open--
		case open > 0:
		case c == ' ', c == '(', c == ')', c == closing && closing != 0:
			return Node{Text: p.s[start:p.i]}
		}
	}
	return Node{Text: p.s[start:]}
}
