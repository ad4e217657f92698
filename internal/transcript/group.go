package transcript

import (
	"fmt"
	"slices"
	"strings"
)

// disconnected stands for the end of the connection.
const disconnected = "(disconnected)"

// group is what a script expects between two client lines of a connection.
type group struct {
	untagged  []Response
	forbidden []Response
	open      bool   // others may come
	end       string // the line that the server sends last, or empty
	ends      []Response
	ended     bool

	expungeWant, expungeGot []uint32
}

func (r *run) newGroup(lines []line) (*group, error) {
	g := &group{}
	for _, l := range lines {
		text := r.substitute(l.text)
		switch {
		case text == rest:
			g.open = true
		case text == disconnected:
			g.end = text
		case strings.HasPrefix(text, "! "):
			resp, err := ParseResponse(text[2:])
			if err != nil {
				return nil, err
			}
			g.forbidden = append(g.forbidden, resp)
		case endsGroup(text):
			if err := g.addEnd(text); err != nil {
				return nil, err
			}
		default:
			resp, err := ParseResponse(text)
			if err != nil {
				return nil, err
			}
			if n, ok := resp.Number(); ok && resp.Name() == "EXPUNGE" {
				g.expungeWant = append(g.expungeWant, n)
				continue
			}
			g.untagged = append(g.untagged, resp)
		}
	}
	return g, nil
}

// substitute puts literals in the place of the files that an expected line
// names; variables are left to the matcher.
func (r *run) substitute(text string) string {
	return filePattern.ReplaceAllStringFunc(text, func(s string) string {
		content, ok := r.script.files[strings.Trim(s, "{}")]
		if !ok {
			return s
		}
		return fmt.Sprintf("{%d}\r\n%s", len(content), content)
	})
}

// addEnd parses a tagged line, of which the status may be an alternative.
func (g *group) addEnd(text string) error {
	g.end = text
	tag, after, _ := strings.Cut(text, " ")
	status, after, _ := strings.Cut(after, " ")
	for s := range strings.SplitSeq(status, "|") {
		one := strings.TrimSpace(tag + " " + s + " " + after)
		if tag == "+" {
			one = text
		}
		resp, err := ParseResponse(one)
		if err != nil {
			return err
		}
		g.ends = append(g.ends, resp)
	}
	return nil
}

// finished says whether nothing more has to be read.
func (g *group) finished() bool {
	if g.end != "" {
		return g.ended
	}
	return len(g.untagged) == 0 && len(g.expungeGot) >= len(g.expungeWant)
}

// take accounts for one response.
func (g *group) take(r *run, got Response) error {
	for _, f := range g.forbidden {
		if match(f, got, r.vars) != nil {
			return fmt.Errorf("must not come: %.300s", got.Raw)
		}
	}
	if got.Tag != "*" {
		if g.open && g.end == disconnected {
			return nil
		}
		for _, want := range g.ends {
			if vars := match(want, got, r.vars); vars != nil {
				r.vars, g.ended = vars, true
				return nil
			}
		}
		return fmt.Errorf("got %.300q, expected %s", got.Raw, g.missing())
	}
	if n, ok := got.Number(); ok && got.Name() == "EXPUNGE" {
		g.expungeGot = append(g.expungeGot, n)
		if !g.open && len(g.expungeGot) > len(g.expungeWant) {
			return fmt.Errorf("unexpected: %s", got.Raw)
		}
		return nil
	}
	for i, want := range g.untagged {
		if vars := match(want, got, r.vars); vars != nil {
			r.vars = vars
			g.untagged = slices.Delete(g.untagged, i, i+1)
			return nil
		}
	}
	if g.open || informs(got) {
		return nil
	}
	return fmt.Errorf("got %.300q, expected %s", got.Raw, g.missing())
}

// informs says whether a response is one that may come at any time and that a
// client may ignore.
func informs(r Response) bool {
	switch r.Name() {
	case "OK", "FLAGS", "RECENT", "CAPABILITY":
		return true
	}
	return false
}

// complete says what did not come.
func (g *group) complete(r *run) error {
	want, got := expungedPositions(g.expungeWant), expungedPositions(g.expungeGot)
	if !g.open && !slices.Equal(want, got) || g.open && len(want) > 0 && !slices.Equal(want, got) {
		return fmt.Errorf("EXPUNGE removed positions %v, expected %v", got, want)
	}
	if len(g.untagged) > 0 {
		return fmt.Errorf("did not come: %s", g.missing())
	}
	return nil
}

func (g *group) missing() string {
	var parts []string
	for _, u := range g.untagged {
		parts = append(parts, fmt.Sprintf("%.300q", u.Raw))
	}
	for _, n := range g.expungeWant[min(len(g.expungeGot), len(g.expungeWant)):] {
		parts = append(parts, fmt.Sprintf("%d EXPUNGE", n))
	}
	if g.end != "" {
		parts = append(parts, fmt.Sprintf("%q", g.end))
	}
	if len(parts) == 0 {
		return "nothing more"
	}
	return strings.Join(parts, ", ")
}
