package auth

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// CertificateRule says which user a client certificate stands for. It is text with
// the fields of the certificate in braces, such as "{email}" or
// "{common-name}@example.org".
type CertificateRule struct {
	parts []rulePart
	// addsDomain says that the rule writes the @ itself, so that a field must not
	// bring another one.
	addsDomain bool
}

// rulePart is literal text, or a field of the certificate if field is not nil.
type rulePart struct {
	literal string
	field   func(*x509.Certificate) string
}

// certificateField returns the field of that name, nil for an unknown one.
func certificateField(name string) func(*x509.Certificate) string {
	switch name {
	case "common-name":
		return func(c *x509.Certificate) string { return c.Subject.CommonName }
	case "email": // the only address in the subject alternative name
		return func(c *x509.Certificate) string { return only(c.EmailAddresses) }
	case "local-part":
		return func(c *x509.Certificate) string {
			local, _ := SplitName(only(c.EmailAddresses))
			return local
		}
	case "dns": // the only host name in the subject alternative name
		return func(c *x509.Certificate) string { return only(c.DNSNames) }
	}
	return nil
}

// only returns the value if there is just one: with several it is not for the order
// in a certificate to say who somebody is.
func only(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

var errRule = errors.New(`not a rule for certificates; ` +
	`write text with the fields {common-name}, {email}, {local-part} or {dns}, such as "{common-name}@example.org"`)

// ParseCertificateRule reads a rule. It needs at least one field.
func ParseCertificateRule(text string) (*CertificateRule, error) {
	rule := &CertificateRule{}
	fields := 0
	for rest := text; rest != ""; {
		literal, after, found := strings.Cut(rest, "{")
		if strings.Contains(literal, "}") {
			return nil, fmt.Errorf("%q: %w", text, errRule)
		}
		rule.parts = append(rule.parts, rulePart{literal: literal})
		rule.addsDomain = rule.addsDomain || strings.Contains(literal, "@")
		if !found {
			break
		}
		name, after, closed := strings.Cut(after, "}")
		field := certificateField(name)
		if field == nil || !closed {
			return nil, fmt.Errorf("%q: %w", text, errRule)
		}
		rule.parts = append(rule.parts, rulePart{field: field})
		fields++
		rest = after
	}
	if fields == 0 {
		return nil, fmt.Errorf("%q: %w", text, errRule)
	}
	return rule, nil
}

// User returns whom a certificate stands for, which may be nobody's name. It is
// empty if the certificate lacks a field that the rule needs.
func (r *CertificateRule) User(cert *x509.Certificate) string {
	var name strings.Builder
	for _, p := range r.parts {
		if p.field == nil {
			name.WriteString(p.literal)
			continue
		}
		value := p.field(cert)
		if value == "" || r.addsDomain && strings.Contains(value, "@") {
			return ""
		}
		name.WriteString(value)
	}
	return name.String()
}
