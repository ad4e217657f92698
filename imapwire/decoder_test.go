package imapwire_test

import (
	"io"
	"reflect"
	"strings"
	"testing"

	"tidemark/imap"
	"tidemark/imapwire"
)

// newDecoder returns a Decoder that reads input and is allowed what a client may after
// login.
func newDecoder(input string) *imapwire.Decoder {
	return imapwire.NewDecoder(strings.NewReader(input), imapwire.LimitsAfterLogin(), func() error { return nil })
}

// If this failed, commands would reach the server as something that the client did not
// write.
func TestReadCommand(t *testing.T) {
	seq := func(r ...imap.Range) imap.SetRef { return imap.SetRef{Nums: imap.NumSet(r)} }
	for _, test := range []struct {
		line string
		want imap.Command
	}{
		{"NOOP", imap.Noop},
		{"uid fetch 1:* flags", &imap.Fetch{UID: true, Set: seq(imap.Range{Start: 1, Stop: imap.Star}), Items: []imap.FetchItem{{Kind: imap.FetchFlags}}}},
	} {
		d := newDecoder("a1 " + test.line + "\r\nz NOOP\r\n")
		tag, cmd, err := d.ReadCommand()
		if err != nil || tag != "a1" || !reflect.DeepEqual(cmd, test.want) {
			t.Errorf("%s: got %q %#v, %v", test.line, tag, cmd, err)
		}
		if tag, _, err := d.ReadCommand(); tag != "z" || err != nil {
			t.Errorf("%s: out of step: %q, %v", test.line, tag, err)
		}
		if _, _, err := d.ReadCommand(); err != io.EOF {
			t.Errorf("%s: at the end: %v", test.line, err)
		}
	}
}
