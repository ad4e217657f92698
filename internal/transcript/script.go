// Package transcript runs dialogues between IMAP clients and a server, written
// as C: and S: lines, and says where a server departs from them. It knows the
// common shape of responses and no server: a script may be run against any.
//
// A script is a txtar archive. It opens with prose that says what would break if
// it failed. The file "setup" says what exists before, one directive a line:
//
//	modes rev1 rev2          run once as it is and once after ENABLE IMAP4rev2
//	raw                      connections begin with the greeting, not logged in
//	plain                    connections begin without TLS (implies raw)
//	user bob                 a second user; alice is always there
//	mailbox NAME             alice's mailbox
//	message MAILBOX FILE [FLAG ...] ["INTERNALDATE"]
//
// The file "dialogue" has the lines; every other file is a message or a part of
// one, stored with LF here and used with CRLF.
//
//	C: a1 NOOP               sent on the first connection; C2: on the second
//	C: a2 APPEND x {f.eml}   the file f.eml as a literal; {f.eml+} does not wait
//	C: a3 ID (repeat 9 x)    nine times x
//	C: (base64 \0<alice>\0p) in base64, \0 standing for NUL
//	C: (bytes "a\x00\r\n")   these octets and nothing else
//	C: (starttls)            the TLS handshake; (disconnect) ends the connection
//	S: a1 OK                 a tagged response; a code and a text compare if given
//	S: a1 NO|BAD             either
//	S: + go on               a continuation request; the text compares if given
//	S: * 3 EXISTS            an untagged response; those before one tagged response
//	                         may come in any order
//	S: ...                   others may come as well
//	S: ! * <any> EXPUNGE     this one must not
//	S: (disconnected)        the server closes the connection
//	? <m2> > <m1>            compares numbers: > >= = !=
//
// <name> is a variable: bound where it first meets a value, compared afterwards
// and replaced in client lines. <any> matches every value. <alice> and <password>
// are known from the start. "..." at the end of a list allows more. {f.eml} in a
// server line is a string equal to the file.
//
// Untagged responses that were not written down are an error, except those that
// only inform: OK, FLAGS, RECENT and CAPABILITY.
package transcript

import (
	"fmt"
	"path"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// Script is one parsed file.
type Script struct {
	Name  string
	About string   // the prose at its head
	Modes []string // "rev1", "rev2"
	Users []string // short names

	raw, plain bool
	mailboxes  []string
	messages   []setupMessage
	files      map[string]string
	lines      []line
}

type setupMessage struct {
	mailbox, file string
	args          string // flags and date as in APPEND
}

type lineKind int

const (
	lineSend lineKind = iota
	lineExpect
	lineCheck
)

type line struct {
	kind lineKind
	conn string // "1", "2", …
	text string
	no   int // in the file
}

// ParseScript parses a script; name is for messages.
func ParseScript(name string, data []byte) (*Script, error) {
	archive := txtar.Parse(data)
	s := &Script{
		Name:  strings.TrimSuffix(path.Base(name), path.Ext(name)),
		About: strings.TrimSpace(string(archive.Comment)),
		Modes: []string{"rev1"},
		Users: []string{"alice"},
		files: map[string]string{},
	}
	if s.About == "" {
		return nil, fmt.Errorf("%s: does not say what it is for", name)
	}
	for _, f := range archive.Files {
		var err error
		switch f.Name {
		case "setup":
			err = s.parseSetup(string(f.Data))
		case "dialogue":
			before, _, _ := strings.Cut(string(data), "-- dialogue --")
			err = s.parseDialogue(string(f.Data), strings.Count(before, "\n")+1)
		default:
			s.files[f.Name] = strings.ReplaceAll(string(f.Data), "\n", "\r\n")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(s.lines) == 0 {
		return nil, fmt.Errorf("%s: no dialogue", name)
	}
	return s, nil
}

func (s *Script) parseSetup(text string) error {
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		word, args, _ := strings.Cut(l, " ")
		switch word {
		case "":
		case "modes":
			s.Modes = strings.Fields(args)
		case "raw":
			s.raw = true
		case "plain":
			s.raw, s.plain = true, true
		case "user":
			s.Users = append(s.Users, args)
		case "mailbox":
			s.mailboxes = append(s.mailboxes, args)
		case "message":
			mailbox, args, _ := strings.Cut(args, " ")
			file, args, _ := strings.Cut(args, " ")
			s.messages = append(s.messages, setupMessage{mailbox, file, args})
		default:
			if !strings.HasPrefix(word, "#") {
				return fmt.Errorf("setup: unknown directive %q", word)
			}
		}
	}
	return nil
}

func (s *Script) parseDialogue(text string, no int) error {
	for l := range strings.Lines(text) {
		no++
		l = strings.TrimRight(l, "\n")
		if l == "" || l[0] == '#' {
			continue
		}
		head, text, _ := strings.Cut(l, " ")
		parsed := line{conn: "1", text: text, no: no}
		switch {
		case head == "?":
			parsed.kind = lineCheck
		case len(head) >= 2 && (head[0] == 'C' || head[0] == 'S') && strings.HasSuffix(head, ":"):
			if head[0] == 'S' {
				parsed.kind = lineExpect
			}
			if id := head[1 : len(head)-1]; id != "" {
				parsed.conn = id
			}
		default:
			return fmt.Errorf("line %d: neither C: nor S: nor ?: %q", no, l)
		}
		s.lines = append(s.lines, parsed)
	}
	return nil
}
