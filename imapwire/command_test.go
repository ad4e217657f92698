package imapwire_test

import (
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"tidemark/imap"
	"tidemark/imapwire"
)

// newDecoder returns a Decoder that reads input under the limits after login. Every
// synchronising literal is asked for.
func newDecoder(input string) *imapwire.Decoder {
	return imapwire.NewDecoder(strings.NewReader(input), imapwire.LimitsAfterLogin(), func() error { return nil })
}

// nums makes a set from pairs of first and last; 0 is "*".
func nums(ends ...uint32) imap.NumSet {
	var s imap.NumSet
	for i := 0; i < len(ends); i += 2 {
		s = append(s, imap.Range{Start: ends[i], Stop: ends[i+1]})
	}
	return s
}

func set(ends ...uint32) imap.SetRef { return imap.SetRef{Nums: nums(ends...)} }

func modSeq(n imap.ModSeq) *imap.ModSeq { return &n }

var saved = imap.SetRef{Saved: true}

type commandTest struct {
	line string // what stands after the tag; CRLF is added
	want imap.Command
}

// checkCommands reads each line and wants the command, and the Decoder in step after
// it.
func checkCommands(t *testing.T, tests []commandTest, options ...func(*imapwire.Decoder)) {
	t.Helper()
	for _, test := range tests {
		d := newDecoder("A1 " + test.line + "\r\nz NOOP\r\n")
		for _, option := range options {
			option(d)
		}
		tag, cmd, err := d.ReadCommand()
		if err != nil || tag != "A1" || !reflect.DeepEqual(cmd, test.want) {
			t.Errorf("%s\n got %q %#v, %v\nwant %#v", test.line, tag, cmd, err, test.want)
		}
		wantInStep(t, test.line, d)
	}
}

// checkBad wants each line refused with BAD under its tag, and the Decoder in step
// after it.
func checkBad(t *testing.T, lines []string) {
	t.Helper()
	for _, line := range lines {
		d := newDecoder("A1 " + line + "\r\nz NOOP\r\n")
		_, cmd, err := d.ReadCommand()
		se, ok := err.(*imapwire.SyntaxError)
		if !ok || se.Status != imap.BAD || se.Tag != "A1" || se.Fatal {
			t.Errorf("%s: got %#v, %v", line, cmd, err)
		}
		wantInStep(t, line, d)
	}
}

// wantInStep wants "z NOOP" and then the end.
func wantInStep(t *testing.T, what string, d *imapwire.Decoder) {
	t.Helper()
	if tag, cmd, err := d.ReadCommand(); tag != "z" || cmd != imap.Noop || err != nil {
		t.Errorf("%q: out of step: %q %v, %v", what, tag, cmd, err)
	}
	if _, _, err := d.ReadCommand(); err != io.EOF {
		t.Errorf("%q: at the end: %v", what, err)
	}
}

