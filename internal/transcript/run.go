package transcript

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// stepTimeout bounds each read and write. Only failure ever reaches it.
const stepTimeout = 3 * time.Minute

type run struct {
	script *Script
	target Target
	mode   string
	vars   variables
	conns  map[string]*Conn
	log    strings.Builder // the dialogue as it happened
}

// Run runs the script in one of its modes. The users must exist and have no mail.
// An error tells the line and what was said up to there.
func (s *Script) Run(ctx context.Context, t Target, mode string) error {
	r := &run{script: s, target: t, mode: mode, vars: variables{}, conns: map[string]*Conn{}}
	for _, u := range s.Users {
		name, password := t.Login(u)
		r.vars["<"+u+">"], r.vars["<password>"] = name, password
	}
	defer func() {
		for _, c := range r.conns {
			c.Close() // the server may have ended it already
		}
	}()
	if err := r.setup(ctx); err != nil {
		return fmt.Errorf("%s: setup: %w", s.Name, err)
	}
	for i := 0; i < len(s.lines); {
		n, err := r.step(ctx, s.lines[i:])
		if err != nil {
			return fmt.Errorf("%s (%s): line %d: %w\n%s", s.Name, mode, s.lines[i].no, err, r.log.String())
		}
		i += n
	}
	return nil
}

// step does one client line, one check or one group of server lines, and
// returns how many lines that were.
func (r *run) step(ctx context.Context, lines []line) (int, error) {
	l := lines[0]
	switch l.kind {
	case lineCheck:
		return 1, r.check(l.text)
	case lineSend:
		c, err := r.conn(ctx, l.conn)
		if err != nil {
			return 1, err
		}
		return 1, r.send(ctx, c, l)
	}
	n := 0
	for n < len(lines) && lines[n].kind == lineExpect && lines[n].conn == l.conn {
		n++
		if endsGroup(lines[n-1].text) {
			break
		}
	}
	c, err := r.conn(ctx, l.conn)
	if err != nil {
		return n, err
	}
	return n, r.expect(c, lines[:n])
}

// endsGroup says whether the expected line is one that the server sends last.
func endsGroup(text string) bool {
	return !strings.HasPrefix(text, "*") && !strings.HasPrefix(text, "!") && text != rest
}

func (r *run) setup(ctx context.Context) error {
	if len(r.script.mailboxes)+len(r.script.messages) == 0 {
		return nil
	}
	c, err := Dial(ctx, r.target, false, stepTimeout)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := r.login(c, "rev1"); err != nil {
		return err
	}
	for _, name := range r.script.mailboxes {
		if err := succeed(c, "CREATE "+name); err != nil {
			return err
		}
	}
	for _, m := range r.script.messages {
		content, ok := r.script.files[m.file]
		if !ok {
			return fmt.Errorf("no file %q", m.file)
		}
		args := m.args
		if args != "" && !strings.HasPrefix(args, `"`) {
			flags, date, ok := strings.Cut(args, ` "`)
			args = "(" + flags + ")"
			if ok {
				args += ` "` + date
			}
		}
		if args != "" {
			args += " "
		}
		if err := succeed(c, "APPEND "+m.mailbox+" "+args+LiteralMark, content); err != nil {
			return err
		}
	}
	return succeed(c, "LOGOUT")
}

func (r *run) login(c *Conn, mode string) error {
	if greeting, err := c.Read(); err != nil || greeting.Status != "OK" {
		return fmt.Errorf("greeting %q, %w", greeting.Raw, err)
	}
	if err := succeed(c, fmt.Sprintf("LOGIN %q %q", r.vars["<alice>"], r.vars["<password>"])); err != nil {
		return err
	}
	if mode == "rev2" {
		return succeed(c, "ENABLE IMAP4rev2")
	}
	return nil
}

func succeed(c *Conn, text string, literals ...string) error {
	_, done, err := c.Command(text, literals...)
	if err == nil && done.Status != "OK" {
		err = fmt.Errorf("%.60q got %q", text, done.Raw)
	}
	return err
}

func (r *run) conn(ctx context.Context, id string) (*Conn, error) {
	if c, ok := r.conns[id]; ok {
		return c, nil
	}
	c, err := Dial(ctx, r.target, r.script.plain, stepTimeout)
	if err != nil {
		return nil, err
	}
	r.conns[id] = c
	if r.script.raw {
		return c, nil
	}
	return c, r.login(c, r.mode)
}

