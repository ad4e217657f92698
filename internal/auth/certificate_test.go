package auth

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"tidemark/sasl"
)

// If it fails, a client certificate is taken for another user than the operator's
// rule says.
func TestCertificateRules(t *testing.T) {
	cert := func(cn string, emails ...string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: cn}, EmailAddresses: emails, DNSNames: []string{"host.example"}}
	}
	for _, tt := range []struct {
		rule string
		cert *x509.Certificate
		want string
	}{
		{"{email}", cert("x", "alice@example.org"), "alice@example.org"},
		{"{email}", cert("x", "alice@example.org", "bob@example.org"), ""},
		{"{email}", cert("x"), ""},
		{"{common-name}", cert("alice"), "alice"},
		{"{common-name}", cert(""), ""},
		{"{common-name}@example.org", cert("alice"), "alice@example.org"},
		{"{common-name}@example.org", cert("root@evil.example"), ""},
		{"{local-part}", cert("x", "alice@example.org"), "alice"},
		{"dev-{dns}", cert("x"), "dev-host.example"},
		{"{common-name}{local-part}", cert("a", "b@c"), "ab"},
	} {
		rule, err := ParseCertificateRule(tt.rule)
		if err != nil {
			t.Errorf("%s: %v", tt.rule, err)
			continue
		}
		if got := rule.User(tt.cert); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.rule, got, tt.want)
		}
	}
}

// If it fails, a rule that cannot work, or would make everybody one user, is accepted.
func TestBadCertificateRules(t *testing.T) {
	for _, rule := range []string{"", "alice", "{", "}", "{}", "{cn}", "{email", "email}", "{email}}", "{{email}}"} {
		if _, err := ParseCertificateRule(rule); err == nil || !strings.Contains(err.Error(), "{common-name}") {
			t.Errorf("%q: %v", rule, err)
		}
	}
}

// If it fails, a client certificate is taken for somebody it does not stand for.
func TestExternal(t *testing.T) {
	rule, err := ParseCertificateRule("{email}")
	if err != nil {
		t.Fatal(err)
	}
	h, _ := newHouse(t, func(o *Options) { o.CertificateUser = rule.User })
	for _, tt := range []struct{ email, authzid, want string }{
		{"alice", "", "ok"}, {"alice", "alice", "ok"}, {"alice", "bob", "not master"}, {"stranger", "", "failed"}, {"", "", "no mechanism"},
	} {
		p := peer("192.0.2.1")
		p.TLS.PeerCertificates = []*x509.Certificate{{EmailAddresses: []string{"bob"}}} // not verified
		if tt.email != "" {
			p.TLS.VerifiedChains = [][]*x509.Certificate{{{EmailAddresses: []string{tt.email}}}}
		}
		s, err := h.Begin(t.Context(), p, sasl.External)
		if err == nil {
			_, _, err = s.Next([]byte(tt.authzid))
		}
		if got := outcome(err); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}
