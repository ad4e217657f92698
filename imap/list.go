package imap

// List is LIST in its plain and extended forms (RFC 9051 §6.3.9, RFC 5258).
type List struct {
	Extended  bool // selection or return options or several patterns were given
	Reference string
	Patterns  []string

	// Selection options.
	Subscribed     bool
	Remote         bool
	RecursiveMatch bool
	SpecialUse     bool // RFC 6154 §5.2

	// Return options.
	ReturnSubscribed bool
	ReturnChildren   bool
	ReturnSpecialUse bool
	ReturnStatus     StatusItems // zero where not asked for; RFC 5819
}

// Name returns "LIST".
func (*List) Name() string { return "LIST" }

// Lsub is LSUB (RFC 3501 §6.3.9), which IMAP4rev2 no longer has.
type Lsub struct {
	Reference, Pattern string
}

// Name returns "LSUB".
func (*Lsub) Name() string { return "LSUB" }
