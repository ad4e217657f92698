package certs

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// ParseVersion reads a setting such as "1.3". There is no way to have a version
// below 1.2: RFC 8996 withdrew them.
func ParseVersion(s string) (uint16, error) {
	switch s {
	case "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	case "1.1", "1.0", "1":
		return 0, fmt.Errorf("TLS %s was withdrawn (RFC 8996) and cannot be turned on: use \"1.2\" or \"1.3\"", s)
	}
	return 0, fmt.Errorf("unknown TLS version %q: use \"1.2\" or \"1.3\"", s)
}

// listener is one TLSConfig that was given out. What it serves changes.
type listener struct {
	protos []string
	config atomic.Pointer[tls.Config]
	old    atomic.Pointer[tls.Config] // for clients that know TLS 1.2 only
}

// choose returns the settings for one client.
func (l *listener) choose(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
		return l.config.Load(), nil
	}
	return l.old.Load(), nil
}

// TLSConfig returns the settings for a listener whose ALPN protocols are
// nextProtos ("imap"; none means that ALPN is ignored). A client that offers only
// others is refused. Later changes of certificates take effect in it; it must not
// be changed, but may be cloned. Call it once for each listener.
func (m *Manager) TLSConfig(nextProtos ...string) *tls.Config {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &listener{protos: nextProtos}
	m.listeners = append(m.listeners, l)
	m.publish()
	return &tls.Config{
		MinVersion:         m.opts.MinVersion,
		NextProtos:         nextProtos,
		GetConfigForClient: l.choose,
	}
}

// publish gives the present certificates and ticket keys to the listeners. m.mu
// is held. Handshakes that have begun go on with what they began with.
func (m *Manager) publish() {
	s := m.published.Load()
	for _, l := range m.listeners {
		c := &tls.Config{
			Certificates: s.certs,
			NextProtos:   l.protos,
			MinVersion:   m.opts.MinVersion,
			// AEAD with forward secrecy; TLS 1.3 has nothing else.
			CipherSuites: []uint16{
				tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
				tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
				tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
				tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
				tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
				tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
			},
			// P-384 is there for certificates with such a key under TLS 1.2.
			CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384},
			Renegotiation:    tls.RenegotiateNever,
			// Small records at first show a web page sooner, and only cost a mail program
			// that reads whole answers.
			DynamicRecordSizingDisabled: true,
		}
		if s.clientCAs != nil {
			c.ClientCAs, c.ClientAuth = s.clientCAs, tls.VerifyClientCertIfGiven
		}
		// A session that TLS 1.2 resumes has no new key exchange: whoever gets the ticket
		// key can read it. So it has none.
		old := c.Clone()
		old.SessionTicketsDisabled = true
		l.old.Store(old)
		c.SessionTicketsDisabled = !m.opts.SessionTickets
		c.SetSessionTicketKeys(m.tickets.keys)
		l.config.Store(c)
	}
}

// ticketLife is how long a key makes new session tickets. It opens them for as
// long again.
const ticketLife = 24 * time.Hour

// ticketKeys are the keys of session tickets, newest first, at most two.
type ticketKeys struct {
	keys [][32]byte
	made time.Time
}

// replace throws away all keys and thus every session.
func (t *ticketKeys) replace(now time.Time) {
	t.keys, t.made = [][32]byte{newTicketKey()}, now
}

// rotate adds a new key when the newest is old, and says so.
func (t *ticketKeys) rotate(now time.Time) bool {
	if now.Sub(t.made) < ticketLife {
		return false
	}
	t.keys, t.made = [][32]byte{newTicketKey(), t.keys[0]}, now
	return true
}

func newTicketKey() (key [32]byte) {
	_, _ = rand.Read(key[:]) // never fails
	return key
}

// orderByName puts an ECDSA certificate before those of other kinds for the same
// names, and leaves the order as it is apart from that.
func orderByName(certs []tls.Certificate) {
	first := map[string]int{}
	rank := func(c tls.Certificate) int {
		_, isECDSA := c.PrivateKey.(*ecdsa.PrivateKey)
		r := first[strings.Join(names(c.Leaf), " ")] * 2
		if !isECDSA {
			r++
		}
		return r
	}
	for i, c := range certs {
		key := strings.Join(names(c.Leaf), " ")
		if _, seen := first[key]; !seen {
			first[key] = i
		}
	}
	slices.SortStableFunc(certs, func(a, b tls.Certificate) int { return rank(a) - rank(b) })
}

// Served returns the certificate that the client of a connection was shown, for
// the channel binding tls-server-end-point. Of several that fit the name it
// returns the preferred one that goes with the cipher suite: TLS 1.3 does not
// say which it was, but all who speak it know ECDSA. After a reload it is the new
// certificate; a client that binds to the old one is then refused and comes again.
func (m *Manager) Served(cs *tls.ConnectionState) *x509.Certificate {
	certs := m.published.Load().certs
	for _, c := range certs {
		if cs.ServerName != "" && c.Leaf.VerifyHostname(cs.ServerName) == nil && fitsSuite(c.Leaf, cs) {
			return c.Leaf
		}
	}
	for _, c := range certs {
		if fitsSuite(c.Leaf, cs) {
			return c.Leaf
		}
	}
	return certs[0].Leaf
}

// fitsSuite says whether a certificate's key could have been used in a TLS 1.2
// handshake with the suite that was agreed on.
func fitsSuite(leaf *x509.Certificate, cs *tls.ConnectionState) bool {
	suite := tls.CipherSuiteName(cs.CipherSuite)
	switch {
	case strings.Contains(suite, "_ECDSA_"):
		return leaf.PublicKeyAlgorithm != x509.RSA
	case strings.Contains(suite, "_RSA_"):
		return leaf.PublicKeyAlgorithm == x509.RSA
	}
	return true
}
