package imapwire_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"tidemark/imap"
	"tidemark/imapwire"
)

type encoderTest struct {
	got  []byte
	want string
}

func checkEncoded(t *testing.T, tests []encoderTest) {
	t.Helper()
	for _, test := range tests {
		if string(test.got) != test.want {
			t.Errorf("got  %q\nwant %q", test.got, test.want)
		}
	}
}

func ptr(s string) *string { return &s }

// If this failed, what is in a mail or a name could be taken for a response.
func TestStrings(t *testing.T) {
	long := strings.Repeat("x", 1001)
	checkEncoded(t, []encoderTest{
		{imapwire.AppendString(nil, ""), `""`},
		{imapwire.AppendString(nil, "a b"), `"a b"`},
		{imapwire.AppendString(nil, `a"b\c`), `"a\"b\\c"`},
		{imapwire.AppendString(nil, "a\r\n* BYE"), "{8}\r\na\r\n* BYE"},
		{imapwire.AppendString(nil, "a\tb"), "{3}\r\na\tb"},
		{imapwire.AppendString(nil, "a\x00b"), "{3}\r\na?b"},
		{imapwire.AppendString(nil, "ü"), "{2}\r\nü"},
		{imapwire.AppendString(nil, "\x7f"), "{1}\r\n\x7f"},
		{imapwire.AppendString(nil, long[1:]), `"` + long[1:] + `"`},
		{imapwire.AppendString(nil, long), "{1001}\r\n" + long},
		{imapwire.AppendNString(nil, nil), "NIL"},
		{imapwire.AppendNString(nil, ptr("NIL")), `"NIL"`},
		{imapwire.AppendAString(nil, "a]b"), "a]b"},
		{imapwire.AppendAString(nil, "nil"), `"nil"`},
		{imapwire.AppendAString(nil, ""), `""`},
		{imapwire.AppendAString(nil, "a b"), `"a b"`},
		{imapwire.AppendMailbox(nil, "a&ü", false), `"a&-&APw-"`},
		{imapwire.AppendMailbox(nil, "a&ü", true), `"a&ü"`},
		{imapwire.AppendMailbox(nil, "a\u0085", true), "{3}\r\na\u0085"},
		{imapwire.AppendMailbox(nil, "a\r\n", true), "{3}\r\na\r\n"},
		{imapwire.AppendMailbox(nil, "a\r\n", false), `"a&AA0ACg-"`},
		{imapwire.AppendMailbox(nil, "\xff", true), "{1}\r\n\xff"},
	})
}

// If this failed, clients would not understand how a command ended.
func TestStatusResponses(t *testing.T) {
	tagged := func(code imap.Code) []byte { return imapwire.AppendTagged(nil, "A1", imap.OK, code, "done") }
	checkEncoded(t, []encoderTest{
		{tagged(""), "A1 OK done\r\n"},
		{tagged(imap.CodeReadWrite), "A1 OK [READ-WRITE] done\r\n"},
		{tagged(imapwire.CodeCapability([]string{"IMAP4rev2", "IDLE"})), "A1 OK [CAPABILITY IMAP4rev2 IDLE] done\r\n"},
		{tagged(imapwire.CodePermanentFlags([]imap.Flag{imap.FlagDeleted, imap.FlagSeen, imap.FlagWildcard})),
			"A1 OK [PERMANENTFLAGS (\\Deleted \\Seen \\*)] done\r\n"},
		{tagged(imapwire.CodePermanentFlags(nil)), "A1 OK [PERMANENTFLAGS ()] done\r\n"},
		{tagged(imapwire.CodeUIDValidity(3857529045)), "A1 OK [UIDVALIDITY 3857529045] done\r\n"},
		{tagged(imapwire.CodeUIDNext(4392)), "A1 OK [UIDNEXT 4392] done\r\n"},
		{tagged(imapwire.CodeUnseen(12)), "A1 OK [UNSEEN 12] done\r\n"},
		{tagged(imapwire.CodeHighestModSeq(imap.MaxModSeq)), "A1 OK [HIGHESTMODSEQ 9223372036854775807] done\r\n"},
		{tagged(imapwire.CodeAppendUID(38505, nums(3955, 3955))), "A1 OK [APPENDUID 38505 3955] done\r\n"},
		{tagged(imapwire.CodeCopyUID(38505, nums(304, 304, 319, 320), nums(3956, 3958))), "A1 OK [COPYUID 38505 304,319:320 3956:3958] done\r\n"},
		{tagged(imapwire.CodeModified(nums(7, 7, 9, 9))), "A1 OK [MODIFIED 7,9] done\r\n"},
		{tagged(imapwire.CodeMailboxID("F2212ea87")), "A1 OK [MAILBOXID (F2212ea87)] done\r\n"},
		{tagged(imapwire.CodeBadCharset("US-ASCII")), "A1 OK [BADCHARSET (US-ASCII)] done\r\n"},
		{imapwire.AppendUntagged(nil, imap.BYE, imap.CodeUnavailable, "a\r\nb\x00ü"), "* BYE [UNAVAILABLE] a??b???\r\n"},
		{imapwire.AppendContinue(nil, "idling"), "+ idling\r\n"},
		{imapwire.AppendChallenge(nil, nil), "+ \r\n"},
		{imapwire.AppendChallenge(nil, []byte("test")), "+ dGVzdA==\r\n"},
	})
}

