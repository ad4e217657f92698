package imapwire

import (
	"errors"
	"io"

	"tidemark/imap"
)

// appendState is where in an APPEND the Decoder is.
type appendState struct {
	active  bool  // the command has begun and not ended
	items   int   // messages announced so far
	offered bool  // the current line's literal has not been accepted yet
	body    bool  // a literal has been accepted and the line after it not been read
	left    int64 // octets of that literal still to be read
	utf8    bool  // a ")" follows it (RFC 6855 §4)
}

// errAppendOrder is about the caller, not the client.
var errAppendOrder = errors.New("imapwire: append methods called out of order")

// appendCommand reads APPEND up to its first message (RFC 9051 §6.3.12).
func (d *Decoder) appendCommand() imap.Command {
	c := &imap.Append{}
	d.sp()
	c.Mailbox, c.Supplied = d.spelledMailbox()
	d.app = appendState{active: d.err == nil}
	return c
}

// NextAppend reads what precedes the next message of an APPEND. Nothing is asked of the
// client yet: AcceptLiteral or DiscardAppend must follow. more is false when the
// command is over. What the caller left unread of the message before is thrown away. A
// *SyntaxError ends the APPEND.
func (d *Decoder) NextAppend() (item imap.AppendItem, more bool, err error) {
	if !d.app.active || d.app.offered {
		return item, false, errAppendOrder
	}
	d.finishMessage()
	if d.app.items > 0 && d.atEnd() && d.err == nil {
		d.app = appendState{}
		return item, false, nil
	}
	item = d.appendItem()
	if d.err != nil {
		d.app = appendState{}
		return imap.AppendItem{}, false, d.finish()
	}
	d.app.items++
	d.app.offered = true
	return item, true, nil
}

// finishMessage skips what is left of an accepted literal and reads the line after it.
func (d *Decoder) finishMessage() {
	if !d.app.body {
		return
	}
	d.app.body = false
	budget := d.app.left // accepted, so however much it is
	if err := d.skip(d.app.left, &budget); err != nil {
		d.err = err
		return
	}
	d.base, d.pos = 0, 0
	d.nextLine(d.limits.Line)
	if d.app.utf8 {
		d.close()
	}
}

// appendItem reads one append-message (RFC 4466 §3) up to its literal.
func (d *Decoder) appendItem() imap.AppendItem {
	var item imap.AppendItem
	d.sp()
	if d.peek() == '(' {
		item.Flags = d.flagList()
		d.sp()
	}
	if d.peek() == '"' {
		item.Time = d.dateTime()
		d.sp()
	}
	if d.acceptLabel("UTF8") {
		item.UTF8 = true
		d.sp()
		d.open()
	}
	if d.err == nil && (!d.lit.present || d.lit.start != d.pos || item.UTF8 && !d.lit.binary) {
		d.fail("message literal expected")
	}
	item.Size, item.Sync, item.Binary = d.lit.size, d.lit.sync, d.lit.binary
	d.app.utf8 = item.UTF8
	return item
}

// AcceptLiteral takes the message that NextAppend announced: it asks the client for it
// where that is needed and returns a reader of exactly AppendItem.Size octets. The
// reader is valid until the next call of NextAppend or DiscardAppend. A stream that
// ends too early is io.ErrUnexpectedEOF.
func (d *Decoder) AcceptLiteral() (io.Reader, error) {
	if !d.app.offered {
		return nil, errAppendOrder
	}
	if d.lit.sync {
		if err := d.cont(); err != nil {
			return nil, d.breakOff(err)
		}
	}
	d.app.offered, d.app.body, d.app.left = false, true, d.lit.size
	d.lit = announcement{}
	d.line, d.pos = nil, 0
	return (*messageReader)(d), nil
}

// DiscardAppend ends an APPEND that is refused, at any moment after ReadCommand
// returned it: it throws away the literal being read or announced and the rest of the
// command. It returns a Fatal *SyntaxError where that would be more than
// Limits.Discard. The caller answers the command.
func (d *Decoder) DiscardAppend() error {
	if !d.app.active {
		return nil
	}
	d.finishMessage()
	d.app = appendState{}
	if d.err == nil {
		return d.discard()
	}
	if err := d.finish(); d.broken != nil {
		return err
	}
	return nil // a mistake in what is thrown away does not matter
}

// messageReader reads the literal that AcceptLiteral accepted.
type messageReader Decoder

// Read implements io.Reader.
func (m *messageReader) Read(p []byte) (int, error) {
	if m.app.left == 0 || !m.app.body {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(int64(len(p)), m.app.left)]
	n, err := m.framer.read(p)
	m.app.left -= int64(n)
	return n, err
}
