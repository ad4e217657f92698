package imapwire

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"tidemark/imap"
)

// Limits of mailbox names, which are counted in octets of UTF-8.
const (
	MaxMailboxName  = 1024 // a whole name
	MaxMailboxPart  = 255  // one level of a name
	MaxMailboxDepth = 30   // levels
)

// utf7 is the base64 of modified UTF-7 (RFC 3501 §5.1.3).
var utf7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding).Strict()

var (
	errUTF7 = errors.New("mailbox name is not modified UTF-7")
	errUTF8 = errors.New("text is not UTF-8")
)

// mailbox reads a mailbox name as UTF-8, with INBOX in its one spelling.
func (d *Decoder) mailbox() string {
	name, _ := d.spelledMailbox()
	return name
}

// spelledMailbox is mailbox for commands that tell the client where its spelling is
// not the name: supplied is that spelling, or empty where it is the name.
func (d *Decoder) spelledMailbox() (name, supplied string) {
	supplied = d.mailboxText(classAString)
	name = imap.FoldInbox(norm.NFC.String(supplied))
	if name == supplied {
		return name, ""
	}
	return name, supplied
}

// mailboxPattern reads a reference name, or with classList a pattern, as UTF-8.
func (d *Decoder) mailboxPattern(class uint8) string {
	return norm.NFC.String(d.mailboxText(class))
}

// mailboxText reads a mailbox name, or with classList a pattern, as UTF-8. What it
// stands for is its composed form (NFC), so that two spellings of one name are one
// mailbox (RFC 9051 §5.1, RFC 5198 §2).
func (d *Decoder) mailboxText(class uint8) string {
	raw := string(d.rawString(class))
	if d.err != nil {
		return ""
	}
	if d.UTF8 {
		if !utf8.ValidString(raw) {
			d.fail(errUTF8.Error())
		}
		return raw
	}
	name, err := DecodeMailbox(raw)
	if err != nil {
		d.fail(err.Error())
	}
	return name
}

// DecodeMailbox turns a name in modified UTF-7 into UTF-8 (RFC 3501 §5.1.3). Only the
// form that EncodeMailbox makes is valid, so that no two wire names mean one mailbox:
// no superfluous shift, no needless encoding, no loose bits, no 8-bit octets.
func DecodeMailbox(wire string) (string, error) {
	if directLen(wire) != len(wire) {
		return "", errUTF7
	}
	direct, rest, shift := strings.Cut(wire, "&")
	if !shift {
		return wire, nil
	}
	out := append(make([]byte, 0, len(wire)), direct...)
	encoded := false // the last thing was an encoded run
	for shift {
		run, tail, ok := strings.Cut(rest, "-")
		if !ok || encoded && direct == "" && run != "" {
			return "", errUTF7 // "-&" parts what should be one run
		}
		if encoded = run != ""; !encoded {
			out = append(out, '&')
		} else if out, ok = decodeRun(out, run); !ok {
			return "", errUTF7
		}
		direct, rest, shift = strings.Cut(tail, "&")
		out = append(out, direct...)
	}
	return string(out), nil
}

// decodeRun appends what stands between "&" and "-".
func decodeRun(out []byte, run string) ([]byte, bool) {
	octets, err := utf7.DecodeString(run)
	if err != nil || len(octets)%2 != 0 {
		return out, false
	}
	for i := 0; i < len(octets); i += 2 {
		r := rune(octets[i])<<8 | rune(octets[i+1])
		if utf16.IsSurrogate(r) {
			if i+3 >= len(octets) {
				return out, false
			}
			r = utf16.DecodeRune(r, rune(octets[i+2])<<8|rune(octets[i+3]))
			if r == utf8.RuneError {
				return out, false
			}
			i += 2
		}
		if r == 0 || r >= ' ' && r <= '~' {
			return out, false
		}
		out = utf8.AppendRune(out, r)
	}
	return out, true
}

// EncodeMailbox appends name, which must be UTF-8, in modified UTF-7 and without
// quoting (RFC 3501 §5.1.3).
func EncodeMailbox(b []byte, name string) []byte {
	for len(name) > 0 {
		n := directLen(name)
		for i := range n {
			b = append(b, name[i])
			if name[i] == '&' {
				b = append(b, '-')
			}
		}
		name = name[n:]
		n = encodedLen(name)
		if n > 0 {
			b = encodeRun(b, name[:n])
		}
		name = name[n:]
	}
	return b
}

