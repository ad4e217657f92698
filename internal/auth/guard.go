package auth

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// The rules against guessing. A failed try slows down the next ones from its
// address and its network, and those of strangers for the same user. It never
// hinders a user who comes from a network from which that user has logged in
// before: only failures for this user from the same address do that. So nobody can lock out
// somebody else, and an office is not shut because of one of its phones.
const (
	// Failures until a delay begins: for an address (an IPv4 address or an IPv6 /64),
	// for the network around it (/24 or /48), and for a user tried by strangers.
	freeByAddress = 3
	freeByNetwork = 12
	freeByUser    = 10

	// The delay is firstDelay and doubles with each failure up to maxDelay.
	firstDelay = time.Second
	maxDelay   = 15 * time.Second

	// Failed tries in a minute; more are refused unseen.
	perMinuteAddress = 60
	perMinuteNetwork = 240

	// One failure is forgiven in each forgiveEvery. More than maxFailures are not
	// counted, so that all is forgiven some time.
	forgiveEvery = 5 * time.Minute
	maxFailures  = 24

	// What is kept in memory at most: tallies of each kind, users with known
	// networks, and known networks of a user.
	maxTallies      = 16384
	maxHomes        = 65536
	maxHomesPerUser = 16
)

// Guard counts failed logins. Its methods may be called concurrently.
type Guard struct {
	now func() time.Time

	mu       sync.Mutex // guards what follows
	trusted  []netip.Prefix
	tallies  *simplelru.LRU[netip.Prefix, *tally]
	users    *simplelru.LRU[string, *tally]
	homes    *simplelru.LRU[string, []*home]
	spraying *sprayDetector
}

// tally counts the failures of an address, a network or a user.
type tally struct {
	failures int
	since    time.Time // when failures was last set; it shrinks from then on
	last     time.Time // the last failure

	minute time.Time // the start of the minute that tries counts
	tries  int       // failed or unfinished tries in it

	// recent holds the last wrong passwords, so that a device that repeats an old one
	// counts once.
	recent [8]uint64
	next   int
}

// try is one attempt to log in, from begin to its end.
type try struct {
	addr       netip.Addr
	user       string // as prepared, or as given if it could not be
	credential uint64 // a keyed hash of user and password; 0 if there is none to see
	password   uint64 // a keyed hash of the password alone; likewise
	counted    []*tally
	trusted    bool // from a network that is never slowed down; set by admit
}

// NewGuard returns a guard. Networks in trusted are never slowed down: webmail and
// other servers behind whose address there are many people.
func NewGuard(trusted []netip.Prefix, now func() time.Time) *Guard {
	if now == nil {
		now = time.Now
	}
	return &Guard{
		trusted:  trusted,
		now:      now,
		tallies:  newLRU[netip.Prefix, *tally](maxTallies),
		users:    newLRU[string, *tally](maxTallies),
		homes:    newLRU[string, []*home](maxHomes),
		spraying: newSprayDetector(now),
	}
}

// Trust replaces the networks that are never slowed down.
func (g *Guard) Trust(networks []netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trusted = networks
}

func newLRU[K comparable, V any](size int) *simplelru.LRU[K, V] {
	l, err := simplelru.NewLRU[K, V](size, nil)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return l
}

// prefixes returns what stands for an address and for its network.
func prefixes(addr netip.Addr) (address, network netip.Prefix) {
	addr = addr.Unmap().WithZone("")
	bits, wide := 32, 24
	if addr.Is6() {
		bits, wide = 64, 48
	}
	// The error is that of an invalid address, whose prefix is the zero one.
	address, _ = addr.Prefix(bits)
	network, _ = addr.Prefix(wide)
	return address, network
}

// admit says how long a try has to wait, and whether it may go on then. Each try
// that may must end in failed, succeeded or abandoned.
func (g *Guard) admit(t *try) (delay time.Duration, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if t.trusted = g.isTrusted(t.addr); t.trusted {
		return 0, true
	}
	address, network := prefixes(t.addr)
	if h := g.home(t); h != nil {
		c := h.tallyOf(address)
		t.counted = []*tally{c}
		return c.delay(now, freeByAddress), c.admit(now, perMinuteAddress)
	}
	byAddress, byNetwork, byUser := get(g.tallies, address), get(g.tallies, network), get(g.users, t.user)
	delay = max(byAddress.delay(now, freeByAddress), byNetwork.delay(now, freeByNetwork), byUser.delay(now, freeByUser))
	t.counted = []*tally{byAddress, byNetwork, byUser}
	if !byAddress.admit(now, perMinuteAddress) {
		return maxDelay, false
	}
	if !byNetwork.admit(now, perMinuteNetwork) {
		byAddress.tries--
		return maxDelay, false
	}
	return delay, true
}

