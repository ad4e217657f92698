package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Error is one mistake in the configuration.
type Error struct {
	Set    bool   // the value was given on the command line
	File   string // empty where the value stands in no file
	Line   int    // from 1; 0 where unknown
	Column int
	Key    string // "section.key" or "section"; empty for a mistake of syntax
	Text   string // what is wrong and what is allowed
}

func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Set:
		b.WriteString("--set: ")
	case e.File == "":
	case e.Line == 0:
		b.WriteString(e.File + ": ")
	default:
		fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	}
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
			return nil, &Error{File: file, Text: fmt.Sprintf("the configuration cannot be read: %v", reason(err))}
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
		errs = c.checkSockets()
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return c, nil
}

// checkSockets finds sockets whose path has become too long by lying in the data
// directory.
func (c *Config) checkSockets() (errs []error) {
	check := func(key, path string) {
		if path = c.InDataDir(path); len(path) > maxSocketPath {
			errs = append(errs, c.Mistake(key, fmt.Errorf(
				"the path %s has %d bytes, of which the system allows %d for a socket; write a shorter absolute path",
				path, len(path), maxSocketPath)))
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
	c.source.file, c.source.at = file, at
	fail := func(key, text string) {
		p := at.find(key)
		errs = append(errs, &Error{File: file, Line: p.Line, Column: p.Column, Key: key, Text: text})
	}
	for section, content := range doc {
		table, isTable := content.(map[string]any)
		isSection := slices.Contains(sectionNames(), section)
		switch {
		case !isTable && isSection:
			fail(section, fmt.Sprintf("a section, not a setting; write [%s] and the settings below it", section))
			continue
		case !isTable:
			fail(section, outsideSection(section))
			continue
		case !isSection:
			fail(section, unknown("section", section, sectionNames()))
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

// outsideSection says that a setting stands in no section, and which one is nearest.
func outsideSection(name string) string {
	var nearest Setting
	for _, s := range Default().Settings() {
		if nearest.Name == "" || distance(name, s.Name) < distance(name, nearest.Name) {
			nearest = s
		}
	}
	return fmt.Sprintf("unknown setting, and not in a section; the nearest one is %s, which is written as %q below [%s]",
		nearest.Key(), nearest.Name, nearest.Section)
}

// source is where the settings were given.
type source struct {
	file string
	at   positionsByKey  // in the file
	set  map[string]bool // the keys given on the command line
}

// Mistake returns err as a mistake in a setting, "section.key", or in a whole section,
// with the place at which it was given.
func (c *Config) Mistake(key string, err error) error {
	e := &Error{Key: key, Set: c.source.set[key], Text: reason(err).Error()}
	if e.Set {
		return e
	}
	e.File = c.source.file
	section, _, _ := strings.Cut(key, ".")
	for _, place := range []string{key, section} {
		if p, ok := c.source.at[place]; ok {
			e.Line, e.Column = p.Line, p.Column
			break
		}
	}
	return e
}

// reason puts the errors that a file name earns in words.
func reason(err error) error {
	failed, ok := errors.AsType[*fs.PathError](err)
	switch {
	case !ok:
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no file %s", failed.Path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("user %s may not read %s", userName(), failed.Path)
	}
	return err
}

// userName names the user of this process.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}