// If this failed, commands would reach the server as something that the client did not
// write. Most lines are examples of the RFCs, verbatim.
func TestSimpleAndLoginCommands(t *testing.T) {
	checkCommands(t, []commandTest{
		{"CAPABILITY", imap.Capability},
		{"noop", imap.Noop},
		{"LogOut", imap.Logout},
		{"STARTTLS", imap.StartTLS},
		{"IDLE", imap.Idle},
		{"CHECK", imap.Check},
		{"CLOSE", imap.Close},
		{"UNSELECT", imap.Unselect},
		{"NAMESPACE", imap.Namespace},
		{"EXPUNGE", imap.Expunge},
		{"NOOP ", imap.Noop}, // some clients end lines with a space
		{"LOGIN SMITH SESAME", &imap.Login{User: "SMITH", Password: "SESAME"}},
		{`LOGIN "fred" "f\"o\\o"`, &imap.Login{User: "fred", Password: `f"o\o`}},
		{"LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man", &imap.Login{User: "FRED FOOBAR", Password: "fat man"}},
		{"LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man", &imap.Login{User: "FRED FOOBAR", Password: "fat man"}},
		{"LOGIN a {4+}\r\n\xffx\r\n", &imap.Login{User: "a", Password: "\xffx\r\n"}},
		{"AUTHENTICATE plain", &imap.Authenticate{Mechanism: "PLAIN"}},
		{"AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q=", &imap.Authenticate{
			Mechanism: "PLAIN", HasInitial: true, Initial: []byte("test\x00test\x00test"),
		}},
		{"AUTHENTICATE EXTERNAL =", &imap.Authenticate{Mechanism: "EXTERNAL", HasInitial: true}},
		{"ENABLE CONDSTORE X-good-IDEA", &imap.Enable{Capabilities: []string{"CONDSTORE", "X-GOOD-IDEA"}}},
		{"ID NIL", &imap.ID{}},
		{"ID ()", &imap.ID{Params: []imap.IDParam{}}},
		{`ID ("name" "sodr" "version" NIL)`, &imap.ID{Params: []imap.IDParam{
			{Field: "name", Value: "sodr"}, {Field: "version", Null: true},
		}}},
	})
	checkBad(t, []string{
		"", " NOOP", "NOOP x", "NOOP {3}", "XPIG-LATIN", "UID NOOP", "UID", "(NOOP)", "NO\x00OP", "NOOP\x00",
		"LOGIN a", "LOGIN a ", "LOGIN a  b", "LOGIN a b c", `LOGIN "a b`, `LOGIN "a\b" c`, "LOGIN a\tb c", "LOGIN \"\xff\" b",
		"LOGIN a\rb c", "LOGIN \"a\rb\" c", "LOGIN {1+}\r\n\x00 b", "LOGIN a {3}x", "LOGIN a {+}", "LOGIN a {}",
		"AUTHENTICATE", "AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q", "AUTHENTICATE PLAIN dGVz dA==", "AUTHENTICATE PLAIN dGV=",
		"ENABLE", "ENABLE ", `ENABLE "X"`, "ID", `ID ("name")`, `ID ("name" "a"`, `ID (NIL "a")`,
		"ID (" + strings.Repeat(`"a" "b" `, 30) + `"a" "b")`, `ID ("` + strings.Repeat("a", 31) + `" "b")`,
	})
}

// If this failed, mailbox commands would work on another mailbox than the one named.
func TestMailboxCommands(t *testing.T) {
	checkCommands(t, []commandTest{
		{"CREATE owatagusiam/", &imap.Create{Mailbox: "owatagusiam/"}},
		{`create "///////"`, &imap.Create{Mailbox: "///////"}},
		{`CREATE MySpecial (USE (\Drafts \SENT))`, &imap.Create{
			Mailbox: "MySpecial", SpecialUse: []imap.MailboxAttr{imap.AttrDrafts, imap.AttrSent},
		}},
		{`CREATE x (USE ())`, &imap.Create{Mailbox: "x"}},
		{`CREATE x (USE (\Odd))`, &imap.Create{Mailbox: "x", SpecialUse: []imap.MailboxAttr{`\Odd`}}},
		{"DELETE foo/bar", &imap.Delete{Mailbox: "foo/bar"}},
		{"RENAME inBox old-mail", &imap.Rename{From: "INBOX", To: "old-mail", SuppliedFrom: "inBox"}},
		{"RENAME inbox/a INBOXES", &imap.Rename{From: "INBOX/a", To: "INBOXES", SuppliedFrom: "inbox/a"}},
		{"SUBSCRIBE #news.comp.mail.mime", &imap.Subscribe{Mailbox: "#news.comp.mail.mime"}},
		{"UNSUBSCRIBE {5}\r\ninbox", &imap.Subscribe{Mailbox: "INBOX", Undo: true}},
		{"DELETE ~peter/mail/&U,BTFw-/&ZeVnLIqe-", &imap.Delete{Mailbox: "~peter/mail/台北/日本語"}},
		{"DELETE &-", &imap.Delete{Mailbox: "&"}},
		{"STATUS blurdybloop (UIDNEXT MESSAGES)", &imap.Status{
			Mailbox: "blurdybloop", Items: imap.StatusUIDNext | imap.StatusMessages,
		}},
		{`status "/archive/projects/experiment-iv" (messages)`, &imap.Status{
			Mailbox: "/archive/projects/experiment-iv", Items: imap.StatusMessages,
		}},
		{"STATUS a (RECENT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ MAILBOXID APPENDLIMIT)", &imap.Status{
			Mailbox: "a", Items: imap.StatusRecent | imap.StatusUIDValidity | imap.StatusUnseen | imap.StatusDeleted |
				imap.StatusSize | imap.StatusHighestModSeq | imap.StatusMailboxID | imap.StatusAppendLimit,
		}},
		{"COPY 2:4 MEETING", &imap.Copy{Set: set(2, 4), Mailbox: "MEETING"}},
		{`COPY $ "Other Messages"`, &imap.Copy{Set: saved, Mailbox: "Other Messages"}},
		{"UID COPY 305:310 meeting", &imap.Copy{UID: true, Set: set(305, 310), Mailbox: "meeting"}},
		{"MOVE 2 foo", &imap.Copy{Move: true, Set: set(2, 2), Mailbox: "foo"}},
		{"UID MOVE 42:69 foo", &imap.Copy{UID: true, Move: true, Set: set(42, 69), Mailbox: "foo"}},
		{"UID EXPUNGE 3000:3002", &imap.UIDExpunge{UIDs: set(3000, 3002)}},
	})
	checkCommands(t, []commandTest{
		{`DELETE "Entwürfe&x"`, &imap.Delete{Mailbox: "Entwürfe&x"}},
		{"DELETE {4}\r\n&AG-", &imap.Delete{Mailbox: "&AG-"}},
		{`LIST "" "ü%"`, &imap.List{Patterns: []string{"ü%"}}},
	}, func(d *imapwire.Decoder) { d.UTF8 = true })
	checkBad(t, []string{
		"CREATE", "CREATE a b", "CREATE a (USE)", `CREATE a (USE (\Sent)`, "CREATE a (FOO (x))", "CREATE a ()",
		"DELETE a b", "DELETE foo*", "DELETE &Jjo!", "DELETE &AGE-", `DELETE "ü"`, "DELETE {1}\r\n\xff",
		"RENAME a", "RENAME a b (c)", "STATUS a ()", "STATUS a", "STATUS a MESSAGES", "STATUS a (FOO)", "STATUS a (MESSAGES )",
		"COPY 0 a", "COPY 1: a", "COPY 1,,2 a", "COPY 4294967296 a", "COPY 01 a", "COPY $,1 a", "COPY a b", "UID EXPUNGE", "UID EXPUNGE x",
	})
}

