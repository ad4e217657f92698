package imapwire

import (
	"strings"
	"time"
	"unicode/utf8"

	"tidemark/imap"
)

// search reads SEARCH (RFC 9051 §6.4.4).
func (d *Decoder) search(uid bool) imap.Command {
	c := &imap.Search{UID: uid}
	d.sp()
	if d.acceptLabel("RETURN") {
		d.sp()
		c.Return = d.searchReturn()
		d.sp()
	}
	s := searcher{Decoder: d, decode: decodeUTF8}
	if d.acceptLabel("CHARSET") {
		d.sp()
		c.Charset = strings.ToUpper(d.astring())
		s.setCharset(c.Charset)
		if e, ok := d.err.(*SyntaxError); ok {
			e.Save = c.Return != nil && c.Return.Save
		}
		d.sp()
	}
	c.Key = s.keys(0)
	return c
}

// searchReturn reads the result options (RFC 9051 §9, search-return-opts).
func (d *Decoder) searchReturn() *imap.SearchReturn {
	r := &imap.SearchReturn{}
	d.listOrEmpty(func() {
		switch {
		case d.acceptLabel("MIN"):
			r.Min = true
		case d.acceptLabel("MAX"):
			r.Max = true
		case d.acceptLabel("ALL"):
			r.All = true
		case d.acceptLabel("COUNT"):
			r.Count = true
		case d.acceptLabel("SAVE"):
			r.Save = true
		default:
			d.fail("unknown SEARCH return option")
		}
	})
	if *r == (imap.SearchReturn{}) {
		r.All = true // RFC 9051 §6.4.4: an empty list is (ALL)
	}
	return r
}

// searcher reads the keys of one SEARCH.
type searcher struct {
	*Decoder
	decode func([]byte) (string, error)
}

func (s *searcher) setCharset(name string) {
	if s.err != nil || name == "US-ASCII" || name == "UTF-8" {
		return
	}
	if s.Charsets != nil {
		if decode, ok := s.Charsets(name); ok {
			s.decode = decode
			return
		}
	}
	s.failKind(KindCharset, imap.NO, CodeBadCharset("US-ASCII", "UTF-8"), "charset is not known")
}

// decodeUTF8 is for US-ASCII and UTF-8. Without a charset IMAP4rev1 means the first and
// IMAP4rev2 the second; 8-bit text that is UTF-8 is never meant as anything else.
func decodeUTF8(text []byte) (string, error) {
	if !utf8.Valid(text) {
		return "", errUTF8
	}
	return string(text), nil
}

// keys reads search keys with spaces between them, all of which must match.
func (s *searcher) keys(depth int) imap.SearchKey {
	first := s.key(depth)
	if !s.accept(' ') {
		return first
	}
	all := imap.SearchAnd{first}
	for s.err == nil {
		all = append(all, s.key(depth))
		if !s.accept(' ') {
			break
		}
	}
	return all
}

// key reads one search key.
func (s *searcher) key(depth int) imap.SearchKey {
	s.searchKeys++
	switch c := s.peek(); {
	case depth > s.limits.SearchDepth:
		s.refuse(imap.NO, imap.CodeLimit, "search keys nest too deeply")
	case s.searchKeys > s.limits.SearchKeys:
		s.refuse(imap.NO, imap.CodeLimit, "too many search keys")
	case c == '(':
		s.open()
		k := s.keys(depth + 1)
		s.close()
		return k
	case isDigit(c) || c == '*' || c == '$':
		return imap.SearchSeq{Set: s.setRef()}
	}
	var buf [labelSize]byte
	name := s.label(classLabel, &buf)
	switch string(name) {
	case "NOT":
		s.sp()
		return imap.SearchNot{Key: s.key(depth + 1)}
	case "OR":
		s.sp()
		a := s.key(depth + 1)
		s.sp()
		return imap.SearchOr{A: a, B: s.key(depth + 1)}
	}
	return s.test(string(name))
}

// flagTests are the keys without arguments that ask for a flag.
var flagTests = map[string]imap.SearchKey{
	"ANSWERED":   imap.SearchFlag{Flag: imap.FlagAnswered},
	"DELETED":    imap.SearchFlag{Flag: imap.FlagDeleted},
	"DRAFT":      imap.SearchFlag{Flag: imap.FlagDraft},
	"FLAGGED":    imap.SearchFlag{Flag: imap.FlagFlagged},
	"SEEN":       imap.SearchFlag{Flag: imap.FlagSeen},
	"RECENT":     imap.SearchFlag{Flag: imap.FlagRecent},
	"UNANSWERED": imap.SearchFlag{Flag: imap.FlagAnswered, Not: true},
	"UNDELETED":  imap.SearchFlag{Flag: imap.FlagDeleted, Not: true},
	"UNDRAFT":    imap.SearchFlag{Flag: imap.FlagDraft, Not: true},
	"UNFLAGGED":  imap.SearchFlag{Flag: imap.FlagFlagged, Not: true},
	"UNSEEN":     imap.SearchFlag{Flag: imap.FlagSeen, Not: true},
	"OLD":        imap.SearchFlag{Flag: imap.FlagRecent, Not: true},
	"NEW": imap.SearchAnd{ // RFC 3501 §6.4.4: (RECENT UNSEEN)
		imap.SearchFlag{Flag: imap.FlagRecent}, imap.SearchFlag{Flag: imap.FlagSeen, Not: true},
	},
	"ALL":               imap.SearchAnd{},
	"SAVEDATESUPPORTED": imap.SearchSaveDateSupported{},
}