// failed counts a try that had a wrong password or user, and returns an attack
// that has become apparent with it.
func (g *Guard) failed(t *try) *Spray {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if len(t.counted) > 0 && !t.counted[0].remember(t.credential) {
		return nil
	}
	for _, c := range t.counted {
		c.fail(now)
	}
	address, network := prefixes(t.addr)
	return g.spraying.failed(t, address, network)
}

// isTrusted says whether tries from addr are not held against it. An address that is
// not known is that of a local program.
func (g *Guard) isTrusted(addr netip.Addr) bool {
	return !addr.IsValid() || containsAddr(g.trusted, addr)
}

// know makes networks known from which a user has logged in, before this process
// began to remember them itself.
func (g *Guard) know(user string, networks []netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(networks) == 0 || g.homes.Contains(user) {
		return
	}
	var list []*home
	for _, n := range networks {
		list = append(list, &home{network: n})
	}
	g.homes.Add(user, list)
}

// succeeded notes where a user logged in from, and forgives the failures of this
// user from there, but not those of others. It returns the network if it is new.
func (g *Guard) succeeded(t *try) netip.Prefix {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	g.release(t, now)
	if g.isTrusted(t.addr) {
		return netip.Prefix{}
	}
	address, network := prefixes(t.addr)
	if h := g.home(t); h != nil {
		*h.tallyOf(address) = tally{}
		return netip.Prefix{}
	}
	g.addHome(t)
	return network
}

// addHome makes the network of a try known, instead of the oldest if there are many.
func (g *Guard) addHome(t *try) {
	_, network := prefixes(t.addr)
	list, _ := g.homes.Get(t.user)
	if len(list) >= maxHomesPerUser {
		list = list[1:]
	}
	g.homes.Add(t.user, append(slices.Clip(list), &home{network: network}))
}

// abandoned takes back a try that was not decided.
func (g *Guard) abandoned(t *try) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.release(t, g.now())
}

// release takes a try out of the count of its minute.
func (g *Guard) release(t *try, now time.Time) {
	for _, c := range t.counted {
		if now.Sub(c.minute) < time.Minute && c.tries > 0 {
			c.tries--
		}
	}
	t.counted = nil
}

// home returns the known network of the user that the try comes from.
func (g *Guard) home(t *try) *home {
	_, network := prefixes(t.addr)
	list, _ := g.homes.Get(t.user)
	for _, h := range list {
		if h.network == network {
			return h
		}
	}
	return nil
}

// get returns the tally of key and makes it if it is not there.
func get[K comparable](l *simplelru.LRU[K, *tally], key K) *tally {
	if c, ok := l.Get(key); ok {
		return c
	}
	c := &tally{}
	l.Add(key, c)
	return c
}

// current forgives what is due and returns the failures left.
func (c *tally) current(now time.Time) int {
	if forgiven := int(now.Sub(c.since) / forgiveEvery); forgiven > 0 {
		c.failures = max(0, c.failures-forgiven)
		c.since = c.since.Add(time.Duration(forgiven) * forgiveEvery)
	}
	return c.failures
}

func (c *tally) fail(now time.Time) {
	if c.current(now) == 0 {
		c.since = now
	}
	c.failures = min(c.failures+1, maxFailures)
	c.last = now
}

// delay returns how long the next try has to wait.
func (c *tally) delay(now time.Time, free int) time.Duration {
	over := c.current(now) - free
	if over < 0 {
		return 0
	}
	return min(firstDelay<<min(over, 10), maxDelay)
}

// admit counts a try, unless there were too many in this minute.
func (c *tally) admit(now time.Time, limit int) bool {
	if now.Sub(c.minute) >= time.Minute {
		c.minute, c.tries = now, 0
	}
	if c.tries >= limit {
		return false
	}
	c.tries++
	return true
}

