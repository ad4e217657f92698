package imapwire

import (
	"bytes"
	"encoding/base64"
	"strings"

	"tidemark/imap"
)

// login reads LOGIN (RFC 9051 §6.2.3).
func (d *Decoder) login() imap.Command {
	c := &imap.Login{}
	d.sp()
	c.User = d.astring()
	d.sp()
	c.Password = d.astring()
	return c
}

// authenticate reads the first line of AUTHENTICATE (RFC 9051 §6.2.2) with the initial
// response of RFC 4959.
func (d *Decoder) authenticate() imap.Command {
	c := &imap.Authenticate{}
	d.sp()
	c.Mechanism = strings.ToUpper(d.atom())
	if !d.accept(' ') {
		return c
	}
	c.HasInitial = true
	if d.accept('=') {
		return c
	}
	c.Initial = d.base64(d.word(classAString, "initial response expected"))
	return c
}

// ReadSASLLine reads one line of an AUTHENTICATE exchange and returns it decoded. An
// error of KindCancelled says that the client gave up with "*".
func (d *Decoder) ReadSASLLine() ([]byte, error) {
	if err := d.begin(d.limits.SASL); err != nil {
		return nil, err
	}
	if string(d.line) == "*" {
		d.failKind(KindCancelled, imap.BAD, "", "authentication cancelled")
	}
	out := d.base64(d.line)
	if d.err != nil {
		return nil, d.finish()
	}
	return out, nil
}

// base64 decodes the form of RFC 4648 §4 with padding and nothing else.
func (d *Decoder) base64(s []byte) []byte {
	if d.err != nil {
		return nil
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	n, err := base64.StdEncoding.Strict().Decode(out, s)
	if err != nil || bytes.IndexByte(s, '\r') >= 0 { // the decoder skips CR
		d.fail("invalid base64")
		return nil
	}
	return out[:n]
}