// If this failed, resynchronisation would start from the wrong state.
func TestSelect(t *testing.T) {
	checkCommands(t, []commandTest{
		{"SELECT INBOX", &imap.Select{Mailbox: "INBOX"}},
		{"EXAMINE blurdybloop", &imap.Select{Mailbox: "blurdybloop", ReadOnly: true}},
		{"SELECT INBOX (CONDSTORE)", &imap.Select{Mailbox: "INBOX", CondStore: true}},
		{"SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541))", &imap.Select{
			Mailbox: "INBOX",
			QResync: &imap.QResync{UIDValidity: 67890007, ModSeq: 20050715194045000, KnownUIDs: nums(41, 41, 43, 211, 214, 541)},
		}},
		{"SELECT INBOX (QRESYNC (67890007 90060115194045000 41:211,214:541))", &imap.Select{
			Mailbox: "INBOX",
			QResync: &imap.QResync{UIDValidity: 67890007, ModSeq: 90060115194045000, KnownUIDs: nums(41, 211, 214, 541)},
		}},
		{"SELECT INBOX (QRESYNC (67890007 20050715194045000 1:29997 (5000,7500,9000,9990:9999 " +
			"15000,22500,27000,29970,29973,29976,29979,29982,29985,29988,29991,29994,29997)))", &imap.Select{
			Mailbox: "INBOX",
			QResync: &imap.QResync{
				UIDValidity: 67890007, ModSeq: 20050715194045000, KnownUIDs: nums(1, 29997),
				MatchSeqs: nums(5000, 5000, 7500, 7500, 9000, 9000, 9990, 9999),
				MatchUIDs: nums(15000, 15000, 22500, 22500, 27000, 27000, 29970, 29970, 29973, 29973, 29976, 29976, 29979, 29979,
					29982, 29982, 29985, 29985, 29988, 29988, 29991, 29991, 29994, 29994, 29997, 29997),
			},
		}},
		{"SELECT INBOX (QRESYNC (1 2 (1:2 7:8)) CONDSTORE)", &imap.Select{
			Mailbox: "INBOX", CondStore: true,
			QResync: &imap.QResync{UIDValidity: 1, ModSeq: 2, MatchSeqs: nums(1, 2), MatchUIDs: nums(7, 8)},
		}},
		{"SELECT INBOX (QRESYNC (1 2 9:7,8))", &imap.Select{
			Mailbox: "INBOX", QResync: &imap.QResync{UIDValidity: 1, ModSeq: 2, KnownUIDs: nums(7, 9)},
		}},
	})
	checkBad(t, []string{
		"SELECT", "SELECT a b", "SELECT a ()", "SELECT a (FOO)", "SELECT INBOX (QRESYNC)", "SELECT a (QRESYNC (0 1))",
		"SELECT a (QRESYNC (1))", "SELECT a (QRESYNC (1 9223372036854775808))", "SELECT a (QRESYNC (1 2 1:*))",
		"SELECT a (QRESYNC (1 2 1:5 (1,2 3)))", "SELECT a (QRESYNC (1 2 1:5 (2,1 3,4)))", "SELECT a (QRESYNC (1 2 1:5 3))",
		"SELECT a (QRESYNC (1 2) QRESYNC (1 2))",
	})
}