// remember says whether a wrong credential is a new one.
func (c *tally) remember(credential uint64) bool {
	if credential == 0 {
		return true
	}
	if slices.Contains(c.recent[:], credential) {
		return false
	}
	c.recent[c.next] = credential
	c.next = (c.next + 1) % len(c.recent)
	return true
}

func containsAddr(list []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// Penalty is why tries from somewhere, or for somebody, are slowed down.
type Penalty struct {
	Network  netip.Prefix  `json:"network,omitzero"` // an address or a network
	User     string        `json:"user,omitempty"`   // set where it is about a user, from Network alone if that is set too
	Failures int           `json:"failures"`         // those not forgiven yet
	Delay    time.Duration `json:"delay"`            // of the next try, in nanoseconds
	Tries    int           `json:"tries"`            // failed ones in the last minute
	Last     time.Time     `json:"last"`             // failure
}

// Why returns what is held against an address: itself first, then its network. It
// is empty where nothing is.
func (g *Guard) Why(addr netip.Addr) []Penalty {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []Penalty
	address, network := prefixes(addr)
	for _, p := range []netip.Prefix{address, network} {
		if c, ok := g.tallies.Peek(p); ok && c.current(g.now()) > 0 {
			list = append(list, g.penalty(p, c))
		}
	}
	for _, user := range g.homes.Keys() {
		list = g.homePenalties(list, user, func(p netip.Prefix, c *tally) bool {
			return p == address && c.current(g.now()) > 0
		})
	}
	return list
}

// WhyUser returns what is held against a user: the failures of strangers first, then
// those from networks that the user is known to come from.
func (g *Guard) WhyUser(user string) []Penalty {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []Penalty
	if c, ok := g.users.Peek(user); ok && c.current(g.now()) > 0 {
		list = append(list, g.userPenalty(user, c))
	}
	return g.homePenalties(list, user, func(_ netip.Prefix, c *tally) bool { return c.current(g.now()) > 0 })
}

// Penalties returns everything that slows down somebody now, the longest delay
// first.
func (g *Guard) Penalties() []Penalty {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []Penalty
	for _, p := range g.tallies.Keys() {
		if c, _ := g.tallies.Peek(p); c.delay(g.now(), freeFor(p)) > 0 {
			list = append(list, g.penalty(p, c))
		}
	}
	for _, u := range g.users.Keys() {
		if c, _ := g.users.Peek(u); c.delay(g.now(), freeByUser) > 0 {
			list = append(list, g.userPenalty(u, c))
		}
	}
	for _, user := range g.homes.Keys() {
		list = g.homePenalties(list, user, func(_ netip.Prefix, c *tally) bool { return c.isSlow(g.now()) })
	}
	slices.SortFunc(list, func(a, b Penalty) int {
		if a.Delay != b.Delay {
			return int(b.Delay - a.Delay)
		}
		return strings.Compare(a.Network.String()+a.User, b.Network.String()+b.User)
	})
	return list
}

func (g *Guard) penalty(p netip.Prefix, c *tally) Penalty {
	now := g.now()
	tries := 0
	if now.Sub(c.minute) < time.Minute {
		tries = c.tries
	}
	return Penalty{Network: p, Failures: c.current(now), Delay: c.delay(now, freeFor(p)), Tries: tries, Last: c.last}
}

func (g *Guard) userPenalty(user string, c *tally) Penalty {
	p := g.penalty(netip.Prefix{}, c)
	p.User, p.Delay = user, c.delay(g.now(), freeByUser)
	return p
}

func freeFor(p netip.Prefix) int {
	if p.Bits() == 24 || p.Bits() == 48 {
		return freeByNetwork
	}
	return freeByAddress
}

// Unban forgets what is held against a network and everything within it, and
// returns how many penalties that were.
func (g *Guard) Unban(network netip.Prefix) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, p := range g.tallies.Keys() {
		if network.Overlaps(p) {
			g.tallies.Remove(p)
			n++
		}
	}
	for _, user := range g.homes.Keys() {
		n += g.forgetHomes(user, network)
	}
	return n
}

// UnbanUser forgets what is held against a user and returns how many penalties that
// were.
func (g *Guard) UnbanUser(user string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	if g.users.Remove(user) {
		n++
	}
	return n + g.forgetHomes(user, netip.Prefix{})
}
