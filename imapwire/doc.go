// Package imapwire turns the octets of IMAP4rev1 (RFC 3501), IMAP4rev2 (RFC 9051) and
// the extensions that Tidemark speaks into the commands of package imap, and makes the
// octets of every response.
//
// Decoding has two layers. The framer cuts the input into lines and literals under
// explicit limits and knows nothing of commands. The Decoder parses a command out of
// them. Whatever goes wrong in a command, the rest of it is thrown away together with
// its literals, so that the next octet is the first of the next command (RFC 7888 §4).
//
// Encoding is a set of functions that append to a byte slice and are deterministic.
// None of them can be made to emit a CR, LF or NUL that belongs to its arguments,
// except as counted octets of a literal.
//
// The package does no I/O of its own beyond reading from the source that it is given,
// and knows neither sessions nor clocks nor storage.
package imapwire
