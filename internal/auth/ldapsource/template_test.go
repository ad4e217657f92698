package ldapsource

import (
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// If it fails, a user can choose a name that changes what is searched, or as whom
// the password is checked.
func TestTemplatesEscape(t *testing.T) {
	for _, tt := range []struct {
		text, user, want string
		escape           func(string) string
	}{
		{"(uid={user})", "alice", "(uid=alice)", ldap.EscapeFilter},
		{"(uid={user})", "*)(uid=admin", `(uid=\2a\29\28uid=admin)`, ldap.EscapeFilter},
		{"(uid={user})", `a\2a`, `(uid=a\5c2a)`, ldap.EscapeFilter},
		{"(&(uid={local})(ou={domain}))", "bob@example.org", "(&(uid=bob)(ou=example.org))", ldap.EscapeFilter},
		{"(&(uid={local})(ou={domain}))", "bob", "(&(uid=bob)(ou=))", ldap.EscapeFilter},
		{"(uid={user})", "{local}", "(uid={local})", ldap.EscapeFilter},
		{"uid={user},ou=people", "x,ou=admins", `uid=x\,ou=admins,ou=people`, ldap.EscapeDN},
		{"uid={local},dc={domain}", "a+cn=b@c=d", `uid=a\+cn=b,dc=c=d`, ldap.EscapeDN},
	} {
		tmpl, err := parseTemplate(tt.text, tt.escape)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := tmpl.expand(tt.user); got != tt.want {
			t.Errorf("%s of %s: %s, want %s", tt.text, tt.user, got, tt.want)
		}
	}
}

// If it fails, a configuration that cannot work, or lets in anybody, is accepted.
func TestBadOptions(t *testing.T) {
	good := Options{URLs: []string{"ldap://localhost"}, Base: "dc=x", Filter: "(uid={user})"}
	for want, change := range map[string]func(*Options){
		"no URL":                      func(o *Options) { o.URLs = nil },
		"is not the URL":              func(o *Options) { o.URLs = []string{"http://localhost"} },
		"same for every user":         func(o *Options) { o.Filter = "(uid=alice)" },
		"field that is unknown":       func(o *Options) { o.Filter = "(uid={name}{user})" },
		"write {user}":                func(o *Options) { o.Filter = "(|(uid={user})(uid=%u))" },
		"filter:":                     func(o *Options) { o.Filter = "(uid={user}" },
		"needs a base and a filter":   func(o *Options) { o.Base = "" },
		"searches needs a password":   func(o *Options) { o.BindDN = "cn=x" },
		"not both":                    func(o *Options) { o.UserDN = "uid={user}" },
		"template of the distinguish": func(o *Options) { *o = Options{URLs: o.URLs, UserDN: "{user}"} },
		"DN":                          func(o *Options) { o.Base = "people" },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, have %v", want, err)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

// FuzzTemplates: whatever the user's name, a filter has one condition and a
// distinguished name as many parts as the template.
func FuzzTemplates(f *testing.F) {
	for _, user := range []string{"alice", "*)(uid=*", `\`, "a,b+c=d", " # ", "\x00", "a@b@c"} {
		f.Add(user)
	}
	filter, _ := parseTemplate("(uid={user})", ldap.EscapeFilter)
	dn, _ := parseTemplate("uid={user},dc=org", ldap.EscapeDN)
	f.Fuzz(func(t *testing.T, user string) {
		if packet, err := ldap.CompileFilter(filter.expand(user)); err == nil && packet.Tag != ldap.FilterEqualityMatch {
			t.Errorf("%q makes a filter of another kind", user)
		}
		if parsed, err := ldap.ParseDN(dn.expand(user)); err == nil && (len(parsed.RDNs) != 2 || len(parsed.RDNs[0].Attributes) != 1) {
			t.Errorf("%q makes %s", user, dn.expand(user))
		}
	})
}
