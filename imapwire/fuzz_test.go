package imapwire_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"tidemark/imap"
	"tidemark/imapwire"
)

var commandSeeds = []string{
	"NOOP", "LOGIN a \"b\\\"c\"", "FETCH 1:* (FLAGS BODY.PEEK[1.HEADER.FIELDS (A B)]<0.5> BINARY[1])",
	"UID STORE 1 (UNCHANGEDSINCE 5) +FLAGS.SILENT (\\Seen a)",
	"SEARCH RETURN (ALL SAVE) CHARSET UTF-8 OR (NOT SEEN FROM x) BEFORE 1-Feb-2000", "LIST (SUBSCRIBED) \"\" (a %) RETURN (STATUS (SIZE))",
	"SELECT x (QRESYNC (1 2 3:4 (1 2)) CONDSTORE)", "ID (\"a\" NIL)", "AUTHENTICATE PLAIN =", "APPEND x (\\Seen) \" 1-Feb-2000 00:00:00 +0000\"",
	"CREATE &AOk- (USE (\\Sent))", "UID EXPUNGE $", "FOO", "\x00", "\"", "(",
}

// FuzzCommand feeds any octets and wants no panic, progress with each call, and an end.
func FuzzCommand(f *testing.F) {
	for _, s := range commandSeeds {
		f.Add([]byte("A " + s + "\r\nB " + s + " {3+}\r\nabc\r\n"))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		src := bytes.NewReader(input)
		d := imapwire.NewDecoder(src, imapwire.LimitsAfterLogin(), func() error { return nil })
		for range len(input) + 1 {
			left := src.Len() + d.Buffered()
			_, cmd, err := d.ReadCommand()
			if _, ok := cmd.(*imap.Append); ok {
				err = readMessages(d)
			}
			se, ok := err.(*imapwire.SyntaxError)
			if err != nil && !ok || ok && se.Fatal {
				return
			}
			if src.Len()+d.Buffered() >= left {
				t.Fatalf("no progress in %q", input)
			}
		}
		t.Fatalf("no end of %q", input)
	})
}

func readMessages(d *imapwire.Decoder) error {
	for {
		item, more, err := d.NextAppend()
		if err != nil || !more {
			return err
		}
		if item.Size > 1<<20 {
			return d.DiscardAppend()
		}
		r, err := d.AcceptLiteral()
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return err
		}
	}
}

// FuzzResync makes a command of a line, a literal that may look like a command, and the
// rest of the line. However wrong it is, the next command must be read as the next
// command.
func FuzzResync(f *testing.F) {
	for _, s := range commandSeeds {
		f.Add(s, "\r\nB LOGOUT\r\n", " x")
		f.Add(s+" ", "x", "")
	}
	f.Fuzz(func(t *testing.T, head, literal, tail string) {
		if strings.Contains(head+tail, "\n") || strings.HasSuffix(strings.TrimRight(tail, "\r"), "}") || len(head+tail) > 4000 || len(literal) > 4000 {
			return
		}
		d := newDecoder("A " + head + "{" + itoa(len(literal)) + "+}\r\n" + literal + tail + "\r\nz NOOP\r\n")
		if _, cmd, err := d.ReadCommand(); err == nil {
			if _, ok := cmd.(*imap.Append); ok {
				_ = readMessages(d) // whatever comes of it, the next command counts
			}
		}
		wantInStep(t, head, d)
	})
}

// FuzzNumSet wants that a set means the same when it has been written and read again.
func FuzzNumSet(f *testing.F) {
	for _, s := range []string{"1", "1:*", "*:4,5:7", "4294967295", "1,1,2:1,9:8", "1:4294967295,5"} {
		f.Add(s)
	}
	read := func(s string) (imap.NumSet, bool) {
		_, cmd, err := newDecoder("A UID EXPUNGE " + s + "\r\n").ReadCommand()
		if err != nil {
			return nil, false
		}
		return cmd.(*imap.UIDExpunge).UIDs.Nums, true
	}
	f.Fuzz(func(t *testing.T, s string) {
		set, ok := read(s)
		if !ok || set == nil {
			return
		}
		if again, ok := read(set.String()); !ok || again.String() != set.String() {
			t.Errorf("%q is written as %q and read as %q", s, set, again)
		}
		normal := set.Resolve(100)
		if again, ok := read(normal.String()); !ok || again.Resolve(100).String() != normal.String() || again.Count() != normal.Count() {
			t.Errorf("%q resolves to %q and is read as %q", s, normal, again)
		}
	})
}
