package auth

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// wrong makes n tries with ever new wrong passwords, and returns the delay before
// the last.
func (h *house) wrong(t *testing.T, n int, addr, user string) time.Duration {
	t.Helper()
	for i := range n {
		h.slept = 0
		if got := h.try(t, addr, user, fmt.Sprint(addr, user, h.now(), i)); got != "failed" {
			t.Fatalf("try %d: %s", i, got)
		}
	}
	return h.slept
}

// If it fails, guessing costs nothing, or costs more than it should.
func TestDelays(t *testing.T) {
	h, _ := newHouse(t, nil)
	for i, want := range []time.Duration{0, 0, 0, 1, 2, 4, 8, 15, 15, 15} {
		if got := h.wrong(t, 1, "192.0.2.1", fmt.Sprintf("user%d", i)); got != want*time.Second {
			t.Errorf("try %d: %v, want %v", i+1, got, want*time.Second)
		}
	}
	if got := h.wrong(t, 1, "192.0.2.9", "x"); got != 0 {
		t.Errorf("neighbour: %v", got)
	}
	if got := h.wrong(t, 3, "192.0.2.9", "y"); got == 0 {
		t.Error("the network is not slowed down")
	}
	if got := h.wrong(t, 1, "192.0.3.1", "x"); got != 0 {
		t.Errorf("another network: %v", got)
	}
	why := h.Guard().Why(netip.MustParseAddr("192.0.2.1"))
	if len(why) != 2 || why[0].Failures != 10 || why[0].Delay != maxDelay || why[1].Network.String() != "192.0.2.0/24" {
		t.Errorf("why: %+v", why)
	}
	if list := h.Guard().Penalties(); len(list) < 2 || list[0].Delay != maxDelay {
		t.Errorf("penalties: %+v", list)
	}

	h.advance(8 * forgiveEvery)
	if got := h.wrong(t, 1, "192.0.2.1", "z"); got != 0 {
		t.Errorf("not forgiven: %v", got)
	}
	h.wrong(t, 5, "192.0.2.1", "z")
	if n := h.Guard().Unban(netip.MustParsePrefix("192.0.2.0/24")); n != 3 {
		t.Errorf("%d penalties lifted", n)
	}
	if got := h.wrong(t, 1, "192.0.2.1", "a"); got != 0 {
		t.Errorf("after Unban: %v", got)
	}
}

// If it fails, an operator cannot find out, or end, what slows down a user's logins.
func TestWhyUser(t *testing.T) {
	h, passwords := newHouse(t, nil)
	if got := h.try(t, "198.51.100.1", "alice", passwords["alice"]); got != "ok" {
		t.Fatal(got)
	}
	h.wrong(t, 4, "198.51.100.1", "alice")
	for i := range 11 {
		h.wrong(t, 1, fmt.Sprintf("192.0.%d.1", i), "alice")
	}
	why := h.Guard().WhyUser("alice")
	if len(why) != 2 || why[0].Failures != 11 || why[0].Network.IsValid() || why[0].Delay == 0 ||
		why[1].Failures != 4 || why[1].Network.String() != "198.51.100.1/32" || why[1].User != "alice" || why[1].Delay == 0 {
		t.Errorf("why: %+v", why)
	}
	if n := h.Guard().UnbanUser("alice"); n != 2 {
		t.Errorf("%d penalties lifted", n)
	}
	if why := h.Guard().WhyUser("alice"); len(why) != 0 {
		t.Errorf("after UnbanUser: %+v", why)
	}
	if got := h.wrong(t, 1, "198.51.100.1", "alice"); got != 0 {
		t.Errorf("after UnbanUser: %v", got)
	}
}

// If it fails, IPv6 gives attackers as many addresses as they like.
func TestDelaysIPv6(t *testing.T) {
	h, _ := newHouse(t, nil)
	for i := range 4 {
		h.wrong(t, 1, fmt.Sprintf("2001:db8:0:1::%x", i), fmt.Sprint("user", i))
	}
	if got := h.wrong(t, 1, "2001:db8:0:1::ffff", "x"); got == 0 {
		t.Error("the /64 is not one address")
	}
	for i := range 12 {
		h.wrong(t, 1, fmt.Sprintf("2001:db8:0:%x::1", i+2), fmt.Sprint("user", i))
	}
	if got := h.wrong(t, 1, "2001:db8:0:ffff::1", "x"); got == 0 {
		t.Error("the /48 is not one network")
	}
}

