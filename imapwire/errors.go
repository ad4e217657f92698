package imapwire

import (
	"fmt"

	"tidemark/imap"
)

// ErrorKind says what sort of mistake a SyntaxError is about.
type ErrorKind uint8

// The kinds of SyntaxError.
const (
	KindSyntax    ErrorKind = iota // the command is not of the grammar's form
	KindUnknown                    // there is no command of that name
	KindHTTP                       // the line is the first of an HTTP request: close without an answer
	KindLimit                      // the command is beyond one of the Limits
	KindCharset                    // SEARCH named a charset that is not known
	KindCancelled                  // the client ended AUTHENTICATE with "*"
)

// SyntaxError is a client's mistake. The command has been thrown away and the Decoder
// is in step, unless Fatal is set. Its texts are fixed and never hold what the client
// sent.
type SyntaxError struct {
	Tag    string // empty where none could be read: the answer is untagged
	Kind   ErrorKind
	Status imap.StatusKind // BAD or NO, or BYE if Fatal
	Code   imap.Code       // may be empty
	Text   string
	Pos    int // octets of the command before the mistake, not counting literals

	// Save says, with KindCharset, that the SEARCH had the result option SAVE: its
	// failure empties the saved result (RFC 5182 §2.1).
	Save bool

	// Fatal says that more would have to be thrown away than Limits.Discard. The
	// connection must be closed after an untagged BYE.
	Fatal bool
}

// Error returns the kind of answer, its text and the position.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s %s (at octet %d)", e.Status, e.Text, e.Pos)
}

// AppendAnswer appends the response line that tells the client.
func (e *SyntaxError) AppendAnswer(b []byte) []byte {
	if e.Tag == "" || e.Fatal {
		return AppendUntagged(b, e.Status, e.Code, e.Text)
	}
	return AppendTagged(b, e.Tag, e.Status, e.Code, e.Text)
}