// If this failed, clients would show other mailboxes or numbers than there are. The
// lines are the RFCs' but for quotes.
func TestMailboxResponses(t *testing.T) {
	list := func(l imapwire.ListData) []byte { return imapwire.AppendList(nil, &l, false) }
	checkEncoded(t, []encoderTest{
		{list(imapwire.ListData{Name: "Normalized", OldName: "NonNormalized"}), "* LIST () \"/\" \"Normalized\" (\"OLDNAME\" (\"NonNormalized\"))\r\n"},
		{list(imapwire.ListData{Name: "foo", Attrs: []imap.MailboxAttr{imap.AttrHasNoChildren}, ChildSubscribed: true}),
			"* LIST (\\HasNoChildren) \"/\" \"foo\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n"},
		{list(imapwire.ListData{Name: "foo/bar", Attrs: []imap.MailboxAttr{imap.AttrSubscribed, imap.AttrNonExistent}}),
			"* LIST (\\Subscribed \\NonExistent) \"/\" \"foo/bar\"\r\n"},
		{list(imapwire.ListData{Name: "", Attrs: []imap.MailboxAttr{imap.AttrNoselect}}), "* LIST (\\Noselect) \"/\" \"\"\r\n"},
		{list(imapwire.ListData{Name: "x", NoDelimiter: true, OldName: "y", ChildSubscribed: true}),
			"* LIST () NIL \"x\" (\"CHILDINFO\" (\"SUBSCRIBED\") \"OLDNAME\" (\"y\"))\r\n"},
		{imapwire.AppendLsub(nil, &imapwire.ListData{Name: "ü"}, false), "* LSUB () \"/\" \"&APw-\"\r\n"},
		{imapwire.AppendNamespace(nil, false, ""), "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n"},
		{imapwire.AppendStatus(nil, &imapwire.StatusData{
			Mailbox: "blurdybloop", Items: imap.StatusMessages | imap.StatusUIDNext, Messages: 231, UIDNext: 44292,
		}, false), "* STATUS \"blurdybloop\" (MESSAGES 231 UIDNEXT 44292)\r\n"},
		{imapwire.AppendStatus(nil, &imapwire.StatusData{
			Mailbox: "ü", Items: 1<<10 - 1, Messages: 1, Recent: 2, UIDNext: 3, UIDValidity: 4, Unseen: 5, Deleted: 6,
			Size: math.MaxInt64, HighestModSeq: 8, MailboxID: "F1", AppendLimit: -1,
		}, true), "* STATUS \"ü\" (MESSAGES 1 RECENT 2 UIDNEXT 3 UIDVALIDITY 4 UNSEEN 5 DELETED 6 SIZE 9223372036854775807 " +
			"HIGHESTMODSEQ 8 MAILBOXID (F1) APPENDLIMIT NIL)\r\n"},
		{imapwire.AppendStatus(nil, &imapwire.StatusData{Mailbox: "a", Items: imap.StatusAppendLimit, AppendLimit: 35}, true),
			"* STATUS \"a\" (APPENDLIMIT 35)\r\n"},
		{imapwire.AppendFlags(nil, imap.SystemFlags[:]), "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n"},
		{imapwire.AppendExists(nil, 172), "* 172 EXISTS\r\n"},
		{imapwire.AppendRecent(nil, 0), "* 0 RECENT\r\n"},
		{imapwire.AppendExpunge(nil, 3), "* 3 EXPUNGE\r\n"},
		{imapwire.AppendVanished(nil, nums(41, 41, 43, 116), true), "* VANISHED (EARLIER) 41,43:116\r\n"},
		{imapwire.AppendVanished(nil, nums(405, 405), false), "* VANISHED 405\r\n"},
		{imapwire.AppendVanished(nil, nil, false), ""},
		{imapwire.AppendCapability(nil, []string{"IMAP4rev1", "IDLE"}), "* CAPABILITY IMAP4rev1 IDLE\r\n"},
		{imapwire.AppendEnabled(nil, []string{"CONDSTORE"}), "* ENABLED CONDSTORE\r\n"},
		{imapwire.AppendEnabled(nil, nil), "* ENABLED\r\n"},
		{imapwire.AppendID(nil, nil), "* ID NIL\r\n"},
		{imapwire.AppendID(nil, []imap.IDParam{{Field: "name", Value: "Cyrus"}, {Field: "os", Null: true}}), "* ID (\"name\" \"Cyrus\" \"os\" NIL)\r\n"},
	})
}

