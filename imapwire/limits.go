package imapwire

// Limits bounds what one command may cost. All sizes are octets on the wire.
type Limits struct {
	// Line is the longest command, not counting its literals. In APPEND it is counted
	// anew for each message.
	Line int
	// SASL is the longest line of an AUTHENTICATE exchange.
	SASL int
	// Literal is the largest literal that is not a message.
	Literal int64
	// Literals is how many literals, other than messages, one command may have.
	Literals int
	// LiteralTotal is the sum of the sizes of those literals.
	LiteralTotal int64
	// Discard is how much of one refused command is read and thrown away to come back
	// into step. Beyond it the connection has to be closed.
	Discard int64
	// SearchDepth is how deep parentheses, NOT and OR may nest in SEARCH, the only
	// command whose grammar recurses.
	SearchDepth int
	// SearchKeys is how many keys one SEARCH may have.
	SearchKeys int
}

// LimitsBeforeLogin are the limits for a client that nobody knows yet. A refused
// literal costs it the connection soon.
func LimitsBeforeLogin() Limits {
	return Limits{
		Line:         8 << 10,
		SASL:         12 << 10, // bearer tokens and Kerberos tickets
		Literal:      1 << 10,
		Literals:     16,
		LiteralTotal: 4 << 10,
		Discard:      64 << 10,
		SearchDepth:  10,
		SearchKeys:   100,
	}
}

// LimitsAfterLogin are the limits for a client that has logged in. Discard is above the
// usual message size: an APPEND with a non-synchronising literal to a mailbox that does
// not exist is common and should end in NO [TRYCREATE], not in a closed connection.
func LimitsAfterLogin() Limits {
	return Limits{
		Line:         64 << 10,
		SASL:         64 << 10,
		Literal:      100_000,
		Literals:     1000,
		LiteralTotal: 1 << 20,
		Discard:      64 << 20,
		SearchDepth:  100,
		SearchKeys:   10_000,
	}
}
