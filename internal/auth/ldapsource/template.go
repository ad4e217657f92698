package ldapsource

import (
	"fmt"
	"strings"

	"tidemark/internal/auth"
)

// template is text with the fields {user}, {local} and {domain}.
type template struct {
	text   string
	escape func(string) string
}

// parseTemplate reads a template. escape makes a user's name harmless within it.
func parseTemplate(text string, escape func(string) string) (*template, error) {
	t := &template{text: text, escape: escape}
	known := strings.NewReplacer("{user}", "", "{local}", "", "{domain}", "").Replace(text)
	if strings.ContainsAny(known, "{}") {
		return nil, fmt.Errorf("%q has a field that is unknown; there are {user}, {local} and {domain}", text)
	}
	if !strings.Contains(text, "{user}") && !strings.Contains(text, "{local}") {
		return nil, fmt.Errorf("%q would be the same for every user; write {user} or {local} in it", text)
	}
	if i := strings.IndexByte(text, '%'); i >= 0 && i+1 < len(text) && strings.IndexByte("undLs", text[i+1]) >= 0 {
		return nil, fmt.Errorf("%q has %s, which is not replaced here; write {user}", text, text[i:i+2])
	}
	return t, nil
}

// expand puts in a user.
func (t *template) expand(user string) string {
	local, domain := auth.SplitName(user)
	return strings.NewReplacer(
		"{user}", t.escape(user), "{local}", t.escape(local), "{domain}", t.escape(domain),
	).Replace(t.text)
}
