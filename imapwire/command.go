package imapwire

import (
	"strings"

	"tidemark/imap"
)

// tagSize is the longest tag accepted, in octets: it is sent back in every answer.
const tagSize = 255

// parser reads a command's arguments, beginning with the space before them.
type parser func(d *Decoder) imap.Command

var commands = map[string]parser{
	"CAPABILITY":   simple(imap.Capability),
	"NOOP":         simple(imap.Noop),
	"LOGOUT":       simple(imap.Logout),
	"STARTTLS":     simple(imap.StartTLS),
	"IDLE":         simple(imap.Idle),
	"CHECK":        simple(imap.Check),
	"CLOSE":        simple(imap.Close),
	"UNSELECT":     simple(imap.Unselect),
	"NAMESPACE":    simple(imap.Namespace),
	"EXPUNGE":      simple(imap.Expunge),
	"AUTHENTICATE": (*Decoder).authenticate,
	"LOGIN":        (*Decoder).login,
	"ID":           (*Decoder).id,
	"ENABLE":       (*Decoder).enable,
	"SELECT":       func(d *Decoder) imap.Command { return d.selectMailbox(false) },
	"EXAMINE":      func(d *Decoder) imap.Command { return d.selectMailbox(true) },
	"CREATE":       (*Decoder).create,
	"DELETE":       (*Decoder).delete,
	"RENAME":       (*Decoder).rename,
	"SUBSCRIBE":    func(d *Decoder) imap.Command { return d.subscribe(false) },
	"UNSUBSCRIBE":  func(d *Decoder) imap.Command { return d.subscribe(true) },
	"LIST":         (*Decoder).listMailboxes,
	"LSUB":         (*Decoder).lsub,
	"STATUS":       (*Decoder).status,
	"APPEND":       (*Decoder).appendCommand,
	"FETCH":        func(d *Decoder) imap.Command { return d.fetch(false) },
	"STORE":        func(d *Decoder) imap.Command { return d.store(false) },
	"SEARCH":       func(d *Decoder) imap.Command { return d.search(false) },
	"SORT":         func(d *Decoder) imap.Command { return d.sort(false) },
	"THREAD":       func(d *Decoder) imap.Command { return d.thread(false) },
	"COPY":         func(d *Decoder) imap.Command { return d.copyOrMove(false, false) },
	"MOVE":         func(d *Decoder) imap.Command { return d.copyOrMove(false, true) },
}

// uidCommands are the commands after "UID " (RFC 9051 §6.4.9).
var uidCommands = map[string]parser{
	"FETCH":   func(d *Decoder) imap.Command { return d.fetch(true) },
	"STORE":   func(d *Decoder) imap.Command { return d.store(true) },
	"SEARCH":  func(d *Decoder) imap.Command { return d.search(true) },
	"SORT":    func(d *Decoder) imap.Command { return d.sort(true) },
	"THREAD":  func(d *Decoder) imap.Command { return d.thread(true) },
	"COPY":    func(d *Decoder) imap.Command { return d.copyOrMove(true, false) },
	"MOVE":    func(d *Decoder) imap.Command { return d.copyOrMove(true, true) },
	"EXPUNGE": (*Decoder).uidExpunge,
}

func simple(c imap.Simple) parser {
	var command imap.Command = c
	return func(*Decoder) imap.Command { return command }
}

// ReadCommand reads one command. With a *SyntaxError the tag is that of the error.
//
// For APPEND the command is not over when ReadCommand returns: NextAppend or
// DiscardAppend must follow. For AUTHENTICATE and IDLE the client's further lines are
// read by ReadSASLLine and ReadDone.
func (d *Decoder) ReadCommand() (tag string, cmd imap.Command, err error) {
	if err := d.DiscardAppend(); err != nil {
		return d.tag, nil, err
	}
	d.tag = ""
	if err := d.begin(d.limits.Line); err != nil {
		return "", nil, err
	}
	if d.err == nil {
		d.tag = d.readTag()
	}
	d.sp()
	cmd = d.command()
	if d.err == nil && !d.app.active {
		d.end()
	}
	if d.err != nil {
		d.app = appendState{}
		return d.tag, nil, d.finish()
	}
	return d.tag, cmd, nil
}

func (d *Decoder) readTag() string {
	if len(d.line) == 0 {
		d.fail("empty command line")
	}
	tag := d.word(classTag, "tag expected")
	if len(tag) > tagSize {
		d.refuse(imap.BAD, "", "tag too long")
		return ""
	}
	return string(tag)
}

func (d *Decoder) command() imap.Command {
	var buf [labelSize]byte
	name := d.label(classAtom, &buf)
	table := commands
	if string(name) == "UID" {
		d.sp()
		name = d.label(classAtom, &buf)
		table = uidCommands
	}
	if d.err != nil {
		return nil
	}
	parse, ok := table[string(name)]
	if !ok {
		d.unknownCommand()
		return nil
	}
	return parse(d)
}

// unknownCommand tells an HTTP request, sent by a browser that was led here, from a
// command that does not exist.
func (d *Decoder) unknownCommand() {
	kind := KindUnknown
	if i := strings.LastIndexByte(string(d.line), ' '); i >= 0 && strings.HasPrefix(string(d.line[i+1:]), "HTTP/") {
		kind = KindHTTP
	}
	d.failKind(kind, imap.BAD, "", "unknown command")
}

// enable reads ENABLE (RFC 9051 §6.3.1).
func (d *Decoder) enable() imap.Command {
	c := &imap.Enable{}
	d.sp()
	for {
		c.Capabilities = append(c.Capabilities, strings.ToUpper(d.atom()))
		if !d.accept(' ') {
			return c
		}
	}
}

const (
	idPairs     = 30   // RFC 2971 §3.3: the most fields
	idFieldSize = 30   // and the longest field
	idValueSize = 1024 // and the longest value, in octets
)

// id reads ID (RFC 2971 §3.1).
func (d *Decoder) id() imap.Command {
	c := &imap.ID{}
	d.sp()
	if d.acceptLabel("NIL") {
		return c
	}
	c.Params = []imap.IDParam{}
	d.listOrEmpty(func() {
		p := imap.IDParam{Field: d.str()}
		d.sp()
		if p.Null = d.acceptLabel("NIL"); !p.Null {
			p.Value = d.str()
		}
		if len(p.Field) > idFieldSize || len(p.Value) > idValueSize || len(c.Params) == idPairs {
			d.refuse(imap.BAD, "", "too many fields, or a field is too long")
		}
		c.Params = append(c.Params, p)
	})
	return c
}

// copyOrMove reads COPY and MOVE (RFC 9051 §6.4.7 and §6.4.8).
func (d *Decoder) copyOrMove(uid, move bool) imap.Command {
	c := &imap.Copy{UID: uid, Move: move}
	d.sp()
	c.Set = d.setRef()
	d.sp()
	c.Mailbox = d.mailbox()
	return c
}

// uidExpunge reads UID EXPUNGE (RFC 9051 §6.4.9).
func (d *Decoder) uidExpunge() imap.Command {
	d.sp()
	return &imap.UIDExpunge{UIDs: d.setRef()}
}

// ReadDone reads the line with which a client ends IDLE (RFC 9051 §6.3.13). Anything
// but DONE is a *SyntaxError and ends IDLE as well.
func (d *Decoder) ReadDone() error {
	if err := d.begin(d.limits.Line); err != nil {
		return err
	}
	if !d.acceptLabel("DONE") {
		d.fail("DONE expected")
	}
	d.end()
	if d.err != nil {
		return d.finish()
	}
	return nil
}
