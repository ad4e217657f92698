package maildir

import (
	"encoding/base64"
	"errors"
	"path"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"tidemark/imap"
	"tidemark/imapwire"
)

// mailboxName returns the name of a mailbox from the parts of its path on disk,
// empty where they are no name.
func mailboxName(parts []string) string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = decodePart(p)
		if names[i] == "" || !utf8.ValidString(names[i]) {
			return ""
		}
	}
	name := strings.Join(names, "/")
	if strings.EqualFold(name, imap.Inbox) {
		return imap.Inbox
	}
	return name
}

// decodePart decodes one level of a name. Disks hold what many programs wrote:
// modified UTF-7 of any spelling, also of characters that need none (Courier
// writes a dot as &AC4-), or plain UTF-8, which is what is left when decoding fails.
func decodePart(p string) string {
	var b strings.Builder
	for rest := p; rest != ""; {
		plain, shifted, found := strings.Cut(rest, "&")
		b.WriteString(plain)
		if !found {
			break
		}
		code, after, ended := strings.Cut(shifted, "-")
		if !ended {
			return p
		}
		if code == "" {
			b.WriteByte('&')
		} else if text, ok := decodeShifted(code); ok {
			b.WriteString(text)
		} else {
			return p
		}
		rest = after
	}
	return b.String()
}

// decodeShifted decodes what stands between "&" and "-" (RFC 9051 §A.1).
func decodeShifted(code string) (string, bool) {
	raw, err := base64.RawStdEncoding.DecodeString(strings.ReplaceAll(code, ",", "/"))
	if err != nil || len(raw) == 0 || len(raw)%2 != 0 {
		return "", false
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
	}
	text := string(utf16.Decode(units))
	if strings.ContainsRune(text, 0) {
		return "", false
	}
	return text, true
}

// ErrName is returned for a mailbox name that cannot be a directory.
var ErrName = errors.New("maildir: mailbox name cannot be a directory")

// dirName returns the directory of a mailbox.
func dirName(name string, layout Layout) (string, error) {
	if name == imap.Inbox {
		return ".", nil
	}
	parts := strings.Split(name, "/")
	for i, p := range parts {
		if p == "" || strings.ContainsRune(p, 0) || !utf8.ValidString(p) {
			return "", ErrName
		}
		parts[i] = encodePart(p, layout)
	}
	if layout == FS {
		return path.Join(parts...), nil
	}
	return "." + strings.Join(parts, "."), nil
}

// encodePart encodes one level of a name. Where a dot would be taken for the
// delimiter, for a hidden file or for the directory above, it is written as Courier
// does; so is the first letter of a name that has a meaning in a Maildir.
func encodePart(p string, layout Layout) string {
	if layout == FS {
		switch p {
		case "cur", "new", "tmp", "courierimapkeywords":
			return "&" + shift(p[:1]) + "-" + p[1:]
		}
		if p[0] == '.' {
			return "&AC4-" + string(imapwire.EncodeMailbox(nil, p[1:]))
		}
		return string(imapwire.EncodeMailbox(nil, p))
	}
	return strings.ReplaceAll(string(imapwire.EncodeMailbox(nil, p)), ".", "&AC4-")
}

func shift(ascii string) string {
	return base64.RawStdEncoding.EncodeToString([]byte{0, ascii[0]})
}
