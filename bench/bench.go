package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"tidemark/bench/client"
	"tidemark/bench/peer"
)

// bench is a run: servers and what they are asked to do.
type bench struct {
	opts      *options
	tls       *tls.Config
	users     []peer.User
	servers   []*peer.Server
	workloads []workload
	caps      map[*peer.Server]string
}

// workload is one thing that is measured. It gives one or more rows of the table.
type workload struct {
	name  string
	rows  []row
	needs []string // capabilities, without which a server is passed over
	data  []mailbox
	run   func(*turn) error
}

// row describes one figure of a workload.
type row struct {
	name string
	unit string
	// higher says that more is better, as it is for rates.
	higher bool
	// goal is how many times better than Dovecot Tidemark is meant to be; zero for no
	// goal. Where the goal comes from another server, it is scaled by Dovecot's figure
	// beside that server's.
	goal float64
	// cpuGoal is the same for processor time.
	cpuGoal float64
	// op is what the processor time is counted for.
	op string
}

// figure is what one turn has given for one row.
type figure struct {
	Value     float64       `json:"value"`
	Ops       int           `json:"ops"`
	CPU       time.Duration `json:"cpu_ns"`       // of the server, in all
	Generator time.Duration `json:"generator_ns"` // of this program, in all
	Memory    int64         `json:"memory"`       // of the server after it, PSS in octets
}

// result is what all rounds have given for one row.
type result struct {
	workload string
	row      row
	figures  map[string][]figure // by the server's name
}

// The users after the first userCount are known to servers by a file.
const (
	userCount     = 64
	fileUserCount = 16
)

func newBench(o *options) (*bench, error) {
	b := &bench{opts: o, tls: client.TLS(o.resume), caps: make(map[*peer.Server]string)}
	var err error
	if b.users, err = loadUsers(o.dir, userCount+fileUserCount); err != nil {
		return nil, err
	}
	cert, key, err := peer.Certificate(o.dir)
	if err != nil {
		return nil, err
	}
	po := peer.Options{Dir: o.dir, Cert: cert, Key: key, Users: b.users[:userCount], FileUsers: b.users[userCount:]}
	for name := range strings.SplitSeq(o.servers, ",") {
		var s *peer.Server
		switch name {
		case "tidemark":
			s, err = peer.NewTidemark(o.tidemark, po, o.settings)
		case "dovecot":
			s, err = peer.NewDovecot(po)
		default:
			err = fmt.Errorf("-servers %q is unknown; there are tidemark and dovecot", name)
		}
		if err != nil {
			return nil, err
		}
		b.servers = append(b.servers, s)
	}
	for _, w := range workloads(o) {
		if o.only.MatchString(w.name) {
			b.workloads = append(b.workloads, w)
		}
	}
	if len(b.workloads) == 0 {
		return nil, errors.New("no workload of such a name")
	}
	return b, nil
}

// stop ends all servers.
func (b *bench) stop() error {
	var errs []error
	for _, s := range b.servers {
		errs = append(errs, s.Stop())
	}
	return errors.Join(errs...)
}

// run runs all workloads in turn on all servers. The servers change places from round
// to round, so that neither always comes first.
func (b *bench) run(ctx context.Context) ([]*result, error) {
	for _, s := range b.servers {
		logf("starting %s %s", s.Name, s.Version)
		if err := s.Start(); err != nil {
			return nil, err
		}
		if err := b.askCapabilities(s); err != nil {
			return nil, err
		}
	}
	var results []*result
	for i := range b.workloads {
		w := &b.workloads[i]
		rows, err := b.runWorkload(ctx, w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		results = append(results, rows...)
	}
	return results, nil
}

func (b *bench) runWorkload(ctx context.Context, w *workload) ([]*result, error) {
	var results []*result
	for _, r := range w.rows {
		results = append(results, &result{workload: w.name, row: r, figures: make(map[string][]figure)})
	}
	var able []*peer.Server
	for _, s := range b.servers {
		if lacks := b.lacks(s, w.needs); lacks != "" {
			logf("%s: %s is passed over: it does not announce %s", w.name, s.Name, lacks)
			continue
		}
		if err := b.load(s, w.data); err != nil {
			return nil, fmt.Errorf("load %s: %w", s.Name, err)
		}
		able = append(able, s)
	}
	for round := range b.opts.rounds {
		for _, s := range able {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			t := &turn{bench: b, srv: s, figures: make([]figure, len(w.rows))}
			if err := w.run(t); err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", s.Name, round+1, err)
			}
			for i, f := range t.figures {
				results[i].figures[s.Name] = append(results[i].figures[s.Name], f)
			}
		}
		slices.Reverse(able)
	}
	for _, r := range results {
		logf("%s", summary(r, b.servers))
	}
	return results, nil
}

func (b *bench) askCapabilities(s *peer.Server) error {
	c, err := b.login(s, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Each("CAPABILITY", func(line []byte) { b.caps[s] += " " + string(line) + " " })
}

// lacks returns the first capability that the server does not announce.
func (b *bench) lacks(s *peer.Server, caps []string) string {
	for _, name := range caps {
		if !strings.Contains(b.caps[s], " "+name+" ") {
			return name
		}
	}
	return ""
}

// login connects as the user with that number.
func (b *bench) login(s *peer.Server, user int) (*client.Conn, error) {
	c, err := client.Dial(s.IMAPS, b.tls)
	if err != nil {
		return nil, err
	}
	u := b.users[user]
	if err := c.Login(u.Name, u.Password); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// logf says on standard error what goes on.
func logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}
