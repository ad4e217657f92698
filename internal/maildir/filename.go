package maildir

import (
	"slices"
	"strconv"
	"strings"

	"tidemark/imap"
)

// fileName is the name of a message's file, taken apart:
// "unique,S=octets,W=octets:2,letters".
type fileName struct {
	Unique  string // what stays when flags or sizes are changed
	Size    int64  // S=, octets of the file; -1 where not given
	Virtual int64  // W=, octets with CR LF line ends; -1 where not given
	Letters string // of the flags and keywords
}

// parseFileName takes a name apart. It returns false for a name that is no message's.
func parseFileName(file string) (fileName, bool) {
	if file == "" || file[0] == '.' {
		return fileName{}, false
	}
	base, info, _ := strings.Cut(file, ":")
	f := fileName{Unique: base, Size: -1, Virtual: -1}
	if letters, ok := strings.CutPrefix(info, "2,"); ok {
		f.Letters, _, _ = strings.Cut(letters, ",")
	}
	unique, fields, _ := strings.Cut(base, ",")
	if unique != "" {
		f.Unique = unique
	}
	for fields != "" {
		var field string
		field, fields, _ = strings.Cut(fields, ",")
		if v, ok := strings.CutPrefix(field, "S="); ok {
			f.Size = parseOctets(v)
		} else if v, ok := strings.CutPrefix(field, "W="); ok {
			f.Virtual = parseOctets(v)
		}
	}
	return f, true
}

func parseOctets(s string) int64 {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return -1
	}
	return int64(n)
}

// String returns the name.
func (f fileName) String() string {
	b := []byte(f.Unique)
	if f.Size >= 0 {
		b = strconv.AppendInt(append(b, ",S="...), f.Size, 10)
	}
	if f.Virtual >= 0 {
		b = strconv.AppendInt(append(b, ",W="...), f.Virtual, 10)
	}
	return string(append(append(b, ":2,"...), f.Letters...))
}

// arrived returns the time in the name, in seconds since 1970, 0 where it has none.
func (f fileName) arrived() int64 {
	digits, _, _ := strings.Cut(f.Unique, ".")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// forwarded is the keyword that Maildir's letter P, "passed", stands for.
const forwarded = imap.Flag("$Forwarded")

// letterFlags are the flags with a letter of their own, in the order that names
// have them in.
var letterFlags = [...]struct {
	letter byte
	flag   imap.Flag
}{
	{'D', imap.FlagDraft},
	{'F', imap.FlagFlagged},
	{'P', forwarded},
	{'R', imap.FlagAnswered},
	{'S', imap.FlagSeen},
	{'T', imap.FlagDeleted},
}

// flagsOf returns the flags that letters stand for. keywords are those of the
// letters from "a"; a letter without one means nothing.
func flagsOf(letters string, keywords []imap.Flag) []imap.Flag {
	var flags []imap.Flag
	add := func(f imap.Flag) {
		if f != "" && !slices.Contains(flags, f) {
			flags = append(flags, f)
		}
	}
	for i := 0; i < len(letters); i++ {
		c := letters[i]
		for _, lf := range letterFlags {
			if lf.letter == c {
				add(lf.flag)
			}
		}
		if k := int(c) - 'a'; 0 <= k && k < len(keywords) {
			add(keywords[k])
		}
	}
	return flags
}

// ownLetter returns the letter of a flag that is no keyword with a changing
// letter, 0 if it has none.
func ownLetter(f imap.Flag) byte {
	for _, lf := range letterFlags {
		if imap.EqualFlag(f, lf.flag) {
			return lf.letter
		}
	}
	return 0
}
