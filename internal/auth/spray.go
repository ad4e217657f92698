package auth

import (
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// When many failures make an attack: so many different ones within sprayWindow.
// It is long because attackers are slow: some tries an hour, from many addresses.
const (
	sprayWindow = 24 * time.Hour
	sprayUsers  = 10 // users tried from one address, or from one network with thrice as many
	sprayNets   = 10 // networks from which one user was tried
	maxSprays   = 8192
)

// SprayKind is a kind of attack that single failures do not show.
type SprayKind string

// The kinds of attack.
const (
	// SprayAddress: one address tries many users.
	SprayAddress SprayKind = "one address, many users"
	// SprayNetwork: one network tries many users, each address only a few.
	SprayNetwork SprayKind = "one network, many users"
	// SprayUser: many networks try one user.
	SprayUser SprayKind = "many networks, one user"
	// SprayPassword: one password is tried on many users, from anywhere.
	SprayPassword SprayKind = "one password, many users"
)

// Spray is an attack. It is reported once in each sprayWindow.
type Spray struct {
	Kind    SprayKind
	Network netip.Prefix // with SprayAddress and SprayNetwork
	User    string       // with SprayUser
	Count   int          // of users or networks so far
	Since   time.Time    // of the first try
}

// sprayDetector notices attacks. It is guarded by its owner's lock.
type sprayDetector struct {
	now    func() time.Time
	seed   maphash.Seed
	groups map[SprayKind]*sprayGroups // apart, so that none can push out the others
}

// sprayGroups are tries by what those of one attack have in common.
type sprayGroups = simplelru.LRU[uint64, *sprayGroup]

type sprayGroup struct {
	since   time.Time
	members map[uint64]struct{} // never more than make an attack
	told    bool
}

func newSprayDetector(now func() time.Time) *sprayDetector {
	d := &sprayDetector{now: now, seed: maphash.MakeSeed(), groups: map[SprayKind]*sprayGroups{}}
	for _, kind := range []SprayKind{SprayAddress, SprayNetwork, SprayUser, SprayPassword} {
		d.groups[kind] = newLRU[uint64, *sprayGroup](maxSprays)
	}
	return d
}

// failed takes a failed try into account and returns the attack that has become
// apparent with it, or nil.
func (d *sprayDetector) failed(t *try, address, network netip.Prefix) *Spray {
	user := maphash.String(d.seed, t.user)
	addressSum, networkSum := maphash.Comparable(d.seed, address), maphash.Comparable(d.seed, network)
	var found *Spray
	check := func(s Spray, key, member uint64, limit int) {
		if since, attack := d.add(d.groups[s.Kind], key, member, limit); attack && found == nil {
			s.Since, s.Count = since, limit
			found = &s
		}
	}
	if !t.trusted {
		check(Spray{Kind: SprayAddress, Network: address}, addressSum, user, sprayUsers)
		check(Spray{Kind: SprayNetwork, Network: network}, networkSum, user, 3*sprayUsers)
		check(Spray{Kind: SprayUser, User: t.user}, user, networkSum, sprayNets)
	}
	if t.password != 0 {
		check(Spray{Kind: SprayPassword}, t.password, user, sprayUsers)
	}
	return found
}

// add puts a member into a group, and says whether it makes an attack that was
// not told of.
func (d *sprayDetector) add(groups *sprayGroups, key, member uint64, limit int) (since time.Time, attack bool) {
	now := d.now()
	g, ok := groups.Get(key)
	if !ok || now.Sub(g.since) >= sprayWindow {
		g = &sprayGroup{since: now, members: map[uint64]struct{}{}}
		groups.Add(key, g)
	}
	if g.told {
		return g.since, false
	}
	g.members[member] = struct{}{}
	if len(g.members) < limit {
		return g.since, false
	}
	g.told, g.members = true, nil
	return g.since, true
}
