package clienttest

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tidemark/internal/transcript"
)

// stranger is the address of the i-th of many attackers, far from 127.0.0.1.
func stranger(i int) net.IP { return net.IPv4(127, 100, byte(i/250), byte(1+i%250)) }

// dialFrom connects to the server from another address.
func dialFrom(ctx context.Context, from net.IP, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: patience}
	return d.DialContext(ctx, "tcp", addr)
}

// flood opens total connections from many addresses that say nothing, or begin a TLS
// handshake and stop, and holds the last of them. Now and then it waits for a greeting: of
// connections that the system has piled up while the server did not run, more can be taken
// at one go than may be there without a login, and those who log in go with the oldest.
func (s *server) flood(total, hold int) []net.Conn {
	s.t.Helper()
	hello := []byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00} // the start of a ClientHello
	greeting := make([]byte, 1)
	open := make([]net.Conn, 0, hold)
	for i := range total {
		addr := s.starttls
		if i%2 == 0 {
			addr = s.imaps
		}
		nc, err := dialFrom(s.t.Context(), stranger(i/15), addr)
		if err != nil {
			s.t.Fatalf("connection %d: %v", i, err)
		}
		if i%4 == 0 {
			_, _ = nc.Write(hello) // the server may have hung up already
		}
		if i%50 == 49 { // which is not one of TLS
			_ = nc.SetReadDeadline(time.Now().Add(patience)) // cannot fail before it is closed
			if _, err := nc.Read(greeting); err != nil {
				s.t.Fatalf("greeting of connection %d: %v", i, err)
			}
		}
		if len(open) == hold {
			open[0].Close()
			open = open[1:]
		}
		open = append(open, nc)
	}
	return open
}

// descriptors is how many files this process may have open.
func descriptors(t *testing.T) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return int(min(limit.Cur, math.MaxInt32)) // it may be said to have no end
}

// memory is what the server's process has in memory, in octets.
func (s *server) memory() int64 {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return kib << 10
}

// If this fails, a few attackers with many idle connections make the server deaf for those
// who have a password, or fill its memory.
func TestFlood(t *testing.T) {
	s := startServer(t, "alice")
	session, err := s.login("alice")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	before := s.memory()

	var done atomic.Bool
	var logins, noops int
	var others sync.WaitGroup
	others.Go(func() {
		for ; !done.Load(); logins++ {
			c, err := s.login("alice")
			if err != nil {
				t.Errorf("login while connections came in: %v", err)
				return
			}
			c.Close()
		}
	})
	others.Go(func() {
		for ; !done.Load(); noops++ {
			if _, r, err := session.Command("NOOP"); err != nil || r.Status != "OK" {
				t.Errorf("NOOP: %q, %v", r.Raw, err)
				return
			}
		}
	})
	held := s.flood(10_000, min(3000, descriptors(t)/2))
	done.Store(true)
	others.Wait()
	defer func() {
		for _, nc := range held {
			nc.Close()
		}
	}()

	if grown := s.memory() - before; grown > 256<<20 {
		t.Errorf("the flood took %d MiB", grown>>20)
	}
	c, err := s.login("alice")
	if err != nil {
		t.Fatalf("login during the flood: %v", err)
	}
	c.Close()
	t.Logf("%d logins and %d NOOPs meanwhile; memory %d MiB more", logins, noops, (s.memory()-before)>>20)
}

// guess tries passwords for user from an address until ctx ends and returns how many.
func (s *server) guess(ctx context.Context, from net.IP, user string) (tries int) {
	for ctx.Err() == nil {
		nc, err := dialFrom(ctx, from, s.imaps)
		if err != nil {
			return tries
		}
		c := transcript.NewConn(nc, patience)
		stop := context.AfterFunc(ctx, func() { c.Close() })
		if c.StartTLS(ctx, s.target().TLSConfig) == nil {
			for err == nil {
				var done transcript.Response
				if _, done, err = c.Command(fmt.Sprintf("LOGIN %s guess-%d", user, tries)); err == nil {
					tries++
				}
				if done.Status == "OK" {
					s.t.Error("a guess was right")
				}
			}
		}
		stop()
		c.Close()
	}
	return tries
}

