package auth

import (
	"net/netip"
	"time"
)

// home is a network from which a user has logged in. Each address in it has a tally of its
// own: a neighbour who guesses must not hinder the owner.
type home struct {
	network   netip.Prefix
	addresses []*homeAddress
}

// homeAddress is an address in a home from which somebody has failed to be the user.
type homeAddress struct {
	address netip.Prefix
	tally   tally
}

// maxHomeAddresses is how many addresses of a home are kept in memory.
const maxHomeAddresses = 64

// tallyOf returns the tally of an address in the home. If there are many, it takes the
// place of the one that has been quiet for longest.
func (h *home) tallyOf(address netip.Prefix) *tally {
	quiet := 0
	for i, a := range h.addresses {
		if a.address == address {
			return &a.tally
		}
		if a.tally.last.Before(h.addresses[quiet].tally.last) {
			quiet = i
		}
	}
	next := &homeAddress{address: address}
	if len(h.addresses) < maxHomeAddresses {
		h.addresses = append(h.addresses, next)
	} else {
		h.addresses[quiet] = next
	}
	return &next.tally
}

// homePenalties adds what is held against the user's homes to list, as far as keep says.
func (g *Guard) homePenalties(list []Penalty, user string, keep func(netip.Prefix, *tally) bool) []Penalty {
	homes, _ := g.homes.Peek(user)
	for _, h := range homes {
		for _, a := range h.addresses {
			if keep(a.address, &a.tally) {
				p := g.penalty(a.address, &a.tally)
				p.User = user
				list = append(list, p)
			}
		}
	}
	return list
}

// forgetHomes forgets what is held against the user's homes within network, or in all if
// it is the zero prefix, and returns how many penalties that were.
func (g *Guard) forgetHomes(user string, network netip.Prefix) (n int) {
	homes, _ := g.homes.Peek(user)
	for _, h := range homes {
		for _, a := range h.addresses {
			if a.tally.failures > 0 && (!network.IsValid() || network.Overlaps(a.address)) {
				a.tally = tally{}
				n++
			}
		}
	}
	return n
}

// isSlow says whether a tally delays the next try from an address.
func (c *tally) isSlow(now time.Time) bool { return c.delay(now, freeByAddress) > 0 }