// If this failed, clients would be shown other mailboxes than they asked for.
func TestList(t *testing.T) {
	checkCommands(t, []commandTest{
		{`LIST "" *`, &imap.List{Patterns: []string{"*"}}},
		{`LIST "" ""`, &imap.List{Patterns: []string{""}}},
		{`LIST #news.comp.mail.misc ""`, &imap.List{Reference: "#news.comp.mail.misc", Patterns: []string{""}}},
		{`LIST ~/Mail/ %`, &imap.List{Reference: "~/Mail/", Patterns: []string{"%"}}},
		{`LIST "" {3}` + "\r\na%b", &imap.List{Patterns: []string{"a%b"}}},
		{`LIST () "" "%" RETURN (CHILDREN)`, &imap.List{Extended: true, Patterns: []string{"%"}, ReturnChildren: true}},
		{`LIST (REMOTE SUBSCRIBED) "" "*"`, &imap.List{Extended: true, Remote: true, Subscribed: true, Patterns: []string{"*"}}},
		{`LIST (RECURSIVEMATCH SUBSCRIBED) "" "*2"`, &imap.List{
			Extended: true, RecursiveMatch: true, Subscribed: true, Patterns: []string{"*2"},
		}},
		{`LIST (SPECIAL-USE) "" "*" RETURN ()`, &imap.List{Extended: true, SpecialUse: true, Patterns: []string{"*"}}},
		{`LIST "" ("INBOX" "Drafts" "Sent/%")`, &imap.List{Extended: true, Patterns: []string{"INBOX", "Drafts", "Sent/%"}}},
		{`LIST "" (% music/rock)`, &imap.List{Extended: true, Patterns: []string{"%", "music/rock"}}},
		{`LIST "" "%" RETURN (SPECIAL-USE SUBSCRIBED)`, &imap.List{
			Extended: true, Patterns: []string{"%"}, ReturnSpecialUse: true, ReturnSubscribed: true,
		}},
		{`list "" "*" return (status (mailboxid))`, &imap.List{
			Extended: true, Patterns: []string{"*"}, ReturnStatus: imap.StatusMailboxID,
		}},
		{`LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN (STATUS (MESSAGES) CHILDREN)`, &imap.List{
			Extended: true, Subscribed: true, RecursiveMatch: true, Patterns: []string{"%"},
			ReturnStatus: imap.StatusMessages, ReturnChildren: true,
		}},
		{`LSUB "#news." "comp.%"`, &imap.Lsub{Reference: "#news.", Pattern: "comp.%"}},
	})
	checkBad(t, []string{
		"LIST", `LIST ""`, `LIST "" ()`, `LIST (RECURSIVEMATCH) "" *`, `LIST (REMOTE RECURSIVEMATCH) "" *`, `LIST (FOO) "" *`,
		`LIST "" * RETURN`, `LIST "" * RETURN CHILDREN`, `LIST "" * RETURN (FOO)`, `LIST "" * RETURN (STATUS)`, `LIST "" * CHILDREN`,
		`LIST "" * RETURN (CHILDREN))`, `LIST "" "&Jjo!"`, `LSUB "" (a b)`, `LIST  "" *`,
	})
}

