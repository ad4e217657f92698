// Package sqlsource takes users from a database that belongs to somebody else, by a
// query that the operator writes: PostgreSQL, MySQL or MariaDB, and SQLite.
package sqlsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"tidemark/imapserver"
	"tidemark/internal/auth"
	"tidemark/sasl"
)

// Options are the settings of New.
type Options struct {
	// Kind is the database: postgres, mysql (MariaDB too) or sqlite.
	Kind string
	// Address is where the database is, without its password: a URL or the key=value
	// form of PostgreSQL, the form user@tcp(host:port)/database of MySQL, or SQLite's
	// file.
	Address string
	// Password is that of the database's user; it may be empty.
	Password string

	// Query finds a user. The name stands in it as :user, and its parts before and
	// after the @ as :local and :domain; each is bound as a value and never becomes
	// part of the statement. It returns no row or one, with the columns
	//
	//	password    a hash, with its scheme or in modular crypt form; NULL for none
	//	disabled    true if the user cannot log in; may be missing
	//	name        the account to open, if it is not the name given; may be missing. It
	//	            is needed where the database takes unlike names for equal.
	//	allow_nets  the networks that the user may come from; may be missing
	Query string
	// Update replaces a user's older hash by a new one after a login; empty for never.
	// It has the new hash as :hash and the one it replaces as :old, beside the
	// parameters of Query.
	Update string

	// AllowWeak also takes hashes that can be undone quickly.
	AllowWeak bool
	// Hasher makes the new hashes. It is needed with Update.
	Hasher *auth.Hasher

	// Timeout is for one query, with the connection that it may need; 0 for 5 s.
	Timeout time.Duration
	// Connections is how many there may be; 0 for 8.
	Connections int

	Log *slog.Logger // nil for slog.Default
}

// Source is a database as a source of users.
type Source struct {
	opts   Options
	db     *sql.DB
	query  *query
	update *query // nil for none
	decoy  atomic.Pointer[string]
}

var _ auth.Recorder = (*Source)(nil)

