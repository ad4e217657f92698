package simtest

import (
	"crypto/tls"
	"flag"
	"fmt"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"tidemark/internal/transcript"
)

var (
	otherTLS      = flag.String("simtest.tls", "", "run against the server at this address with implicit TLS; it takes any user")
	otherPassword = flag.String("simtest.password", "", "the password of all its users")
)

// other is a server that is not ours, to see whether it is the model that is
// wrong. It is never restarted.
type other struct{}

func (other) Restart() {}
func (other) Crash()   {}
func (other) Check()   {}
func (other) Target() transcript.Target {
	return transcript.Target{
		Addr:      *otherTLS,
		TLSConfig: &tls.Config{InsecureSkipVerify: true},
		Login:     func(user string) (string, string) { return user, *otherPassword },
	}
}

// If this fails some sequence of commands shows a client a mailbox that is not
// there: a message lost, doubled or under a wrong number, or a flag not told.
func TestModel(t *testing.T) {
	setDefault(t, "rapid.checks", "400")
	setDefault(t, "rapid.steps", "50")
	rapid.Check(t, func(rt *rapid.T) {
		srv, users := subject(t, rt)
		s := newSim(rt, srv, users)
		if own, ok := srv.(*Server); ok {
			s.early = own.options.EarlyFlags
		}
		defer s.close()
		rt.Repeat(s.actions())
		s.t = rt
		s.verifyAll()
		srv.Check()
	})
}

// setDefault sets a flag of rapid that the command line does not.
func setDefault(t *testing.T, name, value string) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return
	}
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
}

var userNumber atomic.Int64

// subject returns a fresh server with two users, or two fresh users of the
// server that the flags name.
func subject(t *testing.T, rt *rapid.T) (server, [2]string) {
	if *otherTLS != "" {
		n := userNumber.Add(1)
		return other{}, [2]string{fmt.Sprintf("alice%d", n), fmt.Sprintf("bob%d", n)}
	}
	srv := prepare(t.Output(), rt, rapid.Uint64().Draw(rt, "seed"))
	srv.options.EarlyFlags = rapid.Bool().Draw(rt, "early flags")
	srv.start()
	rt.Cleanup(srv.stop)
	users := [2]string{"alice", "bob"}
	for _, u := range users {
		srv.AddUser(u)
	}
	return srv, users
}
