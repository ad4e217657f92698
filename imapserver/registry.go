package imapserver

import (
	"container/list"
	"net/netip"
	"slices"
	"sync"
	"time"

	"tidemark/imap"
	"tidemark/sasl"
)

// registry knows all connections and counts them by address and user.
type registry struct {
	limits Limits

	mu        sync.Mutex
	guests    map[*conn]*guest
	strangers list.List // of *guest, those who have not logged in, oldest first
	addresses map[netip.Prefix]int
	users     map[string]*userSessions
	stopping  bool
}

// guest is what the registry holds of a connection.
type guest struct {
	conn    *conn
	network netip.Prefix
	cancel  func()        // of the command that runs
	place   *list.Element // in strangers; nil after the login
	user    *userSessions // nil before the login
	id      sasl.Identity // of the user
	revoked []string      // users whose sessions were ended since its login began
}

// byeTime is how long a connection that must end has for its last words.
const byeTime = time.Second

// dismiss has the connection end with b, and cuts it off where it has not by the end of
// byeTime. It does not wait.
func (g *guest) dismiss(b *bye) {
	g.conn.t.stop(b)
	time.AfterFunc(byeTime, g.cut)
}

// cut ends the connection at once.
func (g *guest) cut() {
	g.cancel()
	closeQuietly(g.conn.t.socket)
}

// userSessions counts one user's sessions.
type userSessions struct {
	sessions int
	networks map[netip.Prefix]int
	heavy    chan struct{} // holds one for each heavy command that runs
}

func newRegistry(limits Limits) *registry {
	return &registry{
		limits:    limits,
		guests:    make(map[*conn]*guest),
		addresses: make(map[netip.Prefix]int),
		users:     make(map[string]*userSessions),
	}
}

// networkOf is the unit in which addresses are counted: one address, or the /64
// that one customer of IPv6 has.
func networkOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil { // not an IP connection
		return netip.Prefix{}
	}
	return p
}

// arrive takes in a new connection, or returns why not. Where there are too many in
// all, the one that has gone longest without a login has to go.
func (r *registry) arrive(c *conn, cancel func()) (refusal string) {
	g := &guest{conn: c, network: networkOf(c.peer.Addr.Addr()), cancel: cancel}
	r.mu.Lock()
	defer r.mu.Unlock()
	full := len(r.guests) >= r.limits.Connections
	switch {
	case g.network.IsValid() && r.addresses[g.network] >= r.limits.StrangersPerAddress:
		return "Too many connections from your address"
	case full && r.strangers.Len() == 0:
		return "Too many connections"
	case full || r.strangers.Len() >= r.limits.Strangers:
		oldest := r.strangers.Front().Value.(*guest)
		r.forgetStranger(oldest)
		oldest.dismiss(&bye{imap.CodeLimit, "Too many connections", "oldest of too many without a login"})
	}
	r.guests[c] = g
	g.place = r.strangers.PushBack(g)
	r.addresses[g.network]++
	if r.stopping {
		c.t.stop(byeShutdown())
	}
	return ""
}

func (r *registry) forgetStranger(g *guest) {
	if g.place == nil {
		return
	}
	r.strangers.Remove(g.place)
	g.place = nil
	countDown(r.addresses, g.network)
}

// beginLogin notes that what a login of c is checked by is read from now on.
func (r *registry) beginLogin(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.guests[c].revoked = nil
}

// login counts c as a session of a user, or refuses it with LIMIT.
func (r *registry) login(c *conn, id sasl.Identity) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.guests[c]
	if slices.Contains(g.revoked, id.User) || slices.Contains(g.revoked, id.Auth) {
		return imap.Refuse(imap.CodeUnavailable, "The account has just been changed; connect again")
	}
	u := r.users[id.User]
	if u == nil {
		u = &userSessions{
			networks: make(map[netip.Prefix]int),
			heavy:    make(chan struct{}, r.limits.HeavyPerUser),
		}
	}
	if u.sessions >= r.limits.SessionsPerUser || u.networks[g.network] >= r.limits.SessionsPerUserAddress {
		return imap.Refuse(imap.CodeLimit, "Too many sessions of this user")
	}
	r.users[id.User] = u
	u.sessions++
	u.networks[g.network]++
	g.user, g.id, g.revoked = u, id, nil
	r.forgetStranger(g)
	return nil
}

// logout undoes login for a session that could not begin. The connection does not
// become a stranger again: its time before the login is running out anyway.
func (r *registry) logout(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetSession(r.guests[c])
}

// leave forgets c.
func (r *registry) leave(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.guests[c]
	delete(r.guests, c)
	r.forgetStranger(g)
	r.forgetSession(g)
}

func (r *registry) forgetSession(g *guest) {
	u := g.user
	if u == nil {
		return
	}
	g.user = nil
	countDown(u.networks, g.network)
	if u.sessions--; u.sessions == 0 {
		delete(r.users, g.id.User)
	}
}

// heavySlots returns the channel that holds one for each heavy command of c's user.
func (r *registry) heavySlots(c *conn) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.guests[c].user.heavy
}

// stopAll asks every connection, and those still to come, to end after the
// command that runs.
func (r *registry) stopAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping = true
	for c := range r.guests {
		c.t.stop(byeShutdown())
	}
}

func byeShutdown() *bye {
	return &bye{imap.CodeUnavailable, "Server is shutting down", "server is shutting down"}
}

// end asks the sessions of a user, and those in which the user acts as another, to end
// after the command that runs, and returns how many they are. A login that is being
// checked meanwhile is refused when it comes to its end: what it was checked by may be
// out of date.
func (r *registry) end(user, reason string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for c, g := range r.guests {
		switch {
		case g.user == nil:
			g.revoked = append(g.revoked, user)
		case g.id.User == user || g.id.Auth == user:
			if c.t.stop(&bye{"", "Log in again", reason}) {
				n++
			}
		}
	}
	return n
}

// cancelAll cancels the commands that run.
func (r *registry) cancelAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.guests {
		g.cancel()
	}
}

// cutAll ends every connection at once.
func (r *registry) cutAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.guests {
		g.cut()
	}
}

func countDown[K comparable](m map[K]int, k K) {
	if m[k]--; m[k] <= 0 {
		delete(m, k)
	}
}