// If this failed, flags would be set on the wrong messages, or the wrong flags.
func TestStore(t *testing.T) {
	deleted, seen := []imap.Flag{imap.FlagDeleted}, []imap.Flag{imap.FlagSeen}
	checkCommands(t, []commandTest{
		{`STORE 2:4 +FLAGS (\Deleted)`, &imap.Store{Set: set(2, 4), Op: imap.StoreAdd, Flags: deleted}},
		{`store 12 +flags \deleted`, &imap.Store{Set: set(12, 12), Op: imap.StoreAdd, Flags: deleted}},
		{`STORE $ +FLAGS.Silent (\Deleted)`, &imap.Store{Set: saved, Op: imap.StoreAdd, Silent: true, Flags: deleted}},
		{`STORE * (UNCHANGEDSINCE 12121230045) +FLAGS.SILENT (\Deleted)`, &imap.Store{
			Set: set(0, 0), Op: imap.StoreAdd, Silent: true, Flags: deleted, UnchangedSince: modSeq(12121230045),
		}},
		{`UID STORE 6,4,8 (UNCHANGEDSINCE 0) -FLAGS ($Junk \Seen)`, &imap.Store{
			UID: true, Set: set(6, 6, 4, 4, 8, 8), Op: imap.StoreRemove,
			Flags: []imap.Flag{"$Junk", imap.FlagSeen}, UnchangedSince: modSeq(0),
		}},
		{`STORE 1:2 (UNCHANGEDSINCE 96) +FLAGS.SILENT \Seen`, &imap.Store{
			Set: set(1, 2), Op: imap.StoreAdd, Silent: true, Flags: seen, UnchangedSince: modSeq(96),
		}},
		{`STORE 1 FLAGS ()`, &imap.Store{Set: set(1, 1)}},
		{`STORE 1 FLAGS (\sEEN)`, &imap.Store{Set: set(1, 1), Flags: seen}},
		{`STORE 1 FLAGS (\Answered \Flagged \Deleted \Seen \Draft \Odd)`, &imap.Store{
			Set: set(1, 1), Flags: append(imap.SystemFlags[:5:5], `\Odd`),
		}},
		{`STORE 42 FLAGS f1 f2`, &imap.Store{Set: set(42, 42), Flags: []imap.Flag{"f1", "f2"}}},
	})
	checkBad(t, []string{
		"STORE 1", "STORE 1 FLAGS", "STORE 1 FLAGS ", "STORE 1 FLAG (a)", `STORE 1 FLAGS (\Seen`, `STORE 1 FLAGS \Seen)`, `STORE 1 FLAGS (\)`,
		`STORE 1 FLAGS (a]b)`, `STORE 1 FLAGS ("a")`, `STORE 1 FLAGS (a  b)`, `STORE 1 FLAGS (\Seen )`, `STORE 1 (FOO 1) FLAGS (a)`,
		`STORE 1 (UNCHANGEDSINCE) FLAGS (a)`, `STORE 1 (UNCHANGEDSINCE 99999999999999999999) FLAGS (a)`, "STORE 1 *FLAGS (a)",
		`STORE 1 FLAGS (\*)`, `STORE 1 FLAGS (\Recent \Seen)`,
	})
}