// dateTests are the keys whose argument is a date.
var dateTests = map[string]imap.SearchDate{
	"BEFORE":      {Field: imap.DateInternal, Op: imap.DateBefore},
	"ON":          {Field: imap.DateInternal, Op: imap.DateOn},
	"SINCE":       {Field: imap.DateInternal, Op: imap.DateSince},
	"SENTBEFORE":  {Field: imap.DateSent, Op: imap.DateBefore},
	"SENTON":      {Field: imap.DateSent, Op: imap.DateOn},
	"SENTSINCE":   {Field: imap.DateSent, Op: imap.DateSince},
	"SAVEDBEFORE": {Field: imap.DateSaved, Op: imap.DateBefore},
	"SAVEDON":     {Field: imap.DateSaved, Op: imap.DateOn},
	"SAVEDSINCE":  {Field: imap.DateSaved, Op: imap.DateSince},
}

// test reads the arguments of the search key called name.
func (s *searcher) test(name string) imap.SearchKey {
	if key, ok := flagTests[name]; ok {
		return key
	}
	if key, ok := dateTests[name]; ok {
		s.sp()
		key.Day = s.date()
		return key
	}
	switch name {
	case "BCC", "CC", "FROM", "TO":
		return imap.SearchAddress{Name: name, Value: s.argument()}
	case "SUBJECT":
		return imap.SearchHeader{Name: name, Value: s.argument()}
	case "HEADER":
		s.sp()
		field := s.astring()
		return imap.SearchHeader{Name: field, Value: s.argument()}
	case "BODY":
		return imap.SearchBody{Value: s.argument()}
	case "TEXT":
		return imap.SearchText{Value: s.argument()}
	case "KEYWORD", "UNKEYWORD":
		s.sp()
		return imap.SearchFlag{Flag: imap.Flag(s.atom()), Not: name == "UNKEYWORD"}
	case "LARGER", "SMALLER":
		s.sp()
		return imap.SearchSize{Larger: name == "LARGER", N: s.number64()}
	case "OLDER", "YOUNGER":
		s.sp()
		seconds := s.nzNumber()
		return imap.SearchWithin{Older: name == "OLDER", Interval: time.Duration(seconds) * time.Second}
	case "UID":
		s.sp()
		return imap.SearchUID{Set: s.setRef()}
	case "MODSEQ":
		return s.modSeqKey()
	case "EMAILID":
		return imap.SearchEmailID{ID: s.objectID()}
	case "THREADID":
		return imap.SearchThreadID{ID: s.objectID()}
	}
	s.fail("unknown search key")
	return nil
}

// argument reads a text to search for and returns it as UTF-8.
func (s *searcher) argument() string {
	s.sp()
	raw := s.rawString(classAString)
	if s.err != nil {
		return ""
	}
	text, err := s.decode(raw)
	if err != nil {
		s.fail("text is not in the charset named")
	}
	return text
}

// modSeqKey reads the arguments of MODSEQ (RFC 7162 §7, search-modsequence).
func (s *searcher) modSeqKey() imap.SearchKey {
	s.sp()
	if s.peek() == '"' {
		if entry := s.astring(); !strings.HasPrefix(strings.ToLower(entry), "/flags/") {
			s.fail("unknown metadata entry")
		}
		s.sp()
		if !s.acceptLabel("PRIV") && !s.acceptLabel("SHARED") && !s.acceptLabel("ALL") {
			s.fail("unknown metadata entry type")
		}
		s.sp()
	}
	return imap.SearchModSeq{ModSeq: s.modSeq()}
}

// objectID reads an objectid (RFC 8474 §7).
func (s *searcher) objectID() imap.ObjectID {
	s.sp()
	id := s.word(classObjectID, "object id expected")
	if len(id) > 255 {
		s.fail("object id too long")
	}
	return imap.ObjectID(id)
}

// AppendSearchStart begins a SEARCH response of IMAP4rev1 (RFC 3501 §7.2.5), which is
// made number by number because it can be long.
func AppendSearchStart(b []byte) []byte { return append(b, "* SEARCH"...) }

// AppendSearchNumber appends one number of a SEARCH response.
func AppendSearchNumber(b []byte, n uint32) []byte {
	return appendUint(append(b, ' '), n)
}

// AppendSearchEnd ends a SEARCH response. modSeq is the highest of the messages found
// (RFC 7162 §3.1.6). It is left out if it is zero, as it must be where nothing was found.
func AppendSearchEnd(b []byte, modSeq imap.ModSeq) []byte {
	if modSeq != 0 {
		b = append(appendUint(append(b, " (MODSEQ "...), modSeq), ')')
	}
	return append(b, crlf...)
}

// AppendESearch appends an ESEARCH response (RFC 9051 §7.3.4) to the command with the
// given tag, with the data that ret asks for. nums must be in the normal form. modSeq
// is left out if it is zero (RFC 7162 §3.1.10).
func AppendESearch(b []byte, tag string, uid bool, ret *imap.SearchReturn, nums imap.NumSet, modSeq imap.ModSeq) []byte {
	b = append(b, "* ESEARCH (TAG "...)
	b = append(appendQuoted(b, tag), ')')
	if uid {
		b = append(b, " UID"...)
	}
	found := len(nums) > 0
	if ret.Min && found {
		b = appendUint(append(b, " MIN "...), nums.Min())
	}
	if ret.Max && found {
		b = appendUint(append(b, " MAX "...), nums.Max())
	}
	if ret.Count {
		b = appendUint(append(b, " COUNT "...), nums.Count())
	}
	if ret.All && found {
		b = nums.Append(append(b, " ALL "...))
	}
	if modSeq != 0 {
		b = appendUint(append(b, " MODSEQ "...), modSeq)
	}
	return append(b, crlf...)
}
