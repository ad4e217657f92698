package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Error is one mistake in the configuration.
type Error struct {
	File   string // empty for a value given on the command line
	Line   int    // from 1; 0 where unknown
	Column int
	Key    string // "section.key"; empty for a mistake of syntax
	Text   string // what is wrong and what is allowed
}

func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.File == "":
		b.WriteString("--set")
	case e.Line == 0:
		b.WriteString(e.File)
	default:
		fmt.Fprintf(&b, "%s:%d:%d", e.File, e.Line, e.Column)
	}
	b.WriteString(": ")
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Text)
	return b.String()
}

// Load reads the configuration: the defaults, then the file unless its name is
// empty, then the settings of the form "section.key=value". It reports every
// mistake it finds, as *Error joined by errors.Join.
func Load(file string, set []string) (*Config, error) {
	c := Default()
	var errs []error
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		base, err := filepath.Abs(filepath.Dir(file))
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		errs = c.merge(file, text, base)
	}
	for _, assignment := range set {
		if err := c.assign(assignment); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		errs = c.checkSockets(file)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return c, nil
}

// checkSockets finds sockets whose path has become too long by lying in the data
// directory.
func (c *Config) checkSockets(file string) (errs []error) {
	check := func(key, path string) {
		if path = c.InDataDir(path); len(path) > maxSocketPath {
			errs = append(errs, &Error{File: file, Key: key, Text: fmt.Sprintf(
				"the path %s has %d bytes, of which the system allows %d for a socket; write a shorter absolute path", path, len(path), maxSocketPath)})
		}
	}
	check("admin.socket", string(c.Admin.Socket))
	check("auth.dovecot_socket", string(c.Auth.DovecotSocket))
	for _, a := range c.LMTP.Listen {
		if network, path := a.Network(); network == "unix" {
			check("lmtp.listen", path)
		}
	}
	return errs
}

// merge takes over what the text of a configuration file sets.
func (c *Config) merge(file string, text []byte, base string) (errs []error) {
	var doc map[string]any
	if err := toml.Unmarshal(text, &doc); err != nil {
		e := &Error{File: file, Text: err.Error()}
		if d, ok := errors.AsType[*toml.DecodeError](err); ok {
			e.Line, e.Column = d.Position()
			e.Text = strings.TrimPrefix(d.Error(), "toml: ")
		}
		return []error{e}
	}
	at := positions(text)
	fail := func(key, text string) {
		p := at.find(key)
		errs = append(errs, &Error{File: file, Line: p.Line, Column: p.Column, Key: key, Text: text})
	}
	for section, content := range doc {
		table, ok := content.(map[string]any)
		switch {
		case !slices.Contains(sectionNames(), section):
			fail(section, unknown("section", section, sectionNames()))
			continue
		case !ok:
			fail(section, fmt.Sprintf("a section, not a setting; write [%s] and the settings below it", section))
			continue
		}
		for name, value := range table {
			key := section + "." + name
			if err := c.setKey(key, value, base); err != nil {
				fail(key, err.Error())
			}
		}
	}
	slices.SortStableFunc(errs, func(a, b error) int { return a.(*Error).Line - b.(*Error).Line })
	return errs
}
