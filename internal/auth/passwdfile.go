package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"tidemark/sasl"
)

// passwdPoll is how often the file is looked at, at most.
const passwdPoll = 5 * time.Second

// PasswdFileOptions are the settings of NewPasswdFile.
type PasswdFileOptions struct {
	// AllowWeak also takes hashes that can be undone quickly: plain, unsalted, or
	// of a single pass.
	AllowWeak bool
	Log       *slog.Logger     // nil for slog.Default
	Now       func() time.Time // nil for time.Now
}

// PasswdFile is a source that reads Dovecot's passwd-file:
//
//	user:{SCHEME}hash:uid:gid:gecos:home:shell:extra fields
//
// Of the fields after the hash the extra ones count: nologin disables the user,
// allow_nets=NETWORK,… says where the user may come from, and master allows the
// user to act as others. Empty lines and those with # are skipped. The file is read
// again when it changes; while it is broken the users are those it had before.
type PasswdFile struct {
	path string
	opts PasswdFileOptions

	mu      sync.Mutex
	checked time.Time
	stamp   fileStamp
	sum     [sha256.Size]byte
	users   map[string]*Record
	decoy   string
	scram   bool
	changed map[string]struct{} // users who changed or went, of whom Run has not told yet
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// NewPasswdFile reads the file.
func NewPasswdFile(path string, opts PasswdFileOptions) (*PasswdFile, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	f := &PasswdFile{path: path, opts: opts}
	return f, f.Reload()
}

// Name implements Source.
func (f *PasswdFile) Name() string { return "passwd-file" }

// Lookup implements Source.
func (f *PasswdFile) Lookup(_ context.Context, user string) (*Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	if r, ok := f.users[user]; ok {
		return r, nil
	}
	return nil, ErrNoUser
}

// Scram implements Source: SCRAM needs its own keys, for each user.
func (f *PasswdFile) Scram(h sasl.ScramHash) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return h == sasl.SHA256 && f.scram
}

// Decoy implements Source: it is of the scheme that most users have.
func (f *PasswdFile) Decoy() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.decoy
}

// Reload reads the file now.
func (f *PasswdFile) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	f.stamp, f.checked = fileStamp{info.ModTime(), info.Size()}, f.opts.Now()
	return f.read()
}

// Run looks at the file until ctx ends and calls changed for each user who is not, or
// not in the same way, in it any more. Whoever has such a user's session open should
// end it.
func (f *PasswdFile) Run(ctx context.Context, changed func(user string)) {
	tick := time.NewTicker(passwdPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.poll(changed)
		}
	}
}

// poll does what is due. It is what Run calls.
func (f *PasswdFile) poll(changed func(user string)) {
	f.mu.Lock()
	f.refresh()
	users := f.changed
	f.changed = nil
	f.mu.Unlock()
	for user := range users {
		changed(user)
	}
}

// refresh reads the file if it may have changed. f.mu is held.
func (f *PasswdFile) refresh() {
	now := f.opts.Now()
	if now.Sub(f.checked) < passwdPoll {
		return
	}
	f.checked = now
	info, err := os.Stat(f.path)
	if err == nil {
		stamp := fileStamp{info.ModTime(), info.Size()}
		// A file changed twice within the grain of its time could look unchanged, so
		// a young one is read in any case.
		if stamp == f.stamp && now.Sub(stamp.modified) > 2*passwdPoll {
			return
		}
		f.stamp = stamp
		err = f.read()
	}
	if err != nil {
		f.opts.Log.Error("passwd-file not read; the users stay as they were", "file", f.path, "error", err)
	}
}

func (f *PasswdFile) read() error {
	data, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	if sum == f.sum && f.users != nil {
		return nil
	}
	users, err := parsePasswdFile(data, f.opts.AllowWeak)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.noteChanges(users)
	f.sum, f.users = sum, users
	f.decoy, f.scram = summarise(users)
	return nil
}

// noteChanges keeps the names of those users whose records differ in next.
func (f *PasswdFile) noteChanges(next map[string]*Record) {
	for name, r := range f.users {
		if now := next[name]; now == nil || now.version() != r.version() {
			if f.changed == nil {
				f.changed = map[string]struct{}{}
			}
			f.changed[name] = struct{}{}
		}
	}
}

// summarise returns a hash of the most frequent scheme, and whether all users
// have SCRAM keys.
func summarise(users map[string]*Record) (decoy string, scram bool) {
	count := map[string]int{}
	scram = len(users) > 0
	for _, r := range users {
		scram = scram && (r.Disabled || r.Scram.keys(sasl.SHA256) != nil)
		kind := schemeOf(r.Hash)
		if count[kind]++; r.Hash != "" && (decoy == "" || count[kind] > count[schemeOf(decoy)]) {
			decoy = r.Hash
		}
	}
	return decoy, scram
}

// schemeOf names the kind of a hash, such as CRYPT$6$.
func schemeOf(stored string) string {
	name, encoded, _ := splitScheme(stored)
	if name == "CRYPT" {
		name += encoded[:min(3, len(encoded))]
	}
	return name
}

// parsePasswdFile returns the users by name. One bad line makes the whole file bad,
// so that a mistake in it does not lock out whoever happens to stand there.
func parsePasswdFile(data []byte, allowWeak bool) (map[string]*Record, error) {
	users := map[string]*Record{}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := strings.TrimSpace(string(line))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		r, err := parsePasswdLine(text, allowWeak)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if users[r.Name] != nil {
			return nil, fmt.Errorf("line %d: the user stands there twice", number)
		}
		users[r.Name] = r
	}
	return users, nil
}

func parsePasswdLine(line string, allowWeak bool) (*Record, error) {
	fields := strings.SplitN(line, ":", 8)
	name, err := sasl.PrepareName(fields[0])
	if err != nil {
		return nil, err
	}
	r := &Record{Name: name}
	if len(fields) > 7 {
		if err := r.setExtra(strings.Fields(fields[7])); err != nil {
			return nil, err
		}
	}
	stored := ""
	if len(fields) > 1 {
		stored = fields[1]
	}
	return r, r.SetStored(stored, allowWeak)
}

func (r *Record) setHash(stored string, allowWeak bool) error {
	scheme, encoded, err := splitScheme(stored)
	if err == nil {
		err = checkScheme(stored)
	}
	if err != nil {
		return err
	}
	if schemes[scheme].weak && !allowWeak {
		return fmt.Errorf("{%s} is too weak to be taken without auth.allow_weak_hashes", scheme)
	}
	r.Hash = stored
	switch scheme {
	case "SCRAM-SHA-256":
		r.Scram, err = parseScram(encoded, sasl.SHA256)
	case "SCRAM-SHA-1":
		r.Scram, err = parseScram(encoded, sasl.SHA1)
	}
	return err
}

func (r *Record) setExtra(fields []string) error {
	for _, field := range fields {
		key, value, _ := strings.Cut(strings.TrimPrefix(field, "userdb_"), "=")
		switch key {
		case "nologin":
			r.Disabled = r.Disabled || !isNo(value)
		case "master":
			r.Master = !isNo(value)
		case "allow_nets":
			networks, err := ParseNetworks(value)
			if err != nil {
				return fmt.Errorf("allow_nets: %w", err)
			}
			r.Networks = networks
		case "nopassword":
			return errors.New("nopassword would let anybody in")
		}
	}
	return nil
}

func isNo(value string) bool { return strings.EqualFold(value, "n") || strings.EqualFold(value, "no") }

// parseNetwork reads a network, or an address as a network of one.
func parseNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}
