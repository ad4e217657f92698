package config

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Setting describes one setting for people.
type Setting struct {
	Section string `json:"section"`
	Name    string `json:"name"`
	Doc     string `json:"doc"`     // from the field's comment; one paragraph
	Allowed string `json:"allowed"` // what values look like
	Default string `json:"default"` // as TOML
	Value   string `json:"value"`   // as TOML
}

// Key returns "section.name".
func (s Setting) Key() string { return s.Section + "." + s.Name }

// Settings returns every setting with its present value, in the order of the
// struct.
func (c *Config) Settings() []Setting {
	var list []Setting
	now, std := reflect.ValueOf(c).Elem(), reflect.ValueOf(Default()).Elem()
	for i := range sectionNames() {
		section := now.Type().Field(i).Tag.Get("toml")
		table := now.Field(i)
		for j := range table.NumField() {
			f := table.Type().Field(j)
			s := Setting{
				Section: section,
				Name:    f.Tag.Get("toml"),
				Allowed: allowed(f),
				Default: formatValue(std.Field(i).Field(j)),
				Value:   formatValue(table.Field(j)),
			}
			s.Doc = docs[s.Key()]
			list = append(list, s)
		}
	}
	return list
}

// Changed returns the keys of the settings that differ between two configurations.
func Changed(a, b *Config) []string {
	var keys []string
	bs := b.Settings()
	for i, s := range a.Settings() {
		if s.Value != bs[i].Value {
			keys = append(keys, s.Key())
		}
	}
	return keys
}

func sectionNames() []string { return tags(reflect.TypeFor[Config]()) }

// tags returns the TOML names of a struct's fields.
func tags(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		if t.Field(i).IsExported() {
			names = append(names, t.Field(i).Tag.Get("toml"))
		}
	}
	return names
}

func fieldByTag(v reflect.Value, name string) (reflect.Value, reflect.StructTag, bool) {
	i := slices.Index(tags(v.Type()), name)
	if i < 0 {
		return reflect.Value{}, "", false
	}
	return v.Field(i), v.Type().Field(i).Tag, true
}

// kindName says what TOML calls a value of the type, for messages.
func kindName(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Slice:
		return "a list; write [ ] around the values"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Bool:
		return "true or false, without quotes"
	case t == reflect.TypeFor[KeyPair]():
		return `a pair of files; write { cert = "file", key = "file" }`
	}
	return "a string; write it in quotes"
}

// forms says for each type what its values look like.
var forms = map[reflect.Type]string{
	reflect.TypeFor[int]():            "a whole number",
	reflect.TypeFor[bool]():           "true or false",
	reflect.TypeFor[Size]():           `a size, such as "50MB" or "64MiB"`,
	reflect.TypeFor[Duration]():       `a duration, such as "30s" or "1h30m"`,
	reflect.TypeFor[Address]():        `"host:port", ":port" or "unix:path"`,
	reflect.TypeFor[SocketPath]():     "the path of a socket",
	reflect.TypeFor[OptionalSocket](): "the path of a socket",
	reflect.TypeFor[Path]():           "a path",
	reflect.TypeFor[Hostname]():       "a host name",
	reflect.TypeFor[EmailAddress]():   "an e-mail address",
	reflect.TypeFor[URL]():            `an address such as "https://example.org/directory"`,
	reflect.TypeFor[FileMode]():       `access rights in octal, such as "0660"`,
	reflect.TypeFor[TLSVersion]():     `"1.2" or "1.3"`,
	reflect.TypeFor[LogLevel]():       `"debug", "info", "warn" or "error"`,
	reflect.TypeFor[LogFormat]():      `"text" or "json"`,
	reflect.TypeFor[LDAPURL]():        `"ldap://host", "ldaps://host" or "ldapi:///path"`,
	reflect.TypeFor[Text]():           "a text",
	reflect.TypeFor[UserSource]():     `"store" (the data directory), "passwd-file", "ldap", "sql" or "pam"`,
	reflect.TypeFor[SQLKind]():        `"postgres", "mysql", "sqlite" or ""`,
	reflect.TypeFor[netip.Prefix]():   `address/length, such as "127.0.0.0/8"`,
	reflect.TypeFor[UserRule]():       `text with {common-name}, {email}, {local-part} or {dns}, such as "{common-name}@example.org"`,
	reflect.TypeFor[KeyPair]():        `{ cert = "file", key = "file" }`,
}

// allowed says in words what values a setting may have.
func allowed(f reflect.StructField) string {
	if f.Type.Kind() == reflect.Slice {
		form := forms[f.Type.Elem()]
		if noun, ok := strings.CutPrefix(form, "a "); ok {
			form = noun + "s"
		}
		return "a list of " + form
	}
	text := forms[f.Type]
	if b := (bounds{f.Tag.Get("min"), f.Tag.Get("max")}); b.least != "" {
		text += ", " + b.String()
	}
	return text
}

// formatValue writes a value as TOML.
func formatValue(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = formatValue(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Int:
		if _, ok := v.Interface().(encoding.TextUnmarshaler); !ok {
			return strconv.FormatInt(v.Int(), 10)
		}
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Struct:
		if _, ok := v.Interface().(fmt.Stringer); !ok {
			pairs := make([]string, v.NumField())
			for i := range pairs {
				pairs[i] = v.Type().Field(i).Tag.Get("toml") + " = " + formatValue(v.Field(i))
			}
			return "{ " + strings.Join(pairs, ", ") + " }"
		}
	}
	return strconv.Quote(fmt.Sprint(v.Interface()))
}
