// Command bench measures Tidemark beside Dovecot on one machine: both are driven by the
// same clients, in turn, and what they deliver and what they cost is put side by side.
// See NOTES.md for how to read the results.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"

	"tidemark/bench/peer"
)

type options struct {
	tidemark string // the binary
	settings listFlag
	dir      string // where both servers keep everything
	keep     bool   // dir was given: it stays, with its mailboxes for the next run
	out      string
	rounds   int
	messages int // in the big mailbox
	only     *regexp.Regexp
	servers  string
	quick    bool
	big      bool
	sessions int
	resume   bool
}

type listFlag []string

func (l *listFlag) String() string     { return strings.Join(*l, " ") }
func (l *listFlag) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	opts, err := parseFlags()
	if err == nil {
		err = run(opts)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// resultsFile is where a complete run leaves its table.
const resultsFile = "bench/RESULTS.md"

func parseFlags() (*options, error) {
	o := &options{}
	only := flag.String("only", "", "run the workloads whose names match this regular `expression`")
	flag.StringVar(&o.tidemark, "tidemark", "./tidemark", "the `binary` to measure")
	flag.Var(&o.settings, "set", "a `section.key=value` for Tidemark; may be repeated")
	flag.StringVar(&o.dir, "dir", "", "`directory` for both servers; it is kept, and what it holds is used again")
	flag.StringVar(&o.out, "out", "", "`file` for the table (a complete run: "+resultsFile+"); the figures go beside it as JSON")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each workload is run on each server")
	flag.IntVar(&o.messages, "messages", 100_000, "messages in the big mailbox; the other mailboxes and workloads follow")
	flag.StringVar(&o.servers, "servers", "tidemark,dovecot", "what to measure")
	flag.BoolVar(&o.quick, "quick", false, "one round of everything, small: to see that it works")
	flag.BoolVar(&o.big, "big", false, "also 10,000 idle sessions, and a mailbox ten times as big")
	flag.IntVar(&o.sessions, "sessions", 0, "idle sessions whose memory is measured, instead of 1,000 (and 10,000)")
	flag.BoolVar(&o.resume, "resume", false, "let clients resume TLS sessions")
	flag.Parse()
	if flag.NArg() > 0 {
		return nil, fmt.Errorf("%q is too much", flag.Arg(0))
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return nil, err
	}
	if o.quick {
		o.rounds, o.messages = 1, min(o.messages, 2000)
	}
	if o.out == "" && !o.quick && *only == "" {
		o.out = resultsFile
	}
	if o.keep = o.dir != ""; o.keep {
		o.dir, err = filepath.Abs(o.dir)
	}
	return o, err
}

// scaled makes a count for a full run smaller for a quick one.
func (o *options) scaled(n int) int {
	if o.quick {
		return max(n/20, 2)
	}
	return n
}

func run(o *options) (err error) {
	// The generator makes little garbage and should spend little on it.
	debug.SetGCPercent(800)
	if err := raiseFileLimit(); err != nil {
		return err
	}
	if err := makeDir(o); err != nil {
		return err
	}
	if !o.keep {
		defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer func() { err = errors.Join(err, b.stop()) }()
	results, err := b.run(ctx)
	if err != nil {
		return err
	}
	return publish(o, b, results)
}

// raiseFileLimit allows as many connections as the system does.
func raiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		more := syscall.Rlimit{Cur: 1 << 17, Max: 1 << 17}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &more) == nil {
			return nil
		}
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// makeDir makes the directory of a run. Dovecot's processes, which are other users, must
// be able to pass through it.
func makeDir(o *options) (err error) {
	if o.keep {
		return os.MkdirAll(o.dir, 0o755)
	}
	if o.dir, err = os.MkdirTemp("", "tidemark-bench-"); err != nil {
		return err
	}
	return os.Chmod(o.dir, 0o755)
}

// loadUsers returns the users of a directory that is used again, or makes them.
func loadUsers(dir string, n int) ([]peer.User, error) {
	file := filepath.Join(dir, "users")
	data, err := os.ReadFile(file)
	if err == nil { // of the same number, as it was written by this program
		var users []peer.User
		for line := range strings.Lines(string(data)) {
			name, password, _ := strings.Cut(strings.TrimSpace(line), " ")
			users = append(users, peer.User{Name: name, Password: password})
		}
		return users, nil
	}
	users := peer.Users(n)
	var b strings.Builder
	for _, u := range users {
		fmt.Fprintln(&b, u.Name, u.Password)
	}
	return users, os.WriteFile(file, []byte(b.String()), 0o600)
}