// If this failed, clients would get other data than they asked for.
func TestFetch(t *testing.T) {
	kinds := func(kinds ...imap.FetchKind) (items []imap.FetchItem) {
		for _, k := range kinds {
			items = append(items, imap.FetchItem{Kind: k})
		}
		return items
	}
	body := func(s imap.Section) imap.FetchItem { return imap.FetchItem{Kind: imap.FetchBodySection, Section: s} }
	checkCommands(t, []commandTest{
		{"FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])", &imap.Fetch{Set: set(2, 4), Items: []imap.FetchItem{
			{Kind: imap.FetchFlags}, body(imap.Section{Text: imap.SectionHeaderFields, Fields: []string{"DATE", "FROM"}}),
		}}},
		{"fetch 12 full", &imap.Fetch{Set: set(12, 12), Items: kinds(imap.FetchFlags, imap.FetchInternalDate,
			imap.FetchRFC822Size, imap.FetchEnvelope, imap.FetchBody)}},
		{"FETCH 4 ALL", &imap.Fetch{Set: set(4, 4), Items: kinds(imap.FetchFlags, imap.FetchInternalDate,
			imap.FetchRFC822Size, imap.FetchEnvelope)}},
		{"FETCH 4 FAST", &imap.Fetch{Set: set(4, 4), Items: kinds(imap.FetchFlags, imap.FetchInternalDate, imap.FetchRFC822Size)}},
		{"fetch 12 body[header]", &imap.Fetch{Set: set(12, 12), Items: []imap.FetchItem{body(imap.Section{Text: imap.SectionHeader})}}},
		{"UID FETCH 4827313:4828442 FLAGS", &imap.Fetch{UID: true, Set: set(4827313, 4828442), Items: kinds(imap.FetchFlags)}},
		{"FETCH 1:* (UID ENVELOPE BODY BODYSTRUCTURE MODSEQ EMAILID THREADID SAVEDATE RFC822 RFC822.TEXT)", &imap.Fetch{
			Set: set(1, 0), Items: kinds(imap.FetchUID, imap.FetchEnvelope, imap.FetchBody, imap.FetchBodyStructure, imap.FetchModSeq,
				imap.FetchEmailID, imap.FetchThreadID, imap.FetchSaveDate, imap.FetchRFC822, imap.FetchRFC822Text),
		}},
		{"FETCH $ RFC822.HEADER", &imap.Fetch{Set: saved, Items: []imap.FetchItem{{Kind: imap.FetchRFC822Header, Peek: true}}}},
		{"FETCH 1:4 (ENVELOPE PREVIEW (LAZY) PREVIEW)", &imap.Fetch{Set: set(1, 4),
			Items: kinds(imap.FetchEnvelope, imap.FetchPreviewLazy, imap.FetchPreview)}},
		{"FETCH 1 PREVIEW (LAZY)", &imap.Fetch{Set: set(1, 1), Items: kinds(imap.FetchPreviewLazy)}},
		{"UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345 VANISHED)", &imap.Fetch{UID: true, Set: set(1, 0),
			Items: kinds(imap.FetchFlags), ChangedSince: modSeq(12345), Vanished: true}},
		{"FETCH 1 (BODY[] BODY.PEEK[]<0.2048> BODY[4.2.2.1] BODY[4.1.MIME] BODY[3.TEXT] BODY[1.HEADER.FIELDS.NOT (\"X\" {1}\r\nY)])",
			&imap.Fetch{Set: set(1, 1), Items: []imap.FetchItem{
				body(imap.Section{}),
				{Kind: imap.FetchBodySection, Peek: true, Partial: &imap.Partial{Length: 2048}},
				body(imap.Section{Part: []uint32{4, 2, 2, 1}}),
				body(imap.Section{Part: []uint32{4, 1}, Text: imap.SectionMIME}),
				body(imap.Section{Part: []uint32{3}, Text: imap.SectionBody}),
				body(imap.Section{Part: []uint32{1}, Text: imap.SectionHeaderFieldsNot, Fields: []string{"X", "Y"}}),
			}}},
		{`FETCH 1 BODY[HEADER.FIELDS ("a:b" "" "x y")]`, &imap.Fetch{Set: set(1, 1), Items: []imap.FetchItem{
			body(imap.Section{Text: imap.SectionHeaderFields, Fields: []string{"a:b", "", "x y"}}),
		}}},
		{"FETCH 1 (BINARY[1.2]<5.6> BINARY.PEEK[] BINARY.SIZE[3])", &imap.Fetch{Set: set(1, 1), Items: []imap.FetchItem{
			{Kind: imap.FetchBinary, Section: imap.Section{Part: []uint32{1, 2}}, Partial: &imap.Partial{Offset: 5, Length: 6}},
			{Kind: imap.FetchBinary, Peek: true},
			{Kind: imap.FetchBinarySize, Section: imap.Section{Part: []uint32{3}}},
		}}},
	})
	checkBad(t, []string{
		"FETCH 1", "FETCH 1 ", "FETCH 1 ()", "FETCH 1 (ALL)", "FETCH 1 FOO", "FETCH 1 (FLAGS", "FETCH 1 (FLAGS )", "FETCH 1 FLAGS UID", "FETCH 1 BODY.PEEK",
		"FETCH 1 BODY[", "FETCH 1 BODY[0]", "FETCH 1 BODY[1.]", "FETCH 1 BODY[1TEXT]", "FETCH 1 BODY[MIME]", "FETCH 1 BODY[FOO]", "FETCH 1 BODY[1..2]",
		"FETCH 1 BODY[HEADER.FIELDS]", "FETCH 1 BODY[HEADER.FIELDS ()]", "FETCH 1 BODY[HEADER.FIELDS (\"\x01\")]", "FETCH 1 BODY[HEADER.FIELDS (\"é\")]",
		"FETCH 1 BODY[HEADER.FIELDS ({2}\r\n\r\n)]", "FETCH 1 BODY[]<0>", "FETCH 1 BODY[]<0.0>",
		"FETCH 1 BODY[]<9223372036854775808.1>", "FETCH 1 BODY[]<0.1",
		"FETCH 1 BINARY[TEXT]", "FETCH 1 BINARY[1.]", "FETCH 1 BINARY.SIZE[1]<0.1>", "FETCH 1 FLAGS[]", "FETCH 1 PREVIEW (FAST)",
		"FETCH 1 FLAGS (CHANGEDSINCE)", "FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)", "UID FETCH 1 FLAGS (VANISHED)", "FETCH 1 FLAGS (FOO)", "FETCH 0 FLAGS",
	})
}

