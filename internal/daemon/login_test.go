package daemon

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"tidemark/internal/admin"
	"tidemark/internal/config"
)

// administer is the administration of a server that runs.
func administer(t *testing.T, c *config.Config) *admin.Client {
	t.Helper()
	client, err := admin.Dial(t.Context(), c.AdminSocket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// session is a client's connection.
type session struct {
	net.Conn
	t     *testing.T
	lines *bufio.Reader
}

func newSession(t *testing.T, conn net.Conn) *session {
	return &session{conn, t, bufio.NewReader(conn)}
}

// say sends a command and returns its tagged answer.
func (s *session) say(command string) string {
	s.t.Helper()
	if _, err := fmt.Fprintf(s, "a %s\r\n", command); err != nil {
		s.t.Fatal(err)
	}
	return s.await("a ")
}

// await returns the next line that begins so.
func (s *session) await(prefix string) string {
	s.t.Helper()
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			s.t.Fatalf("waiting for %q: %v", prefix, err)
		}
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
}

// If this fails, a user who is disabled reads on with the connection that is open.
func TestDisablingEndsSessions(t *testing.T) {
	c := testConfig(t)
	started, stop := start(t, c)
	operator, password := administer(t, c), rand.Text()
	if err := operator.AddUser(t.Context(), "ann", password); err != nil {
		t.Fatal(err)
	}
	s := newSession(t, dialTLS(t, started))
	if answer := s.say("LOGIN ann " + password); !strings.HasPrefix(answer, "a OK") {
		t.Fatal(answer)
	}
	if err := operator.SetDisabled(t.Context(), "ann", true); err != nil {
		t.Fatal(err)
	}
	s.await("* BYE Log in again")
	if answer := newSession(t, dialTLS(t, started)).say("LOGIN ann " + password); !strings.HasPrefix(answer, "a NO [AUTHENTICATIONFAILED]") {
		t.Error(answer)
	}
	operator.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// If this fails, an operator does not see who is slowed down because of failed logins,
// or cannot help.
func TestPenalties(t *testing.T) {
	c := testConfig(t)
	started, stop := start(t, c)
	operator := administer(t, c)
	if err := operator.AddUser(t.Context(), "ann", rand.Text()); err != nil {
		t.Fatal(err)
	}
	s := newSession(t, dialTLS(t, started))
	for range 3 {
		s.say("LOGIN ann " + rand.Text())
	}
	list, err := operator.Penalties(t.Context())
	if err != nil || len(list) != 1 || list[0].Network.String() != "127.0.0.1/32" || list[0].Delay != time.Second {
		t.Errorf("Penalties: %+v, %v", list, err)
	}
	why, err := operator.WhySlow(t.Context(), "ann")
	if err != nil || len(why.Penalties) != 1 || why.Penalties[0].Failures != 3 || why.Penalties[0].User != "ann" {
		t.Errorf("WhySlow(ann): %+v, %v", why, err)
	}
	if n, err := operator.Unban(t.Context(), "127.0.0.1"); n != 2 || err != nil { // the address and its network
		t.Errorf("Unban(127.0.0.1): %d, %v", n, err)
	}
	if n, err := operator.Unban(t.Context(), "ann"); n != 1 || err != nil {
		t.Errorf("Unban(ann): %d, %v", n, err)
	}
	why, err = operator.WhySlow(t.Context(), "127.0.0.1")
	if err != nil || len(why.Penalties) != 0 {
		t.Errorf("after Unban: %+v, %v", why, err)
	}
	operator.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// If this fails, a master user cannot help somebody, or anybody can act as another.
func TestMasterUsers(t *testing.T) {
	for network, want := range map[string]string{"127.0.0.0/8": "a OK", "192.0.2.0/24": "a NO [AUTHORIZATIONFAILED]"} {
		c := testConfig(t, "auth.master_networks="+network)
		started, stop := start(t, c)
		operator, password := administer(t, c), rand.Text()
		actAsAnn := func() string {
			plain := base64.StdEncoding.EncodeToString([]byte("ann\x00helper\x00" + password))
			return newSession(t, dialTLS(t, started)).say("AUTHENTICATE PLAIN " + plain)
		}
		for _, user := range []string{"ann", "helper"} {
			if err := operator.AddUser(t.Context(), user, password); err != nil {
				t.Fatal(err)
			}
		}
		if answer := actAsAnn(); !strings.HasPrefix(answer, "a NO [AUTHORIZATIONFAILED]") {
			t.Errorf("a user who is no master: %s", answer)
		}
		if err := operator.SetMaster(t.Context(), "helper", true); err != nil {
			t.Fatal(err)
		}
		if answer := actAsAnn(); !strings.HasPrefix(answer, want) {
			t.Errorf("a master from %s: %s", network, answer)
		}
		operator.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}