// directLen is the length of the printable ASCII with which s begins.
func directLen(s string) int {
	n := 0
	for n < len(s) && s[n] >= ' ' && s[n] <= '~' {
		n++
	}
	return n
}

// encodedLen is the length of what comes before the first printable ASCII in s.
func encodedLen(s string) int {
	n := 0
	for n < len(s) && (s[n] < ' ' || s[n] > '~') {
		n++
	}
	return n
}

func encodeRun(b []byte, run string) []byte {
	units := make([]byte, 0, 2*len(run))
	for _, r := range run {
		hi, lo := utf16.EncodeRune(r)
		if hi != utf8.RuneError {
			units = append(units, byte(hi>>8), byte(hi))
			r = lo
		}
		units = append(units, byte(r>>8), byte(r))
	}
	b = append(b, '&')
	b = utf7.AppendEncode(b, units)
	return append(b, '-')
}

// CheckMailboxName says what is wrong with name, in UTF-8, as the name of a mailbox to
// be made. Its errors are *imap.Error with CANNOT. It wants no control characters and
// line or paragraph separators (RFC 6855 §3), no empty, "." or ".." level, and lengths
// within the limits above. A trailing delimiter has to be taken off before.
func CheckMailboxName(name string) error {
	switch {
	case name == "":
		return cannotName("mailbox name is empty")
	case len(name) > MaxMailboxName:
		return cannotName("mailbox name is too long")
	case !utf8.ValidString(name):
		return cannotName(errUTF8.Error())
	case strings.ContainsFunc(name, forbiddenInMailbox):
		return cannotName("mailbox name has a control character")
	}
	parts := strings.Split(name, string(imap.Delimiter))
	if len(parts) > MaxMailboxDepth {
		return cannotName("mailbox name has too many levels")
	}
	for _, part := range parts {
		switch {
		case part == "" || part == "." || part == "..":
			return cannotName("mailbox name has an empty level or one of dots")
		case len(part) > MaxMailboxPart:
			return cannotName("a level of the mailbox name is too long")
		}
	}
	return nil
}

func cannotName(text string) error { return imap.Refuse(imap.CodeCannot, text) }

func forbiddenInMailbox(r rune) bool {
	return r < ' ' || r >= 0x7f && r <= 0x9f || r == 0x2028 || r == 0x2029
}

// create reads CREATE (RFC 9051 §6.3.4, RFC 6154 §3). A use that is not known is kept
// as it came.
func (d *Decoder) create() imap.Command {
	c := &imap.Create{}
	d.sp()
	c.Mailbox, c.Supplied = d.spelledMailbox()
	if d.atEnd() || !d.sp() {
		return c
	}
	d.open()
	if !d.acceptLabel("USE") {
		d.fail("unknown CREATE parameter")
	}
	d.sp()
	d.listOrEmpty(func() {
		use := string(d.flag())
		if known, ok := imap.CanonicalSpecialUse(use); ok {
			use = string(known)
		}
		c.SpecialUse = append(c.SpecialUse, imap.MailboxAttr(use))
	})
	d.close()
	return c
}

// delete reads DELETE (RFC 9051 §6.3.5).
func (d *Decoder) delete() imap.Command {
	d.sp()
	c := &imap.Delete{}
	c.Mailbox, c.Supplied = d.spelledMailbox()
	return c
}

// rename reads RENAME (RFC 9051 §6.3.6).
func (d *Decoder) rename() imap.Command {
	c := &imap.Rename{}
	d.sp()
	c.From, c.SuppliedFrom = d.spelledMailbox()
	d.sp()
	c.To, c.SuppliedTo = d.spelledMailbox()
	return c
}

// subscribe reads SUBSCRIBE and UNSUBSCRIBE (RFC 9051 §6.3.7 and §6.3.8).
func (d *Decoder) subscribe(undo bool) imap.Command {
	d.sp()
	return &imap.Subscribe{Mailbox: d.mailbox(), Undo: undo}
}