// If it fails, strangers can lock a user out, or an office is shut because of one
// of its phones.
func TestOwnerIsNotLockedOut(t *testing.T) {
	h, passwords := newHouse(t, nil)
	if got := h.try(t, "192.0.2.1", "alice", passwords["alice"]); got != "ok" {
		t.Fatal(got)
	}
	h.advance(cacheTime)
	for i := range 30 { // from all over the world
		h.wrong(t, 1, fmt.Sprintf("198.51.%d.1", i), "alice")
	}
	if got := h.wrong(t, 1, "203.0.113.1", "alice"); got != maxDelay {
		t.Errorf("strangers are held up %v", got)
	}
	h.wrong(t, 20, "192.0.2.7", "someone") // from within the same office
	h.slept = 0
	if got := h.try(t, "192.0.2.1", "alice", passwords["alice"]); got != "ok" || h.slept != 0 {
		t.Errorf("the owner: %s after %v", got, h.slept)
	}

	// The server may have been started anew.
	h.opts.Guard = NewGuard(nil, h.now)
	h.advance(cacheTime)
	h.wrong(t, perMinuteAddress, "192.0.2.1", "someone")
	h.slept = 0
	if got := h.try(t, "192.0.2.1", "alice", passwords["alice"]); got != "ok" || h.slept != 0 {
		t.Errorf("the owner after a restart: %s after %v", got, h.slept)
	}

	// Being at home does not help who guesses there.
	if got := h.wrong(t, 5, "192.0.2.66", "alice"); got == 0 {
		t.Error("guessing from the user's own network is free")
	}
}

// If it fails, a neighbour in the owner's own network can lock the owner out.
func TestBugNeighbourLocksOwnerOut(t *testing.T) {
	h, passwords := newHouse(t, nil)
	if got := h.try(t, "192.0.2.1", "alice", passwords["alice"]); got != "ok" {
		t.Fatal(got)
	}
	h.opts.Guard = NewGuard(nil, h.now) // the server is started anew
	h.advance(cacheTime)
	for i := range perMinuteAddress + 10 {
		h.wrong(t, 1, fmt.Sprintf("192.0.2.%d", 10+i), "alice")
	}
	h.slept = 0
	if got := h.try(t, "192.0.2.1", "alice", passwords["alice"]); got != "ok" || h.slept != 0 {
		t.Errorf("the owner: %s after %v", got, h.slept)
	}
	h.wrong(t, 5, "192.0.2.77", "alice")
	neighbour := netip.MustParseAddr("192.0.2.77")
	if why := h.Guard().Why(neighbour); len(why) != 1 || why[0].User != "alice" || why[0].Delay == 0 {
		t.Errorf("why: %+v", why)
	}
	if list := h.Guard().Penalties(); len(list) != 1 || list[0].Network.Addr() != neighbour {
		t.Errorf("penalties: %+v", list)
	}
	if n := h.Guard().Unban(netip.MustParsePrefix("192.0.2.77/32")); n != 1 {
		t.Errorf("%d penalties lifted", n)
	}
}

// If it fails, a phone with an old password gets its whole house into trouble.
func TestStaleDeviceCountsOnce(t *testing.T) {
	h, passwords := newHouse(t, nil)
	for range 30 {
		if got := h.try(t, "192.0.2.1", "alice", "the old password"); got != "failed" || h.slept != 0 {
			t.Fatalf("%s after %v", got, h.slept)
		}
	}
	if why := h.Guard().Why(netip.MustParseAddr("192.0.2.1")); why[0].Failures != 1 {
		t.Errorf("%+v", why)
	}
	if got := h.try(t, "192.0.2.1", "bob", passwords["bob"]); got != "ok" || h.slept != 0 {
		t.Errorf("neighbour: %s after %v", got, h.slept)
	}
}

// If it fails, an address can try more than 60 passwords a minute.
func TestTriesPerMinute(t *testing.T) {
	h, passwords := newHouse(t, nil)
	h.wrong(t, perMinuteAddress, "192.0.2.1", "alice")
	before := h.hasher.count.Load()
	for range 100 {
		if got := h.try(t, "192.0.2.1", "alice", passwords["alice"]); got != "too many" {
			t.Fatal(got)
		}
	}
	if n := h.hasher.count.Load() - before; n != 0 {
		t.Errorf("%d passwords checked", n)
	}
	if got := h.try(t, "198.51.100.1", "alice", passwords["alice"]); got != "ok" {
		t.Errorf("from elsewhere: %s", got)
	}
	h.advance(time.Minute)
	if got := h.try(t, "192.0.2.1", "alice", passwords["alice"]); got != "ok" {
		t.Errorf("a minute later: %s", got)
	}
	for i := range 200 { // right ones are not tries
		h.advance(cacheTime / 100)
		if got := h.try(t, "192.0.2.1", "alice", passwords["alice"]); got != "ok" {
			t.Fatalf("login %d: %s", i, got)
		}
	}
}