// If this failed, a client would have to read a line of VANISHED longer than it can.
func TestLongVanishedIsSplit(t *testing.T) {
	var uids imap.NumSet
	for i := range uint32(2000) {
		uids.AddRange(4_000_000_000+4*i, 4_000_000_001+4*i)
	}
	lines := strings.SplitAfter(string(imapwire.AppendVanished(nil, uids, true)), "\r\n")
	if len(lines) != 7 {
		t.Errorf("%d lines", len(lines)-1)
	}
	for _, line := range lines {
		if len(line) > 8000 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
}

// If this failed, clients would not see what a search found.
func TestSearchResponses(t *testing.T) {
	search := func(found imap.NumSet, m imap.ModSeq) []byte {
		b := imapwire.AppendSearchStart(nil)
		for n := range found.All() {
			b = imapwire.AppendSearchNumber(b, n)
		}
		return imapwire.AppendSearchEnd(b, m)
	}
	esearch := func(uid bool, ret imap.SearchReturn, found imap.NumSet, m imap.ModSeq) []byte {
		return imapwire.AppendESearch(nil, `a"1`, uid, &ret, found, m)
	}
	all := imap.SearchReturn{Min: true, Max: true, Count: true, All: true}
	checkEncoded(t, []encoderTest{
		{search(nums(2, 3, 6, 6), 0), "* SEARCH 2 3 6\r\n"},
		{search(nums(2, 2), 917162500), "* SEARCH 2 (MODSEQ 917162500)\r\n"},
		{search(nil, 0), "* SEARCH\r\n"},
		{esearch(true, imap.SearchReturn{Min: true, Max: true}, nums(7, 3800), 0), "* ESEARCH (TAG \"a\\\"1\") UID MIN 7 MAX 3800\r\n"},
		{esearch(false, all, nums(2, 2, 10, 11), 12), "* ESEARCH (TAG \"a\\\"1\") MIN 2 MAX 11 COUNT 3 ALL 2,10:11 MODSEQ 12\r\n"},
		{esearch(false, all, nil, 0), "* ESEARCH (TAG \"a\\\"1\") COUNT 0\r\n"},
		{esearch(false, imap.SearchReturn{Save: true}, nums(1, 1), 0), "* ESEARCH (TAG \"a\\\"1\")\r\n"},
	})
}

// If this failed, clients would get FETCH data that they cannot read or did not ask
// for.
func TestFetchResponse(t *testing.T) {
	flags := imap.NewFlagSet([]imap.Flag{imap.FlagSeen, "$Forwarded"})
	label := func(kind imap.FetchKind, s imap.Section, p *imap.Partial) []byte {
		return imapwire.AppendFetchLabel(nil, &imap.FetchItem{Kind: kind, Peek: true, Section: s, Partial: p})
	}
	checkEncoded(t, []encoderTest{
		{imapwire.AppendFetchEnd(imapwire.AppendFetchUID(imapwire.AppendFetchStart(nil, 23), 447)), "* 23 FETCH (UID 447)\r\n"},
		{imapwire.AppendFetchFlags(nil, flags, false), "FLAGS (\\Seen $Forwarded)"},
		{imapwire.AppendFetchFlags(nil, flags, true), "FLAGS (\\Seen $Forwarded \\Recent)"},
		{imapwire.AppendFetchFlags(nil, nil, true), "FLAGS (\\Recent)"},
		{imapwire.AppendFetchFlags(nil, nil, false), "FLAGS ()"},
		{imapwire.AppendFetchModSeq(nil, 624140003), "MODSEQ (624140003)"},
		{imapwire.AppendFetchSize(nil, 44827), "RFC822.SIZE 44827"},
		{imapwire.AppendFetchInternalDate(nil, 837596665, -7*60), `INTERNALDATE "17-Jul-1996 02:44:25 -0700"`},
		{imapwire.AppendFetchSaveDate(nil, 837596665), `SAVEDATE "17-Jul-1996 09:44:25 +0000"`},
		{imapwire.AppendFetchEmailID(nil, "M6d99ac3275bb4e"), "EMAILID (M6d99ac3275bb4e)"},
		{imapwire.AppendFetchThreadID(nil, "T64b478a75b7ea9"), "THREADID (T64b478a75b7ea9)"},
		{imapwire.AppendFetchThreadID(nil, ""), "THREADID NIL"},
		{imapwire.AppendFetchPreview(nil, nil), "PREVIEW NIL"},
		{imapwire.AppendFetchPreview(nil, ptr("Hello")), `PREVIEW "Hello"`},
		{imapwire.AppendLiteralHeader(nil, 342), "{342}\r\n"},
		{imapwire.AppendLiteral8Header(nil, 0), "~{0}\r\n"},
		{label(imap.FetchBodySection, imap.Section{}, &imap.Partial{Offset: 5, Length: 9}), "BODY[]<5>"},
		{label(imap.FetchBodySection, imap.Section{Text: imap.SectionHeader}, nil), "BODY[HEADER]"},
		{label(imap.FetchBodySection, imap.Section{Part: []uint32{1, 2}}, nil), "BODY[1.2]"},
		{label(imap.FetchBodySection, imap.Section{Part: []uint32{1}, Text: imap.SectionMIME}, nil), "BODY[1.MIME]"},
		{label(imap.FetchBodySection, imap.Section{Part: []uint32{3}, Text: imap.SectionBody}, nil), "BODY[3.TEXT]"},
		{label(imap.FetchBodySection, imap.Section{Text: imap.SectionHeaderFields, Fields: []string{"X", "a(b", ""}}, &imap.Partial{}),
			`BODY[HEADER.FIELDS (X "a(b" "")]<0>`},
		{label(imap.FetchBodySection, imap.Section{Part: []uint32{4}, Text: imap.SectionHeaderFieldsNot, Fields: []string{"X"}}, nil),
			"BODY[4.HEADER.FIELDS.NOT (X)]"},
		{label(imap.FetchBinary, imap.Section{Part: []uint32{1}}, &imap.Partial{}), "BINARY[1]<0>"},
		{label(imap.FetchBinarySize, imap.Section{Part: []uint32{1}}, nil), "BINARY.SIZE[1]"},
		{label(imap.FetchRFC822, imap.Section{}, nil), "RFC822"},
		{label(imap.FetchRFC822Header, imap.Section{}, nil), "RFC822.HEADER"},
		{label(imap.FetchRFC822Text, imap.Section{}, nil), "RFC822.TEXT"},
	})
}

// If this failed, clients would sort mail by a wrong date. The standard library is the
// judge.
func TestAppendDateTime(t *testing.T) {
	const layout = `"_2-Jan-2006 15:04:05 -0700"`
	check := func(unix int64, zone int16) {
		t.Helper()
		want := time.Unix(unix, 0).In(time.FixedZone("", int(zone)*60)).Format(layout)
		if got := string(imapwire.AppendDateTime(nil, unix, zone)); got != want {
			t.Errorf("%d %d: got %s, want %s", unix, zone, got, want)
		}
	}
	for _, zone := range []int16{0, 60, -60, 330, -210, 14 * 60, -12 * 60, 1, -1, 59*60 + 59} {
		for day := int64(-719_000); day < 2_900_000; day += 97 {
			check(day*86400-1, zone)
			check(day*86400+day%86400, zone)
		}
	}
	for _, unix := range []int64{0, -1, 1, 951782400, 951868799, 951868800, -62167219200, 253402300799} {
		check(unix, 0)
	}
	for unix, want := range map[int64]string{
		math.MinInt64 / 2: `" 1-Jan-0000 00:00:00 +0000"`, math.MaxInt64 / 2: `"31-Dec-9999 23:59:59 +0000"`,
	} {
		if got := string(imapwire.AppendDateTime(nil, unix, 0)); got != want {
			t.Errorf("got %s", got)
		}
	}
}