// If this failed, searches would find the wrong messages.
func TestSearch(t *testing.T) {
	seen := func(not bool) imap.SearchKey { return imap.SearchFlag{Flag: imap.FlagSeen, Not: not} }
	flagged := imap.SearchFlag{Flag: imap.FlagFlagged}
	since := imap.SearchDate{Op: imap.DateSince, Day: imap.Date{Year: 1994, Month: time.February, Day: 1}}
	search := func(key imap.SearchKey) *imap.Search { return &imap.Search{Key: key} }
	checkCommands(t, []commandTest{
		{`SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"`, search(imap.SearchAnd{
			flagged, since, imap.SearchNot{Key: imap.SearchAddress{Name: "FROM", Value: "Smith"}},
		})},
		{`SEARCH TEXT "string not in mailbox"`, search(imap.SearchText{Value: "string not in mailbox"})},
		{"SEARCH CHARSET UTF-8 TEXT {12}\r\nотпуск", &imap.Search{Charset: "UTF-8", Key: imap.SearchText{Value: "отпуск"}}},
		{"SEARCH CHARSET UTF-8 (OR $ 1,3000:3021) TEXT {8+}\r\nмать", &imap.Search{Charset: "UTF-8", Key: imap.SearchAnd{
			imap.SearchOr{A: imap.SearchSeq{Set: saved}, B: imap.SearchSeq{Set: set(1, 1, 3000, 3021)}}, imap.SearchText{Value: "мать"},
		}}},
		{"SEARCH RETURN (MIN COUNT) FLAGGED", &imap.Search{Return: &imap.SearchReturn{Min: true, Count: true}, Key: flagged}},
		{"SEARCH RETURN () FLAGGED", &imap.Search{Return: &imap.SearchReturn{All: true}, Key: flagged}},
		{"SEARCH RETURN (SAVE) CHARSET utf-8 FLAGGED", &imap.Search{Return: &imap.SearchReturn{Save: true}, Charset: "UTF-8", Key: flagged}},
		{"UID SEARCH RETURN (MIN MAX ALL) 1:5000", &imap.Search{UID: true,
			Return: &imap.SearchReturn{Min: true, Max: true, All: true}, Key: imap.SearchSeq{Set: set(1, 5000)}}},
		{"UID SEARCH UID $ SMALLER 4096", &imap.Search{UID: true, Key: imap.SearchAnd{
			imap.SearchUID{Set: saved}, imap.SearchSize{N: 4096},
		}}},
		{`SEARCH MODSEQ "/flags/\\draft" all 620162338`, search(imap.SearchModSeq{ModSeq: 620162338})},
		{"SEARCH OR NOT MODSEQ 720162338 LARGER 50000", search(imap.SearchOr{
			A: imap.SearchNot{Key: imap.SearchModSeq{ModSeq: 720162338}}, B: imap.SearchSize{Larger: true, N: 50000},
		})},
		{"SEARCH UNSEEN YOUNGER 259200", search(imap.SearchAnd{seen(true), imap.SearchWithin{Interval: 72 * time.Hour}})},
		{"SEARCH OLDER 4294967295", search(imap.SearchWithin{Older: true, Interval: 4294967295 * time.Second})},
		{`SEARCH SAVEDON "28-Dec-2014"`, search(imap.SearchDate{
			Field: imap.DateSaved, Op: imap.DateOn, Day: imap.Date{Year: 2014, Month: time.December, Day: 28}})},
		{"SEARCH SENTBEFORE 01-jan-2000", search(imap.SearchDate{
			Field: imap.DateSent, Op: imap.DateBefore, Day: imap.Date{Year: 2000, Month: time.January, Day: 1}})},
		{"search emailid M6d99ac3275bb4e", search(imap.SearchEmailID{ID: "M6d99ac3275bb4e"})},
		{"search threadid T64b478a75b7ea9", search(imap.SearchThreadID{ID: "T64b478a75b7ea9"})},
		{"search from maria@example.com", search(imap.SearchAddress{Name: "FROM", Value: "maria@example.com"})},
		{`SEARCH HEADER X-Foo ""`, search(imap.SearchHeader{Name: "X-Foo"})},
		{"SEARCH KEYWORD $Junk UNKEYWORD x", search(imap.SearchAnd{imap.SearchFlag{Flag: "$Junk"}, imap.SearchFlag{Flag: "x", Not: true}})},
		{"SEARCH NEW", search(imap.SearchAnd{imap.SearchFlag{Flag: imap.FlagRecent}, seen(true)})},
		{"SEARCH ALL", search(imap.SearchAnd{})},
		{"SEARCH (((SEEN)))", search(seen(false))},
		{`SEARCH BODY "ü"`, search(imap.SearchBody{Value: "ü"})},
		{"SEARCH SAVEDATESUPPORTED *", search(imap.SearchAnd{imap.SearchSaveDateSupported{}, imap.SearchSeq{Set: set(0, 0)}})},
	})
	checkBad(t, []string{
		"SEARCH", "SEARCH ", "SEARCH FOO", "SEARCH ()", "SEARCH (SEEN", "SEARCH SEEN)", "SEARCH NOT", "SEARCH OR SEEN", "SEARCH SEEN  UNSEEN",
		"SEARCH RETURN SEEN", "SEARCH RETURN (FOO) SEEN", "SEARCH RETURN (ALL)", "SEARCH CHARSET UTF-8", "SEARCH ON 31-Feb-2000", "SEARCH ON 1-Foo-2000",
		"SEARCH ON 1-Feb-20", `SEARCH ON "1-Feb-2000`, "SEARCH ON 001-Feb-2000", "SEARCH LARGER -1", "SEARCH LARGER 9223372036854775808", "SEARCH OLDER 0",
		"SEARCH TEXT {1}\r\n\xff", "SEARCH TEXT \"\xff\"", `SEARCH KEYWORD "x"`, "SEARCH UID",
		`SEARCH MODSEQ "/other" all 1`, `SEARCH MODSEQ "/flags/x" me 1`,
		"SEARCH EMAILID a.b", "SEARCH EMAILID " + strings.Repeat("a", 256), "SEARCH HEADER a",
	})
}