// If this fails, somebody who guesses passwords locks out the owner, gets more tries
// than promised, or goes unnoticed.
func TestGuessing(t *testing.T) {
	s := startServer(t, "alice")
	c, err := s.login("alice") // makes this network known
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	s.stop() // so that the password is no longer remembered
	s.start()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began := time.Now()
	var attack sync.WaitGroup
	tries := make([]int, 40) // each guesser is in a network of its own
	for i := range tries {
		attack.Go(func() { tries[i] = s.guess(ctx, stranger(250*i), "alice") })
	}
	s.log.Await(t, "passwords are being guessed")
	for range 2 { // the guessing goes on
		c, err := s.login("alice")
		if err != nil {
			t.Fatalf("the owner was locked out: %v", err)
		}
		c.Close()
	}
	if why := s.run("", "auth", "why", "127.0.0.1"); !strings.Contains(why, "no failed logins are held against it") {
		t.Errorf("the owner pays for the guessing:\n%s", why)
	}
	cancel()
	attack.Wait()
	most := mostTries(time.Since(began))
	for i, n := range tries {
		if n > most {
			t.Errorf("%v made %d tries, more than %d", stranger(250*i), n, most)
		}
	}
	t.Logf("%v", tries)
}

// mostTries is how many passwords an address can try in a time: three at once, and then each
// after a delay that doubles up to 15 s. What it shares with the others who try the same user
// only makes them fewer.
func mostTries(d time.Duration) int {
	tries := 3
	for delay, end := time.Second, time.Second; end <= d; end += delay {
		tries++
		delay = min(2*delay, 15*time.Second)
	}
	return tries
}

// If this fails, the answer to a login, or how long it takes, tells strangers who has
// an account.
func TestRefusedLoginsAreAlike(t *testing.T) {
	s := startServerWith(t, []string{"auth.trusted_networks=127.0.0.0/8"}, "alice", "disabled")
	s.run("", "user", "disable", "disabled")
	kinds := []struct{ name, user, password string }{
		{"wrong password", "alice", "wrong-password"},
		{"unknown user", "nobody", "wrong-password"},
		{"disabled user", "disabled", s.password},
		{"disabled user, wrong password", "disabled", "wrong-password"},
	}
	for _, mechanism := range []string{"LOGIN", "PLAIN"} {
		t.Run(mechanism, func(t *testing.T) {
			times, texts := map[string][]time.Duration{}, map[string]bool{}
			for round := 0; round < 15 || round < 200 && !alike(times); round++ {
				for _, k := range kinds {
					took, answer := s.refusedLogin(mechanism, k.user, k.password)
					times[k.name] = append(times[k.name], took)
					texts[answer] = true
				}
			}
			if len(texts) != 1 {
				t.Errorf("different answers: %v", texts)
			}
			if !alike(times) {
				t.Errorf("the shortest times differ: %v", shortest(times))
			}
		})
	}
}

// refusedLogin returns how long a login took and what was answered.
func (s *server) refusedLogin(mechanism, user, password string) (time.Duration, string) {
	s.t.Helper()
	c, err := transcript.Dial(s.t.Context(), s.target(), false, patience)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(); err != nil {
		s.t.Fatal(err)
	}
	command := fmt.Sprintf("LOGIN %s %s", user, password)
	if mechanism != "LOGIN" {
		command = "AUTHENTICATE PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password))
	}
	began := time.Now()
	_, done, err := c.Command(command)
	if err != nil || done.Status != "NO" {
		s.t.Fatalf("%s of %s: %q, %v", mechanism, user, done.Raw, err)
	}
	return time.Since(began), done.Raw
}

// alike says whether the shortest times are within 25 % or 10 ms of each other. What else
// the machine does can only lengthen a login, so that the shortest of several shows best
// what the login itself took, and that of more of them better.
func alike(times map[string][]time.Duration) bool {
	all := slices.Collect(maps.Values(shortest(times)))
	least, most := slices.Min(all), slices.Max(all)
	return most-least <= max(least/4, 10*time.Millisecond)
}

func shortest(times map[string][]time.Duration) map[string]time.Duration {
	all := map[string]time.Duration{}
	for name, list := range times {
		all[name] = slices.Min(list)
	}
	return all
}