// If it fails, webmail stops because of its users.
func TestTrustedNetworks(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	var h *house
	h, _ = newHouse(t, func(o *Options) { o.Guard = NewGuard(trusted, o.Now) })
	for i := range 100 {
		if got := h.wrong(t, 1, "10.1.2.3", fmt.Sprint("user", i)); got != 0 {
			t.Fatalf("held up %v", got)
		}
	}
	if strings.Contains(h.log.String(), "guessed") {
		t.Errorf("webmail reported as an attacker: %s", h.log)
	}
	h.opts.Guard.Trust(nil)
	if got := h.wrong(t, 20, "10.1.2.3", "alice"); got == 0 {
		t.Error("not held up though no longer trusted")
	}
}

// If it fails, the operator does not see an attack that goes slowly or comes from
// many places, or sees it a thousand times.
func TestSpraying(t *testing.T) {
	attacks := map[SprayKind]func(h *house, i int) (addr, user, password string){
		SprayAddress: func(_ *house, i int) (string, string, string) {
			return "192.0.2.1", fmt.Sprint("user", i), fmt.Sprint("password", i)
		},
		SprayNetwork: func(_ *house, i int) (string, string, string) {
			return fmt.Sprintf("192.0.2.%d", i), fmt.Sprint("user", i), fmt.Sprint("password", i)
		},
		SprayUser: func(_ *house, i int) (string, string, string) {
			return fmt.Sprintf("10.0.%d.1", i), "alice", fmt.Sprint("password", i)
		},
		SprayPassword: func(_ *house, i int) (string, string, string) {
			return fmt.Sprintf("10.0.%d.1", i), fmt.Sprint("user", i), "Summer2026"
		},
	}
	for kind, attack := range attacks {
		t.Run(string(kind), func(t *testing.T) {
			h, _ := newHouse(t, nil)
			for i := range 60 {
				addr, user, password := attack(h, i)
				if got := h.try(t, addr, user, password); got != "failed" {
					t.Fatal(got)
				}
				h.advance(20 * time.Minute)
			}
			if got := strings.Count(h.log.String(), fmt.Sprintf("kind=%q", kind)); got != 1 {
				t.Errorf("reported %d times: %s", got, h.log)
			}
			if strings.Contains(h.log.String(), "Summer2026") {
				t.Error("the password is in the log")
			}
		})
	}

	h, _ := newHouse(t, nil)
	for range 50 { // one person who has forgotten the password
		h.wrong(t, 1, "192.0.2.1", "alice")
		h.advance(20 * time.Minute)
	}
	if strings.Contains(h.log.String(), "guessed") {
		t.Errorf("reported: %s", h.log)
	}
}

// If it fails, an attacker with many addresses fills the memory.
func TestGuardIsBounded(t *testing.T) {
	g := NewGuard(nil, nil)
	for i := range 3 * maxTallies {
		addr := netip.AddrFrom4([4]byte{byte(i >> 16), byte(i >> 8), byte(i), 1})
		tr := &try{addr: addr, user: fmt.Sprint(i), credential: uint64(i) + 1, password: uint64(i) + 1}
		g.admit(tr)
		g.failed(tr)
	}
	if g.tallies.Len() > maxTallies || g.users.Len() > maxTallies || g.homes.Len() != 0 {
		t.Errorf("%d tallies, %d users, %d homes", g.tallies.Len(), g.users.Len(), g.homes.Len())
	}
	for i := range 2 * maxHomesPerUser {
		g.succeeded(&try{addr: netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), user: "alice"})
	}
	if list, _ := g.homes.Get("alice"); len(list) != maxHomesPerUser {
		t.Errorf("%d homes", len(list))
	}
	for kind, groups := range g.spraying.groups {
		if groups.Len() > maxSprays {
			t.Errorf("%s: %d groups", kind, groups.Len())
		}
	}
}
