package config

import (
	"encoding"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// assign takes over one "section.key=value" of the command line. Strings need no
// quotes there, and lists no brackets.
func (c *Config) assign(assignment string) error {
	key, text, ok := strings.Cut(assignment, "=")
	if !ok || !strings.Contains(key, ".") {
		return &Error{Set: true, Text: fmt.Sprintf("%q is not of the form section.key=value", assignment)}
	}
	key = strings.TrimSpace(key)
	field, bounds, err := c.field(key)
	if err == nil {
		err = setText(field, text)
	}
	if err == nil {
		err = bounds.check(field)
	}
	if err != nil {
		return &Error{Set: true, Key: key, Text: err.Error()}
	}
	if c.source.set == nil {
		c.source.set = make(map[string]bool)
	}
	c.source.set[key] = true
	return nil
}

// setText reads a value as the command line has it. A relative path begins at the
// working directory.
func setText(field reflect.Value, text string) error {
	base, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the working directory: %w", err)
	}
	if field.Kind() != reflect.Slice {
		if text, err = unquote(text); err != nil {
			return err
		}
	}
	var value any = text
	switch field.Kind() {
	case reflect.Slice:
		if value, err = listOf(text); err != nil {
			return err
		}
	case reflect.Int:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			value = n
		}
	case reflect.Bool:
		if on, ok := map[string]bool{"true": true, "false": false}[text]; ok {
			value = on
		}
	}
	return set(field, value, base)
}

// unquote takes the quotes off a value that is written as a string of TOML, as it would
// stand in the file.
func unquote(text string) (string, error) {
	if !strings.HasPrefix(text, `"`) && !strings.HasPrefix(text, "'") {
		return text, nil
	}
	var doc struct{ V string }
	if err := toml.Unmarshal([]byte("V = "+text), &doc); err != nil {
		return "", errors.New("begins with a quote and is no string of TOML; write it without quotes")
	}
	return doc.V, nil
}

// listOf reads a list: "[...]" as in TOML, else values separated by commas.
func listOf(text string) (any, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "[") {
		var doc struct{ V []any }
		if err := toml.Unmarshal([]byte("V = "+text), &doc); err != nil {
			return nil, errors.New(`not a list; write values separated by commas, or ["one", "two"]`)
		}
		return doc.V, nil
	}
	list := []any{}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list, nil
}

func (c *Config) setKey(key string, value any, base string) error {
	field, bounds, err := c.field(key)
	if err != nil {
		return err
	}
	if err := set(field, value, base); err != nil {
		return err
	}
	return bounds.check(field)
}

// field returns the setting named "section.key" and its bounds.
func (c *Config) field(key string) (reflect.Value, bounds, error) {
	section, name, _ := strings.Cut(key, ".")
	table, _, ok := fieldByTag(reflect.ValueOf(c).Elem(), section)
	if !ok {
		return table, bounds{}, errors.New(unknown("section", section, sectionNames()))
	}
	field, tag, ok := fieldByTag(table, name)
	if !ok {
		return field, bounds{}, errors.New(unknown("setting", name, tags(table.Type())))
	}
	return field, bounds{tag.Get("min"), tag.Get("max")}, nil
}

// bounds is the least and the greatest value of a setting as its struct tag has
// them, in the form of the setting; both are empty where there are none.
type bounds struct{ least, greatest string }

func (b bounds) check(field reflect.Value) error {
	if b.least == "" {
		return nil
	}
	least, greatest := b.number(field.Type(), b.least), b.number(field.Type(), b.greatest)
	if n := field.Int(); n < least || n > greatest {
		return fmt.Errorf("%s is out of range; allowed is %s", formatValue(field), b)
	}
	return nil
}

func (b bounds) String() string { return b.least + " to " + b.greatest }

// number reads a bound in the form of the field's type. The bounds are constants of
// this package, so that a mistake in them is a programmer's.
func (bounds) number(t reflect.Type, text string) int64 {
	v := reflect.New(t)
	if u, ok := v.Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			panic(fmt.Sprintf("config: bound %q: %v", text, err))
		}
		return v.Elem().Int()
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("config: bound %q: %v", text, err))
	}
	return n
}

// set converts a value as TOML has it to the field's type.
func set(field reflect.Value, value any, base string) error {
	if u, ok := field.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return setScalar(field, u, value, base)
	}
	switch v := value.(type) {
	case []any:
		if field.Kind() == reflect.Slice {
			return setList(field, v, base)
		}
	case map[string]any:
		if field.Kind() == reflect.Struct {
			return setTable(field, v, base)
		}
	case int64:
		if field.Kind() == reflect.Int {
			field.SetInt(v)
			return nil
		}
	case bool:
		if field.Kind() == reflect.Bool {
			field.SetBool(v)
			return nil
		}
	}
	return fmt.Errorf("%s is not %s", literal(value), kindName(field.Type()))
}

func setScalar(field reflect.Value, u encoding.TextUnmarshaler, value any, base string) error {
	text, ok := value.(string)
	if n, isInt := value.(int64); isInt {
		switch u.(type) {
		case *Size, *Duration: // a duration refuses it and asks for a unit
			text, ok = strconv.FormatInt(n, 10), true
		}
	}
	if !ok {
		return fmt.Errorf("%s is not %s", literal(value), kindName(field.Type()))
	}
	if err := u.UnmarshalText([]byte(text)); err != nil {
		return fmt.Errorf("%s is %w", literal(value), valueError(field, err))
	}
	if p, ok := u.(*Path); ok {
		p.resolve(base)
	}
	return nil
}

// valueError replaces the errors of types that are not ours.
func valueError(field reflect.Value, err error) error {
	if field.Type().PkgPath() == "net/netip" {
		return errors.New(`not a network; write address/length, such as "127.0.0.0/8" or "fd00::/8"`)
	}
	return err
}

func setList(field reflect.Value, items []any, base string) error {
	list := reflect.MakeSlice(field.Type(), len(items), len(items))
	for i, item := range items {
		if err := set(list.Index(i), item, base); err != nil {
			return err
		}
	}
	field.Set(list)
	return nil
}

// setTable fills a struct within a list. Every key must be there.
func setTable(field reflect.Value, table map[string]any, base string) error {
	names := tags(field.Type())
	for name := range table {
		if !slices.Contains(names, name) {
			return errors.New(unknown("key", name, names))
		}
	}
	for _, name := range names {
		value, ok := table[name]
		if !ok {
			return fmt.Errorf("%q is missing; each entry needs %s", name, strings.Join(names, " and "))
		}
		f, _, _ := fieldByTag(field, name)
		if err := set(f, value, base); err != nil {
			return err
		}
	}
	return nil
}

// unknown says that there is no such name, what was probably meant, and what there
// is.
func unknown(what, name string, known []string) string {
	for _, k := range known {
		if distance(name, k) <= 2 {
			return fmt.Sprintf("unknown %s; did you mean %q?", what, k)
		}
	}
	return fmt.Sprintf("unknown %s; there are %s", what, strings.Join(known, ", "))
}

// distance is the number of letters to change to come from a to b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// literal writes a value as TOML has it, for messages.
func literal(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = literal(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprint(value)
}
