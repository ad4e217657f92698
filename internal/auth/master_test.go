package auth

import (
	"net/netip"
	"strings"
	"testing"

	"tidemark/sasl"
)

// If it fails, a user can act as another without the right to, or a master cannot.
func TestMaster(t *testing.T) {
	h, passwords := newHouse(t, func(o *Options) { o.MasterFrom = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	if err := h.builtin.SetMaster(t.Context(), "bob", true); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ addr, user, authzid, want string }{
		{"10.0.0.1", "bob", "alice", "ok"},
		{"10.0.0.1", "bob", "Alice", "ok"},
		{"10.0.0.1", "bob", "nobody", "not master"},
		{"192.0.2.1", "bob", "alice", "not master"},
		{"10.0.0.1", "eve", "alice", "not master"},
		{"10.0.0.1", "eve", "EVE", "ok"},
	} {
		s, err := h.Begin(t.Context(), peer(tt.addr), sasl.Plain)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = s.Next([]byte(tt.authzid + "\x00" + tt.user + "\x00" + passwords[tt.user]))
		if got := outcome(err); got != tt.want {
			t.Errorf("%s as %s: %s, want %s", tt.user, tt.authzid, got, tt.want)
		}
		if want := (sasl.Identity{User: strings.ToLower(tt.authzid), Auth: tt.user}); err == nil && s.Identity() != want {
			t.Errorf("identity %+v", s.Identity())
		}
	}
	if !strings.Contains(h.log.String(), "account=alice master=bob") {
		t.Errorf("log: %s", h.log)
	}
}