func (r *run) send(ctx context.Context, c *Conn, l line) error {
	text, literal, err := r.expand(l.text)
	if err != nil {
		return err
	}
	fmt.Fprintf(&r.log, "  C%s: %.300s\n", l.conn, text)
	switch {
	case text == "(disconnect)":
		delete(r.conns, l.conn)
		return c.Close()
	case text == "(starttls)":
		return c.StartTLS(ctx, r.target.TLSConfig)
	case strings.HasPrefix(text, "(bytes "):
		octets, err := strconv.Unquote(strings.TrimSuffix(strings.TrimPrefix(text, "(bytes "), ")"))
		if err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
		_, err = io.WriteString(c, octets)
		return err
	}
	for _, lit := range literal {
		before, after, _ := strings.Cut(text, lit.mark)
		announce := fmt.Sprintf("%s{%d%s}\r\n", before, len(lit.content), lit.plus)
		if lit.plus != "" {
			announce += lit.content
		}
		if _, err := io.WriteString(c, announce); err != nil {
			return err
		}
		text = after
		if lit.plus == "" {
			if err := r.expect(c, []line{{conn: l.conn, text: "+", no: l.no}}); err != nil {
				return err
			}
			text = lit.content + after
		}
	}
	_, err = io.WriteString(c, text+"\r\n")
	return err
}

type fileLiteral struct{ mark, content, plus string }

var (
	repeatPattern = regexp.MustCompile(`\(repeat (\d+) ([^)]*)\)`)
	base64Pattern = regexp.MustCompile(`\(base64 ([^)]*)\)`)
	filePattern   = regexp.MustCompile(`\{([a-z][\w.-]*)(\+?)\}`)
)

// expand replaces variables and the inline forms of a client line, and returns
// the files that it names.
func (r *run) expand(text string) (string, []fileLiteral, error) {
	for name, value := range r.vars {
		text = strings.ReplaceAll(text, name, value)
	}
	text = repeatPattern.ReplaceAllStringFunc(text, func(s string) string {
		m := repeatPattern.FindStringSubmatch(s)
		n, _ := strconv.Atoi(m[1])
		return strings.Repeat(m[2], n)
	})
	text = base64Pattern.ReplaceAllStringFunc(text, func(s string) string {
		plain := strings.ReplaceAll(base64Pattern.FindStringSubmatch(s)[1], `\0`, "\x00")
		return base64.StdEncoding.EncodeToString([]byte(plain))
	})
	if strings.HasPrefix(text, "(bytes ") {
		return text, nil, nil
	}
	var literals []fileLiteral
	for _, m := range filePattern.FindAllStringSubmatch(text, -1) {
		content, ok := r.script.files[m[1]]
		if !ok {
			return "", nil, fmt.Errorf("no file %q", m[1])
		}
		literals = append(literals, fileLiteral{m[0], content, m[2]})
	}
	return text, literals, nil
}

// expect reads responses until the group of lines is satisfied, or cannot be.
func (r *run) expect(c *Conn, lines []line) error {
	g, err := r.newGroup(lines)
	if err != nil {
		return err
	}
	for !g.finished() {
		got, err := c.Read()
		if err != nil {
			if g.end == disconnected && !errors.Is(err, os.ErrDeadlineExceeded) {
				return g.complete(r)
			}
			return fmt.Errorf("waiting for %s: %w", g.missing(), err)
		}
		fmt.Fprintf(&r.log, "  S%s: %.300s\n", lines[0].conn, got.Raw)
		if err := g.take(r, got); err != nil {
			return err
		}
	}
	if g.end == "" {
		if err := r.drain(c, g, lines[0].conn); err != nil {
			return err
		}
	}
	return g.complete(r)
}

// drain takes what comes right after a group that no tagged response ends.
func (r *run) drain(c *Conn, g *group, conn string) error {
	if c.r.Buffered() == 0 {
		return nil
	}
	got, err := c.Read()
	if err != nil {
		return err
	}
	fmt.Fprintf(&r.log, "  S%s: %.300s\n", conn, got.Raw)
	if err := g.take(r, got); err != nil {
		return err
	}
	return r.drain(c, g, conn)
}

// check compares two numbers.
func (r *run) check(text string) error {
	expanded, _, err := r.expand(text)
	if err != nil {
		return err
	}
	f := strings.Fields(expanded)
	if len(f) != 3 {
		return fmt.Errorf("not a comparison: %q", text)
	}
	a, err1 := strconv.ParseUint(f[0], 10, 64)
	b, err2 := strconv.ParseUint(f[2], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	holds := map[string]bool{">": a > b, ">=": a >= b, "=": a == b, "!=": a != b}
	if !holds[f[1]] {
		return fmt.Errorf("%s does not hold: %s", text, expanded)
	}
	return nil
}
