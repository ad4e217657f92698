package imapwire

import (
	"tidemark/imap"
)

// store reads STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).
func (d *Decoder) store(uid bool) imap.Command {
	c := &imap.Store{UID: uid}
	d.sp()
	c.Set = d.setRef()
	d.sp()
	if d.peek() == '(' {
		c.UnchangedSince = d.unchangedSince()
		d.sp()
	}
	switch {
	case d.accept('+'):
		c.Op = imap.StoreAdd
	case d.accept('-'):
		c.Op = imap.StoreRemove
	}
	var buf [labelSize]byte
	switch string(d.label(classLabel, &buf)) {
	case "FLAGS":
	case "FLAGS.SILENT":
		c.Silent = true
	default:
		d.fail("FLAGS expected")
	}
	d.sp()
	if d.peek() == '(' {
		c.Flags = d.flagList()
	} else {
		c.Flags = d.bareFlags()
	}
	return c
}

// unchangedSince reads the only store-modifier there is.
func (d *Decoder) unchangedSince() *imap.ModSeq {
	d.open()
	if !d.acceptLabel("UNCHANGEDSINCE") {
		d.fail("unknown STORE modifier")
	}
	d.sp()
	n := d.modSeq()
	d.close()
	return &n
}

// flagList reads a flag-list. \Recent is not in it: clients may not set it (RFC 3501 §9,
// flag).
func (d *Decoder) flagList() []imap.Flag {
	var flags []imap.Flag
	d.listOrEmpty(func() { flags = d.appendFlag(flags) })
	return flags
}

// bareFlags reads flags without parentheses (RFC 9051 §9, store-att-flags).
func (d *Decoder) bareFlags() []imap.Flag {
	var flags []imap.Flag
	for {
		flags = d.appendFlag(flags)
		if !d.accept(' ') {
			return flags
		}
	}
}

func (d *Decoder) appendFlag(flags []imap.Flag) []imap.Flag {
	f := d.flag()
	if f == imap.FlagRecent {
		d.fail("\\Recent cannot be set")
	}
	return append(flags, f)
}

// flag reads a system flag or keyword.
func (d *Decoder) flag() imap.Flag {
	if d.err != nil {
		return ""
	}
	start := d.pos
	d.accept('\\')
	d.word(classAtom, "flag expected")
	if d.err != nil {
		return ""
	}
	return internFlag(d.line[start:d.pos])
}

// internFlag makes no copy of the flags that nearly every STORE is about.
func internFlag(b []byte) imap.Flag {
	switch string(b) {
	case string(imap.FlagSeen):
		return imap.FlagSeen
	case string(imap.FlagDeleted):
		return imap.FlagDeleted
	case string(imap.FlagAnswered):
		return imap.FlagAnswered
	case string(imap.FlagFlagged):
		return imap.FlagFlagged
	case string(imap.FlagDraft):
		return imap.FlagDraft
	}
	return imap.CanonicalFlag(imap.Flag(b))
}
