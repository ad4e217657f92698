package sqlsource

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// query is an operator's statement in the form of the database, with the names of
// its parameters in the order in which they are bound.
type query struct {
	text   string
	params []string
}

// parseQuery replaces the parameters of a statement, such as :user, by what the
// database has for them. What stands in quotes and comments stays as it is.
func parseQuery(text string, kind *kind, known ...string) (*query, error) {
	q := &query{}
	var out strings.Builder
	for i := 0; i < len(text); {
		if end := skipQuoted(text, i, kind.backslash); end > i {
			if name := findParam(text[i:end], known); name != "" && text[i] != '-' && text[i] != '/' {
				return nil, fmt.Errorf(":%s stands in quotes; it is a value, which needs none", name)
			}
			out.WriteString(text[i:end])
			i = end
			continue
		}
		switch name := paramAt(text, i); {
		case strings.HasPrefix(text[i:], "::"): // a cast of PostgreSQL
			out.WriteString("::")
			i += 2
		case name != "":
			if !slices.Contains(known, name) {
				return nil, fmt.Errorf(":%s is not known here; there are :%s", name, strings.Join(known, ", :"))
			}
			out.WriteString(q.bind(name, kind))
			i += 1 + len(name)
		case text[i] == '?' && !kind.numbered:
			return nil, errors.New("? does not say which value is meant; write :user")
		default:
			out.WriteByte(text[i])
			i++
		}
	}
	q.text = out.String()
	return q, nil
}

// bind returns the placeholder of a parameter.
func (q *query) bind(name string, kind *kind) string {
	if !kind.numbered {
		q.params = append(q.params, name)
		return "?"
	}
	n := slices.Index(q.params, name)
	if n < 0 {
		n = len(q.params)
		q.params = append(q.params, name)
	}
	return "$" + strconv.Itoa(n+1)
}

// args returns the values of the parameters.
func (q *query) args(values map[string]string) []any {
	args := make([]any, len(q.params))
	for i, name := range q.params {
		args[i] = values[name]
	}
	return args
}

// has says whether the statement depends on one of the parameters.
func (q *query) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(q.params, name) })
}

// skipQuoted returns the end of the string, quoted name or comment that begins at i,
// and i if none does.
func skipQuoted(text string, i int, backslash bool) int {
	until := func(end string) int {
		if n := strings.Index(text[i+2:], end); n >= 0 {
			return i + 2 + n + len(end)
		}
		return len(text)
	}
	switch rest := text[i:]; {
	case strings.HasPrefix(rest, "--"):
		return until("\n")
	case strings.HasPrefix(rest, "/*"):
		return until("*/")
	case rest[0] == '\'' || rest[0] == '"' || rest[0] == '`':
		return quoteEnd(text, i, backslash)
	}
	return i
}

// quoteEnd returns the end of the quotes that begin at i. A quote that is doubled
// ends one string and begins the next, which comes to the same.
func quoteEnd(text string, i int, backslash bool) int {
	for j := i + 1; j < len(text); j++ {
		switch {
		case text[j] == '\\' && backslash:
			j++
		case text[j] == text[i]:
			return j + 1
		}
	}
	return len(text)
}

// paramAt returns the name of the parameter at i, empty if none begins there.
func paramAt(text string, i int) string {
	if text[i] != ':' {
		return ""
	}
	name := text[i+1:]
	if end := strings.IndexFunc(name, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }); end >= 0 {
		name = name[:end]
	}
	return name
}

// findParam returns the first known parameter in a text.
func findParam(text string, known []string) string {
	for i := range text {
		if name := paramAt(text, i); slices.Contains(known, name) {
			return name
		}
	}
	return ""
}
