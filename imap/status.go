package imap

import "fmt"

// StatusKind is the first word of a status answer (RFC 9051 §7.1).
type StatusKind string

// The kinds of status answer.
const (
	OK      StatusKind = "OK"
	NO      StatusKind = "NO"
	BAD     StatusKind = "BAD"
	BYE     StatusKind = "BYE"
	PREAUTH StatusKind = "PREAUTH"
)

// Code is what stands in the brackets of a response code. Codes with arguments are
// made by the functions of package imapwire that begin with Code.
type Code string

// Response codes without arguments (RFC 9051 §7.1, RFC 5530 §3, RFC 7162 §7,
// RFC 5182 §2.5).
const (
	CodeAlert                Code = "ALERT"
	CodeAlreadyExists        Code = "ALREADYEXISTS"
	CodeAuthenticationFailed Code = "AUTHENTICATIONFAILED"
	CodeAuthorizationFailed  Code = "AUTHORIZATIONFAILED"
	CodeCannot               Code = "CANNOT"
	CodeClientBug            Code = "CLIENTBUG"
	CodeClosed               Code = "CLOSED"
	CodeContactAdmin         Code = "CONTACTADMIN"
	CodeCorruption           Code = "CORRUPTION"
	CodeExpired              Code = "EXPIRED"
	CodeExpungeIssued        Code = "EXPUNGEISSUED"
	CodeHasChildren          Code = "HASCHILDREN"
	CodeInUse                Code = "INUSE"
	CodeLimit                Code = "LIMIT"
	CodeNonExistent          Code = "NONEXISTENT"
	CodeNoModSeq             Code = "NOMODSEQ"
	CodeNoPerm               Code = "NOPERM"
	CodeNotSaved             Code = "NOTSAVED"
	CodeOverQuota            Code = "OVERQUOTA"
	CodeParse                Code = "PARSE"
	CodePrivacyRequired      Code = "PRIVACYREQUIRED"
	CodeReadOnly             Code = "READ-ONLY"
	CodeReadWrite            Code = "READ-WRITE"
	CodeServerBug            Code = "SERVERBUG"
	CodeTooBig               Code = "TOOBIG"
	CodeTryCreate            Code = "TRYCREATE"
	CodeUIDNotSticky         Code = "UIDNOTSTICKY"
	CodeUnavailable          Code = "UNAVAILABLE"
	CodeUnknownCTE           Code = "UNKNOWN-CTE"
	CodeUseAttr              Code = "USEATTR"
)

// Error is a refusal that a client may see: the kind and code of the tagged
// answer and its text. Text is fixed by us and never holds a client's input.
//
// The ports of imapserver return an *Error (perhaps wrapped) for everything a
// client can cause; any other error is a fault of the server and is shown as
// NO [SERVERBUG] or NO [UNAVAILABLE] with an id from the log.
type Error struct {
	Kind StatusKind // NO or BAD
	Code Code       // may be empty
	Text string
}

// Error returns the answer as it would stand on the wire.
func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("%s %s", e.Kind, e.Text)
	}
	return fmt.Sprintf("%s [%s] %s", e.Kind, e.Code, e.Text)
}

// Refuse returns a NO with a code and text.
func Refuse(code Code, text string) *Error { return &Error{NO, code, text} }

// Bad returns a BAD with a text.
func Bad(text string) *Error { return &Error{BAD, "", text} }
