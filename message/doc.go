// Package message reads Internet mail (RFC 5322, MIME): where its parts lie, what
// an IMAP server tells of it, and the text in it. It takes messages as they come,
// broken or hostile, and never fails on one: it says what can be made of it.
// All of it runs in linear time and bounded memory; the limits stand in limits.go.
//
// A Scanner looks at a message once while its octets pass. What it finds are
// offsets into those octets, so that later questions (a section, a part without
// its transfer encoding, a search) read what they need and parse nothing again.
package message
