package config

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// textWidth is the length of lines in the example file, in columns.
const textWidth = 88

// WriteExample writes a configuration file that has every setting with its
// documentation, commented out at its default.
func WriteExample(w io.Writer) error {
	b := bufio.NewWriter(w)
	b.WriteString("# The configuration of Tidemark. Every setting stands here with its default: remove the\n" +
		"# \"#\" before a setting to change it. \"tidemark config check\" says whether the file is\n" +
		"# right, and \"tidemark config\" prints the values in force.\n")
	section := ""
	for _, s := range Default().Settings() {
		if s.Section != section {
			section = s.Section
			fmt.Fprintf(b, "\n# %s\n[%s]\n", docs[section], section)
		}
		fmt.Fprintf(b, "\n%s#%s = %s\n", comment(s), s.Name, s.Default)
	}
	return b.Flush()
}

// WriteValues writes every setting of c with its documentation and its present value,
// as a configuration file. Where the value is not the default, that is shown too.
func (c *Config) WriteValues(w io.Writer) error {
	b := bufio.NewWriter(w)
	section := ""
	for _, s := range c.Settings() {
		if s.Section != section {
			if section != "" {
				b.WriteByte('\n')
			}
			section = s.Section
			fmt.Fprintf(b, "# %s\n[%s]\n", docs[section], section)
		}
		fmt.Fprintf(b, "\n%s# Default: %s\n%s = %s\n", comment(s), s.Default, s.Name, s.Value)
	}
	return b.Flush()
}

// WriteReference writes the reference page, in Markdown.
func WriteReference(w io.Writer) error {
	b := bufio.NewWriter(w)
	b.WriteString("# Settings\n\n" +
		"Settings are read from one TOML file, given by `--config` and else `/etc/tidemark/tidemark.toml` if it\n" +
		"is there. Each can also be given on the command line as `--set section.key=value`, which wins over\n" +
		"the file. An unknown key or a bad value stops the program with the line and what is allowed.\n\n" +
		"This page is made from `internal/config/config.go`.\n")
	section := ""
	for _, s := range Default().Settings() {
		if s.Section != section {
			section = s.Section
			fmt.Fprintf(b, "\n## %s\n\n%s\n", section, docs[section])
		}
		fmt.Fprintf(b, "\n### %s\n\n%s\n\n- Value: %s\n- Default: `%s`\n", s.Key(), s.Doc, s.Allowed, s.Default)
	}
	return b.Flush()
}

// comment returns the documentation of a setting as lines that begin with "#".
func comment(s Setting) string {
	var b strings.Builder
	for _, text := range []string{s.Doc, "Value: " + s.Allowed} {
		line := "#"
		for word := range strings.FieldsSeq(text) {
			if len(line)+1+len(word) > textWidth {
				b.WriteString(line + "\n")
				line = "#"
			}
			line += " " + word
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
