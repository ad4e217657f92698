package sqlsource

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// kind is what databases differ in.
type kind struct {
	numbered  bool // parameters are $1, $2, …, otherwise ?
	backslash bool // a backslash in quotes makes the next character a plain one
	open      func(Options) (*sql.DB, error)
}

func kindOf(name string) (*kind, error) {
	switch name {
	case "postgres":
		return &kind{numbered: true, open: openPostgres}, nil
	case "mysql":
		return &kind{backslash: true, open: openMySQL}, nil
	case "sqlite":
		return &kind{open: openSQLite}, nil
	}
	return nil, fmt.Errorf("%q is not a kind of database; there are postgres, mysql and sqlite", name)
}

var errPasswordInside = errors.New("the database's address has a password in it, " +
	"which would be shown with the configuration; put it into a file")

func openPostgres(o Options) (*sql.DB, error) {
	config, err := pgx.ParseConfig(o.Address)
	if err != nil {
		return nil, errAddress("postgres://user@host/database")
	}
	if strings.Contains(strings.ReplaceAll(o.Address, " ", ""), "password=") || hasURLPassword(o.Address) {
		return nil, errPasswordInside
	}
	if o.Password != "" {
		config.Password = o.Password
	}
	config.ConnectTimeout = o.Timeout
	// The server finds the types of the values, so that citext works, and a pooler in
	// between need not keep what was prepared.
	config.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	return stdlib.OpenDB(*config), nil
}

func hasURLPassword(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	_, has := u.User.Password()
	return has
}

func openMySQL(o Options) (*sql.DB, error) {
	config, err := mysql.ParseDSN(o.Address)
	if err != nil {
		return nil, errAddress("user@tcp(host:3306)/database")
	}
	if config.Passwd != "" {
		return nil, errPasswordInside
	}
	config.Passwd = o.Password
	config.Timeout, config.ReadTimeout, config.WriteTimeout = o.Timeout, o.Timeout, o.Timeout
	// The values are always sent apart from the statement.
	config.InterpolateParams, config.MultiStatements = false, false
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func openSQLite(o Options) (*sql.DB, error) {
	if o.Address == "" || strings.HasPrefix(o.Address, "file:") {
		return nil, errAddress("/path/of/the/file")
	}
	mode := "ro" // and so a file that is not there is not made
	if o.Update != "" {
		mode = "rw"
	}
	options := url.Values{
		"mode":    {mode},
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", o.Timeout/time.Millisecond)},
	}
	file := url.URL{Scheme: "file", Path: o.Address, RawQuery: options.Encode(), OmitHost: true}
	return sql.Open("sqlite", file.String())
}

// errAddress does not repeat the address, which may have a password in it.
func errAddress(form string) error {
	return fmt.Errorf("the database's address is not of the form %s", form)
}