// If this failed, a server could not offer more charsets, or would search for garbage
// in one that it does not know.
func TestSearchCharset(t *testing.T) {
	read := func(charset string) (imap.Command, error) {
		d := newDecoder("A1 SEARCH CHARSET " + charset + " TEXT {4+}\r\nabcd\r\nz NOOP\r\n")
		d.Charsets = func(name string) (func([]byte) (string, error), bool) {
			return func(b []byte) (string, error) { return "[" + string(b) + "]", nil }, name == "KOI8-R"
		}
		_, cmd, err := d.ReadCommand()
		wantInStep(t, charset, d)
		return cmd, err
	}
	cmd, err := read(`"koi8-r"`)
	if want := (&imap.Search{Charset: "KOI8-R", Key: imap.SearchText{Value: "[abcd]"}}); err != nil || !reflect.DeepEqual(cmd, want) {
		t.Errorf("known: got %#v, %v", cmd, err)
	}
	_, err = read("X-OTHER")
	se, ok := err.(*imapwire.SyntaxError)
	if !ok || se.Kind != imapwire.KindCharset {
		t.Fatalf("unknown: %v", err)
	}
	if got, want := string(se.AppendAnswer(nil)), "A1 NO [BADCHARSET (US-ASCII UTF-8)] charset is not known\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
