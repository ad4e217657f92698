// Package mbox reads and writes mail in mbox files: those in which lines that
// begin with "From " are quoted with ">" (mboxo, mboxrd) and those with
// Content-Length (mboxcl). It writes mboxrd. Files are streamed; what is held in
// memory does not grow with them.
//
// An mbox has LF line ends and a line end after the last line, so a message that
// came with anything else is not given back octet for octet. Nor are the fields
// that mbox keeps its flags in, see ownFields.
package mbox

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"tidemark/imap"
)

// ownFields are the header fields in which programs that work on mbox files keep
// flags, UIDs and lengths, in small letters. They belong to the file and not to
// the message. Thunderbird's are among them because it changes them in place.
var ownFields = map[string]bool{
	"status":            true,
	"x-status":          true,
	"x-keywords":        true,
	"x-uid":             true,
	"x-imap":            true,
	"x-imapbase":        true,
	"content-length":    true,
	"x-mozilla-status":  true,
	"x-mozilla-status2": true,
	"x-mozilla-keys":    true,
}

// field returns the name, in small letters, and the value of a header line. A line
// that is no field has the empty name.
func field(line []byte) (name, value string) {
	n, v, ok := bytes.Cut(line, []byte{':'})
	if !ok || len(n) > 64 {
		return "", ""
	}
	return strings.ToLower(strings.TrimRight(string(n), " \t")), strings.TrimSpace(string(v))
}

// The letters of Status and X-Status.
var statusLetters = [...]struct {
	field  string
	letter byte
	flag   imap.Flag
}{
	{"status", 'R', imap.FlagSeen},
	{"x-status", 'A', imap.FlagAnswered},
	{"x-status", 'F', imap.FlagFlagged},
	{"x-status", 'T', imap.FlagDraft},
	{"x-status", 'D', imap.FlagDeleted},
}

// The bits of X-Mozilla-Status.
var mozillaBits = [...]struct {
	bit  uint64
	flag imap.Flag
}{
	{0x0001, imap.FlagSeen},
	{0x0002, imap.FlagAnswered},
	{0x0004, imap.FlagFlagged},
	{0x0008, imap.FlagDeleted},
	{0x1000, "$Forwarded"},
}

// flagsIn appends the flags that a header field gives to a message.
func flagsIn(flags []imap.Flag, name, value string) []imap.Flag {
	switch name {
	case "status", "x-status":
		for _, s := range statusLetters {
			if s.field == name && strings.IndexByte(value, s.letter) >= 0 {
				flags = addFlag(flags, s.flag)
			}
		}
	case "x-keywords", "x-mozilla-keys":
		for _, word := range strings.Fields(value) {
			if f := imap.Flag(word); f.IsKeyword() {
				flags = addFlag(flags, f)
			}
		}
	case "x-mozilla-status":
		bits, err := strconv.ParseUint(value, 16, 32)
		if err != nil {
			return flags
		}
		for _, m := range mozillaBits {
			if bits&m.bit != 0 {
				flags = addFlag(flags, m.flag)
			}
		}
	}
	return flags
}

func addFlag(flags []imap.Flag, f imap.Flag) []imap.Flag {
	for _, g := range flags {
		if imap.EqualFlag(f, g) {
			return flags
		}
	}
	return append(flags, f)
}

// appendStatus appends the fields that keep flags, Status always, as programs that
// read mbox take a message without it for new.
func appendStatus(b []byte, flags []imap.Flag) []byte {
	status, xstatus, keywords := "", "", ""
	for _, s := range statusLetters {
		for _, f := range flags {
			if !imap.EqualFlag(f, s.flag) {
				continue
			}
			if s.field == "status" {
				status += string(s.letter)
			} else {
				xstatus += string(s.letter)
			}
		}
	}
	for _, f := range flags {
		if f.IsKeyword() {
			keywords += " " + string(f)
		}
	}
	b = append(b, "Status: "+status+"O\n"...)
	if xstatus != "" {
		b = append(b, "X-Status: "+xstatus+"\n"...)
	}
	if keywords != "" {
		b = append(b, "X-Keywords:"+keywords+"\n"...)
	}
	return b
}

var fromPrefix = []byte("From ")

// parseFrom reads the line that begins a message, "From sender date". What has no
// date is a line of text. The date is in UTC where the line has no zone
// (RFC 4155 §A).
func parseFrom(line []byte) (time.Time, bool) {
	if !bytes.HasPrefix(line, fromPrefix) || len(line) > 1000 {
		return time.Time{}, false
	}
	words := strings.Fields(string(line[len(fromPrefix):]))
	// The sender may have spaces in it, or be missing; the date is five to seven
	// words: Thu Nov 12 10:00:00 [zone] 2026 [zone].
	for i := len(words) - 5; i >= 0; i-- {
		if t, ok := parseDate(words[i:]); ok {
			return t, true
		}
	}
	return time.Time{}, false
}

func parseDate(words []string) (time.Time, bool) {
	if len(words[0]) != 3 || len(words[1]) != 3 || strings.Count(words[3], ":") == 0 {
		return time.Time{}, false
	}
	clock := words[3]
	if strings.Count(clock, ":") == 1 {
		clock += ":00"
	}
	year, zone := "", "+0000"
	for _, w := range words[4:min(len(words), 6)] {
		switch {
		case len(w) == 4 && w[0] >= '0' && w[0] <= '9':
			year = w
		case len(w) == 5 && (w[0] == '+' || w[0] == '-'):
			zone = w
		}
	}
	text := strings.Join([]string{words[1], words[2], clock, year, zone}, " ")
	t, err := time.Parse("Jan 2 15:04:05 2006 -0700", text)
	return t, err == nil
}

// appendFrom appends the line that begins a message.
func appendFrom(b []byte, date time.Time) []byte {
	b = append(b, "From MAILER-DAEMON "...)
	b = date.UTC().AppendFormat(b, time.ANSIC)
	return append(b, '\n')
}

// isQuotedFrom says whether a line is "From " after at least as many ">" as min.
func isQuotedFrom(line []byte, min int) bool {
	rest := bytes.TrimLeft(line, ">")
	return len(line)-len(rest) >= min && bytes.HasPrefix(rest, fromPrefix)
}
