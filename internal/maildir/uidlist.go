package maildir

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"tidemark/imap"
)

// uidList is what another server says about the UIDs of a mailbox.
type uidList struct {
	validity uint32
	uids     map[string]imap.UID // by unique name
}

// readUIDList reads Dovecot's list, or else Courier's. The empty list is returned
// where there is none or none that can be read: UIDs are not worth a failure.
func readUIDList(root *os.Root) (uidList, error) {
	for _, name := range []string{"dovecot-uidlist", "courierimapuiddb"} {
		file, err := readAside(root, name)
		if err != nil {
			return uidList{}, err
		}
		if file != nil {
			return parseUIDList(file), nil
		}
	}
	return uidList{}, nil
}

// parseUIDList reads a list. Its first line is "3 V<UIDVALIDITY> N<UIDNEXT> …" and
// the others "<UID> <fields> :<file>", or, in the older form that Courier shares,
// "1 <UIDVALIDITY> <UIDNEXT>" and "<UID> <file>".
func parseUIDList(list []byte) uidList {
	head, body, _ := bytes.Cut(list, []byte{'\n'})
	l := uidList{validity: parseUIDValidity(string(head))}
	if l.validity == 0 {
		return l
	}
	l.uids = make(map[string]imap.UID)
	for line := range bytes.Lines(body) {
		number, rest, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		uid, err := strconv.ParseUint(number, 10, 32)
		if !ok || err != nil || uid == 0 {
			continue
		}
		if at := strings.IndexByte(rest, ':'); at == 0 || at > 0 && rest[at-1] == ' ' {
			rest = rest[at+1:]
		}
		if file, ok := parseFileName(rest); ok {
			l.uids[file.Unique] = imap.UID(uid)
		}
	}
	return l
}

func parseUIDValidity(head string) uint32 {
	fields := strings.Fields(head)
	if len(fields) < 2 {
		return 0
	}
	number := ""
	switch fields[0] {
	case "1":
		number = fields[1]
	case "3":
		for _, f := range fields[1:] {
			if f[0] == 'V' {
				number = f[1:]
			}
		}
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
