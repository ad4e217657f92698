package sqlsource

import (
	"slices"
	"strings"
	"testing"
)

// If it fails, an operator's query is changed in its meaning, or a value gets into
// its text.
func TestQueries(t *testing.T) {
	for _, tt := range []struct {
		kind, text, want string
		params           []string
	}{
		{"postgres", "SELECT x FROM t WHERE a = :user", "SELECT x FROM t WHERE a = $1", []string{"user"}},
		{"mysql", "SELECT x FROM t WHERE a = :user", "SELECT x FROM t WHERE a = ?", []string{"user"}},
		{"postgres", "a=:local AND b=:domain OR a=:local", "a=$1 AND b=$2 OR a=$1", []string{"local", "domain"}},
		{"sqlite", "a=:local AND b=:domain OR a=:local", "a=? AND b=? OR a=?", []string{"local", "domain", "local"}},
		{"postgres", "a = :user::citext AND b::text = 'x'", "a = $1::citext AND b::text = 'x'", []string{"user"}},
		{"mysql", `a = ':x \' ?' AND b = :user`, `a = ':x \' ?' AND b = ?`, []string{"user"}},
		{"postgres", `a = 'x\' AND b = :user`, `a = 'x\' AND b = $1`, []string{"user"}},
		{"postgres", `a = 'it''s' AND "b?" = :user -- :user` + "\n;", `a = 'it''s' AND "b?" = $1 -- :user` + "\n;", []string{"user"}},
		{"mysql", "a /* :user ? */ = :user", "a /* :user ? */ = ?", []string{"user"}},
		{"postgres", "a ? 'x' AND b = :user", "a ? 'x' AND b = $1", []string{"user"}},
		{"postgres", "a[1:2] = :user", "a[1:2] = $1", []string{"user"}},
	} {
		kind, err := kindOf(tt.kind)
		if err != nil {
			t.Fatal(err)
		}
		q, err := parseQuery(tt.text, kind, "user", "local", "domain")
		if err != nil || q.text != tt.want || !slices.Equal(q.params, tt.params) {
			t.Errorf("%s: %s: %+v, %v", tt.kind, tt.text, q, err)
		}
	}
}

// If it fails, an operator's mistake shows only when nobody can log in.
func TestBadOptions(t *testing.T) {
	const query = "SELECT password FROM users WHERE name = :user"
	for want, o := range map[string]Options{
		"not a kind":               {Kind: "oracle", Query: query},
		"same for every user":      {Kind: "sqlite", Query: "SELECT password FROM users"},
		":password is not known":   {Kind: "sqlite", Query: query + " AND p = :password"},
		":user stands in quotes":   {Kind: "sqlite", Query: "SELECT password FROM users WHERE name = ':user'"},
		":local stands in quotes":  {Kind: "mysql", Query: "SELECT 1 WHERE name LIKE '%:local%'"},
		"write :user":              {Kind: "mysql", Query: "SELECT password FROM users WHERE name = ?"},
		"needs :hash and :user":    {Kind: "sqlite", Query: query, Update: "UPDATE users SET password = 'x' WHERE name = :user"},
		"no hasher":                {Kind: "sqlite", Query: query, Update: "UPDATE users SET password = :hash WHERE name = :user"},
		"password in it":           {Kind: "postgres", Query: query, Address: "postgres://me:secret@localhost/x"},
		"a password in it":         {Kind: "postgres", Query: query, Address: "host=localhost password = secret"},
		"has a password in it":     {Kind: "mysql", Query: query, Address: "me:secret@tcp(localhost)/x"},
		"form postgres://user":     {Kind: "postgres", Query: query, Address: "postgres://%zz:secret@"},
		"form user@tcp(host:3306)": {Kind: "mysql", Query: query, Address: "me:secret@localhost"},
		"form /path/of/the/file":   {Kind: "sqlite", Query: query},
	} {
		if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("want %q, have %v", want, err)
		}
	}
}

// If it fails, the ways to write truth in a database are misread.
func TestParseBool(t *testing.T) {
	for text, want := range map[string]string{
		"": "false", "0": "false", "f": "false", "FALSE": "false", "n": "false", "\x00": "false", "no": "false",
		"1": "true", "t": "true", "True": "true", "Y": "true", "\x01": "true", "on": "true", "2": "error", "maybe": "error",
	} {
		got := "error"
		if b, err := parseBool(text); err == nil {
			got = map[bool]string{true: "true", false: "false"}[b]
		}
		if got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}

// FuzzParseQuery: no statement ends the server, and one without parameters stays as
// it is.
func FuzzParseQuery(f *testing.F) {
	for _, text := range []string{"SELECT password FROM u WHERE n = :user", "':", "--", "/*", "a::b", ":", `'\`, "\"'`"} {
		f.Add(text)
	}
	kind, _ := kindOf("mysql")
	f.Fuzz(func(t *testing.T, text string) {
		q, err := parseQuery(text, kind, "user")
		if err == nil && len(q.params) == 0 && q.text != text {
			t.Errorf("%q has become %q", text, q.text)
		}
		if err == nil && strings.Count(q.text, "?") < len(q.params) {
			t.Errorf("%q: %d parameters, %q", text, len(q.params), q.text)
		}
	})
}
