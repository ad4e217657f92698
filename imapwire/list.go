package imapwire

import (
	"tidemark/imap"
)

// listMailboxes reads LIST (RFC 9051 §6.3.9, RFC 5258 §3).
func (d *Decoder) listMailboxes() imap.Command {
	c := &imap.List{}
	d.sp()
	if d.peek() == '(' {
		c.Extended = true
		d.listOrEmpty(func() { d.listSelectOption(c) })
		if c.RecursiveMatch && !c.Subscribed {
			d.fail("RECURSIVEMATCH needs SUBSCRIBED") // RFC 5258 §3.1
		}
		d.sp()
	}
	c.Reference = d.mailboxPattern(classAString)
	d.sp()
	if d.peek() == '(' {
		c.Extended = true
		d.list(func() { c.Patterns = append(c.Patterns, d.mailboxPattern(classList)) })
	} else {
		c.Patterns = []string{d.mailboxPattern(classList)}
	}
	if d.atEnd() || !d.sp() {
		return c
	}
	c.Extended = true
	if !d.acceptLabel("RETURN") {
		d.fail("RETURN expected")
	}
	d.sp()
	d.listOrEmpty(func() { d.listReturnOption(c) })
	return c
}

func (d *Decoder) listSelectOption(c *imap.List) {
	switch {
	case d.acceptLabel("SUBSCRIBED"):
		c.Subscribed = true
	case d.acceptLabel("REMOTE"):
		c.Remote = true
	case d.acceptLabel("RECURSIVEMATCH"):
		c.RecursiveMatch = true
	case d.acceptLabel("SPECIAL-USE"):
		c.SpecialUse = true
	default:
		d.fail("unknown LIST selection option")
	}
}

func (d *Decoder) listReturnOption(c *imap.List) {
	switch {
	case d.acceptLabel("SUBSCRIBED"):
		c.ReturnSubscribed = true
	case d.acceptLabel("CHILDREN"):
		c.ReturnChildren = true
	case d.acceptLabel("SPECIAL-USE"):
		c.ReturnSpecialUse = true
	case d.acceptLabel("STATUS"):
		d.sp()
		c.ReturnStatus = d.statusItems()
	default:
		d.fail("unknown LIST return option")
	}
}

// lsub reads LSUB (RFC 3501 §6.3.9).
func (d *Decoder) lsub() imap.Command {
	c := &imap.Lsub{}
	d.sp()
	c.Reference = d.mailboxPattern(classAString)
	d.sp()
	c.Pattern = d.mailboxPattern(classList)
	return c
}

// ListData is what one LIST or LSUB response says of a mailbox.
type ListData struct {
	Attrs []imap.MailboxAttr
	// NoDelimiter has NIL sent for the hierarchy delimiter.
	NoDelimiter bool
	Name        string // UTF-8
	// OldName, if not empty, is the name by which the client called the mailbox (RFC
	// 9051 §6.3.9.7).
	OldName string
	// ChildSubscribed says that a mailbox below this one matches SUBSCRIBED (RFC 5258
	// §4, CHILDINFO).
	ChildSubscribed bool
}

// AppendList appends a LIST response. utf8 is as for AppendMailbox.
func AppendList(b []byte, l *ListData, utf8 bool) []byte {
	b = appendListed(append(b, "* LIST ("...), l, utf8)
	switch {
	case l.ChildSubscribed && l.OldName != "":
		b = append(b, ` ("CHILDINFO" ("SUBSCRIBED") "OLDNAME" (`...)
		b = append(AppendMailbox(b, l.OldName, utf8), "))"...)
	case l.ChildSubscribed:
		b = append(b, ` ("CHILDINFO" ("SUBSCRIBED"))`...)
	case l.OldName != "":
		b = append(b, ` ("OLDNAME" (`...)
		b = append(AppendMailbox(b, l.OldName, utf8), "))"...)
	}
	return append(b, crlf...)
}

// AppendLsub appends an LSUB response (RFC 3501 §7.2.3).
func AppendLsub(b []byte, l *ListData, utf8 bool) []byte {
	b = appendListed(append(b, "* LSUB ("...), l, utf8)
	return append(b, crlf...)
}

func appendListed(b []byte, l *ListData, utf8 bool) []byte {
	for i, attr := range l.Attrs {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, attr...)
	}
	if l.NoDelimiter {
		b = append(b, ") NIL "...)
	} else {
		b = append(b, `) "`...)
		b = append(b, imap.Delimiter, '"', ' ')
	}
	return AppendMailbox(b, l.Name, utf8)
}

// AppendNamespace appends the NAMESPACE response of a server that has personal
// namespaces with the given prefixes and no others (RFC 9051 §7.3.2).
func AppendNamespace(b []byte, utf8 bool, personal ...string) []byte {
	b = append(b, "* NAMESPACE ("...)
	for _, prefix := range personal {
		b = AppendMailbox(append(b, '('), prefix, utf8)
		b = append(b, ` "`...)
		b = append(b, imap.Delimiter, '"', ')')
	}
	return append(b, ") NIL NIL\r\n"...)
}
