package imapserver

import (
	"time"

	"tidemark/imapwire"
)

// Limits bound what clients may cost. A zero field means its default, which is
// given with each; Limits without a sign for "none" is on purpose, since every
// limit here guards against somebody.
type Limits struct {
	// HandshakeTime is how long a TLS handshake may take. 10 s.
	HandshakeTime time.Duration
	// LoginTime is the time from the greeting to the login, in all. 60 s.
	LoginTime time.Duration
	// LoginCommands is how many commands a client may send before it has logged in. 100.
	LoginCommands int
	// LoginBytes is how many octets a client may send before it has logged in. 256 KiB.
	LoginBytes int64
	// LoginFailures ends a connection with BYE. 10.
	LoginFailures int

	// Connections is the number of all connections. When it is reached the oldest that
	// has not logged in is closed for a new one; where all have, the new one is refused.
	// 1,000,000.
	Connections int
	// Strangers is the number of connections that have not logged in. When it is
	// reached the oldest of them is closed for a new one. 2,000.
	Strangers int
	// StrangersPerAddress is the same for one address, or one /64 of IPv6; further
	// connections are refused: with BYE, or without a word where TLS would come first. 20.
	StrangersPerAddress int

	// SessionsPerUser refuses further logins of one user with [LIMIT]. 100.
	SessionsPerUser int
	// SessionsPerUserAddress is the same for one user from one address. 50.
	SessionsPerUserAddress int
	// HeavyPerUser is how many commands of one user that may take long, such as searches,
	// run at a time; others wait. 2.
	HeavyPerUser int
	// SearchTime ends a search that takes longer with [LIMIT]. 60 s.
	SearchTime time.Duration

	// Inactivity is the autologout timer of a client that has logged in, in IDLE
	// too. RFC 9051 §5.4 asks for at least 30 minutes. Its end may come late by a 32nd.
	// 30 min.
	Inactivity time.Duration
	// ReadStall and WriteStall are the longest time without an octet of progress in
	// the middle of a command and of an answer. The end may come late by a 32nd. 5 min.
	ReadStall, WriteStall time.Duration
	// BadCommands is how many malformed commands in a row end a session, and
	// StrangerBadCommands a connection that has not logged in. 100 and 10.
	BadCommands, StrangerBadCommands int

	// CommandRate is how many commands a session may send in a second; further ones wait
	// for the next. 50,000, which no mail program comes near.
	CommandRate int

	// ShutdownGrace is how long running commands may go on after Shutdown was
	// called. Then they are cancelled. 5 s.
	ShutdownGrace time.Duration

	// BeforeLogin and AfterLogin bound lines and literals.
	BeforeLogin, AfterLogin imapwire.Limits
}

// withDefaults returns l with its zero fields replaced.
func (l Limits) withDefaults() Limits {
	setDefault(&l.HandshakeTime, 10*time.Second)
	setDefault(&l.LoginTime, 60*time.Second)
	setDefault(&l.LoginCommands, 100)
	setDefault(&l.LoginBytes, 256<<10)
	setDefault(&l.LoginFailures, 10)
	setDefault(&l.Connections, 1_000_000)
	setDefault(&l.Strangers, 2000)
	setDefault(&l.StrangersPerAddress, 20)
	setDefault(&l.SessionsPerUser, 100)
	setDefault(&l.SessionsPerUserAddress, 50)
	setDefault(&l.HeavyPerUser, 2)
	setDefault(&l.SearchTime, 60*time.Second)
	setDefault(&l.Inactivity, 30*time.Minute)
	setDefault(&l.ReadStall, 5*time.Minute)
	setDefault(&l.WriteStall, 5*time.Minute)
	setDefault(&l.BadCommands, 100)
	setDefault(&l.StrangerBadCommands, 10)
	setDefault(&l.CommandRate, 50_000)
	setDefault(&l.ShutdownGrace, 5*time.Second)
	setDefault(&l.BeforeLogin, imapwire.LimitsBeforeLogin())
	setDefault(&l.AfterLogin, imapwire.LimitsAfterLogin())
	return l
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