// New returns a source. A database that cannot be reached is logged and keeps nobody
// from starting; a query that the database does not understand is an error.
func New(ctx context.Context, opts Options) (*Source, error) {
	if opts.Timeout == 0 {
		opts.Timeout = 5 * time.Second
	}
	if opts.Connections == 0 {
		opts.Connections = 8
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	kind, err := kindOf(opts.Kind)
	if err != nil {
		return nil, err
	}
	s := &Source{opts: opts}
	if err := s.parseQueries(kind); err != nil {
		return nil, err
	}
	if s.db, err = kind.open(opts); err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(opts.Connections)
	s.db.SetMaxIdleConns(opts.Connections)
	s.db.SetConnMaxIdleTime(time.Minute)
	if err := s.try(ctx); err != nil {
		_ = s.db.Close()
		return nil, err
	}
	return s, nil
}

func (s *Source) parseQueries(kind *kind) (err error) {
	if s.query, err = parseQuery(s.opts.Query, kind, "user", "local", "domain"); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	if !s.query.has("user", "local") {
		return errors.New("query: it would find the same for every user; write :user or :local in it")
	}
	if s.opts.Update == "" {
		return nil
	}
	if s.update, err = parseQuery(s.opts.Update, kind, "user", "local", "domain", "hash", "old"); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	if !s.update.has("hash") || !s.update.has("user", "local") {
		return errors.New("update: it needs :hash and :user")
	}
	if s.opts.Hasher == nil {
		return errors.New("update: no hasher")
	}
	return nil
}

// try has the database look at the statements, if it can be reached.
func (s *Source) try(ctx context.Context) error {
	if err := s.bounded(ctx, s.db.PingContext); err != nil {
		s.opts.Log.WarnContext(ctx, "database of users cannot be reached; it is tried again at each login", "error", err)
		return nil
	}
	if err := s.tryUpdate(ctx); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	// A user who cannot exist, to see the columns.
	if _, err := s.Lookup(ctx, "\x01"); err != nil && !errors.Is(err, auth.ErrNoUser) {
		return fmt.Errorf("query: %w", err)
	}
	return nil
}

// tryUpdate has the database read the update, which is not run.
func (s *Source) tryUpdate(ctx context.Context) error {
	if s.update == nil {
		return nil
	}
	return s.bounded(ctx, func(ctx context.Context) error {
		statement, err := s.db.PrepareContext(ctx, s.update.text)
		if err != nil {
			return err
		}
		return statement.Close()
	})
}

// bounded calls f with the time that it has.
func (s *Source) bounded(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	return f(ctx)
}

// Close ends all connections.
func (s *Source) Close() error { return s.db.Close() }

// Name implements auth.Source.
func (s *Source) Name() string { return "sql" }

// Scram implements auth.Source: which hashes there are does not show before each is
// read.
func (s *Source) Scram(sasl.ScramHash) bool { return false }

// Decoy implements auth.Source: it is the hash that was read last.
func (s *Source) Decoy() string {
	if d := s.decoy.Load(); d != nil {
		return *d
	}
	return ""
}

// Lookup implements auth.Source.
func (s *Source) Lookup(ctx context.Context, user string) (*auth.Record, error) {
	var found *row
	err := s.bounded(ctx, func(ctx context.Context) (err error) {
		found, err = s.ask(ctx, user)
		return err
	})
	switch {
	case errors.Is(err, errAnswer):
		return nil, fmt.Errorf("sql: look up user: %w", err)
	case err != nil:
		return nil, fmt.Errorf("sql: look up user: %w: %w", imapserver.ErrUnavailable, err)
	case found == nil:
		return nil, auth.ErrNoUser
	}
	r, err := s.record(user, found)
	if err != nil {
		return nil, fmt.Errorf("sql: user %s: %w", user, err)
	}
	return r, nil
}

// errAnswer is wrapped by errors about what the query returned.
var errAnswer = errors.New("the query is wrong")

// row is what the query returned, as text.
type row struct{ password, disabled, name, networks sql.NullString }

// ask runs the query. Without a user it returns nil.
func (s *Source) ask(ctx context.Context, user string) (*row, error) {
	rows, err := s.db.QueryContext(ctx, s.query.text, s.query.args(parameters(user))...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := &row{}
	targets, err := found.targets(rows)
	if err != nil {
		return nil, err
	}
	if !rows.Next() {
		return nil, rows.Err()
	}
	if err := rows.Scan(targets...); err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	if rows.Next() {
		return nil, fmt.Errorf("%w: it finds several users", errAnswer)
	}
	return found, rows.Err()
}

// targets returns where the columns of rows go.
func (r *row) targets(rows *sql.Rows) ([]any, error) {
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var targets []any
	password := false
	for _, column := range columns {
		switch strings.ToLower(column) {
		case "password":
			targets, password = append(targets, &r.password), true
		case "disabled":
			targets = append(targets, &r.disabled)
		case "name":
			targets = append(targets, &r.name)
		case "allow_nets":
			targets = append(targets, &r.networks)
		default:
			return nil, fmt.Errorf("%w: column %q is not one of password, disabled, name, allow_nets", errAnswer, column)
		}
	}
	if !password {
		return nil, fmt.Errorf("%w: it has no column password", errAnswer)
	}
	return targets, nil
}

func parameters(user string) map[string]string {
	local, domain := auth.SplitName(user)
	return map[string]string{"user": user, "local": local, "domain": domain}
}

// record makes a record of a row.
func (s *Source) record(user string, found *row) (*auth.Record, error) {
	r := &auth.Record{Name: user, Key: user}
	var err error
	if found.name.String != "" {
		if r.Name, err = sasl.PrepareName(found.name.String); err != nil {
			return nil, fmt.Errorf("column name: %w", err)
		}
	}
	if found.disabled.Valid {
		if r.Disabled, err = parseBool(found.disabled.String); err != nil {
			return nil, fmt.Errorf("column disabled: %w", err)
		}
	}
	if found.networks.String != "" {
		if r.Networks, err = auth.ParseNetworks(found.networks.String); err != nil {
			return nil, fmt.Errorf("column allow_nets: %w", err)
		}
	}
	// Without a password, others may still vouch for the user.
	if found.password.String == "" {
		return r, nil
	}
	if err := r.SetStored(found.password.String, s.opts.AllowWeak); err != nil {
		return nil, fmt.Errorf("column password: %w", err)
	}
	if r.Hash != "" {
		s.decoy.Store(&r.Hash)
	}
	return r, nil
}

// parseBool reads the forms in which databases and their users write truth.
func parseBool(text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "", "\x00", "n", "no", "off":
		return false, nil
	case "\x01", "y", "yes", "on":
		return true, nil
	}
	b, err := strconv.ParseBool(strings.ToLower(text))
	if err != nil {
		return false, fmt.Errorf("%q is neither true nor false", text)
	}
	return b, nil
}

// Upgrade implements auth.Recorder: it runs the update, if there is one.
func (s *Source) Upgrade(ctx context.Context, r *auth.Record, password string) error {
	if s.update == nil {
		return nil
	}
	hash, err := s.opts.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	// Whoever else reads the table knows schemes if there was one.
	if strings.HasPrefix(r.Hash, "{") {
		hash = "{ARGON2ID}" + hash
	}
	values := parameters(r.Key)
	values["hash"], values["old"] = hash, r.Hash
	err = s.bounded(ctx, func(ctx context.Context) error {
		_, err := s.db.ExecContext(ctx, s.update.text, s.update.args(values)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("sql: update: %w", err)
	}
	return nil
}

// AppPasswordUsed implements auth.Recorder; there are no app passwords here.
func (s *Source) AppPasswordUsed(context.Context, *auth.Record, string) error { return nil }

// LoggedInFrom implements auth.Recorder; the table is not ours to write it down in.
func (s *Source) LoggedInFrom(context.Context, *auth.Record, netip.Prefix) error { return nil }
