package sqlsource

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tidemark/internal/testbed"
)

// database is one that runs for a test.
type database struct {
	kind     string
	address  string // without the password
	password string
	admin    *sql.DB // may do anything
	stop     func()
	start    func()
}

// account returns the user that a server runs as, which does not like root.
func account(t *testing.T, name string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatalf("scripts/install-test-deps makes the user: %v", err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// dataDir returns a directory that belongs to the account.
func dataDir(t *testing.T, as *syscall.SysProcAttr) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sqlsource")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if as != nil {
		if err := os.Chown(dir, int(as.Credential.Uid), int(as.Credential.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run runs a program to its end.
func run(t *testing.T, as *syscall.SysProcAttr, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr, cmd.Dir, cmd.Env = as, dir, environment(dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v; scripts/install-test-deps installs it\n%s", args[0], err, out)
	}
}

// server starts a program and waits until it accepts at the port. stop ends it.
func server(t *testing.T, as *syscall.SysProcAttr, dir string, port int, args ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr, cmd.Dir, cmd.Env = as, dir, environment(dir)
	// The signal ends both kinds at once, with their helpers.
	return testbed.StartProgram(t, cmd, fmt.Sprintf("127.0.0.1:%d", port), syscall.SIGQUIT).Stop
}

// environment keeps the temporary files of a program in a directory that it may write to.
func environment(dir string) []string { return append(os.Environ(), "TMPDIR="+dir) }

// postgresProgram finds a program that Debian keeps out of the path.
func postgresProgram(t *testing.T, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		t.Fatalf("no %s; scripts/install-test-deps installs it", name)
	}
	return found[len(found)-1]
}

func startPostgres(t *testing.T) *database {
	t.Helper()
	as := account(t, "postgres")
	dir, port := dataDir(t, as), testbed.FreePort(t)
	d := &database{kind: "postgres", password: rand.Text()}
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(d.password), 0o644); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	run(t, as, dir, postgresProgram(t, "initdb"), "-D", data, "-U", "owner", "--auth=scram-sha-256", "--pwfile="+secret, "-E", "UTF8", "--no-sync")
	d.start = func() {
		d.stop = server(t, as, dir, port, postgresProgram(t, "postgres"), "-D", data, "-p", strconv.Itoa(port),
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off")
	}
	d.start()
	d.address = fmt.Sprintf("postgres://owner@127.0.0.1:%d/postgres?sslmode=disable", port)
	d.open(t)
	return d
}

func startMariaDB(t *testing.T) *database {
	t.Helper()
	as := account(t, "mysql")
	dir, port := dataDir(t, as), testbed.FreePort(t)
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "sock")
	run(t, as, dir, "mariadb-install-db", "--no-defaults", "--datadir="+data, "--skip-test-db", "--auth-root-authentication-method=normal")
	d := &database{kind: "mysql", password: rand.Text()}
	d.start = func() {
		d.stop = server(t, as, dir, port, "/usr/sbin/mariadbd", "--no-defaults", "--datadir="+data, "--socket="+socket,
			"--port="+strconv.Itoa(port), "--bind-address=127.0.0.1", "--skip-name-resolve")
	}
	d.start()
	root, err := sql.Open("mysql", "root@unix("+socket+")/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	// It listens at the port before it makes the socket.
	if err := eventually(func() error { return root.PingContext(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	exec1(t, root, "CREATE DATABASE mail CHARACTER SET utf8mb4")
	exec1(t, root, "CREATE USER owner@'127.0.0.1' IDENTIFIED BY '"+d.password+"'")
	exec1(t, root, "GRANT ALL ON mail.* TO owner@'127.0.0.1'")
	d.address = fmt.Sprintf("owner@tcp(127.0.0.1:%d)/mail", port)
	d.open(t)
	return d
}

func makeSQLite(t *testing.T) *database {
	t.Helper()
	d := &database{kind: "sqlite", address: filepath.Join(t.TempDir(), "users with a space?.db")}
	d.start = func() {
		if err := os.Rename(d.address+".away", d.address); err != nil {
			t.Fatal(err)
		}
	}
	d.stop = func() {
		if err := os.Rename(d.address, d.address+".away"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(d.address, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.open(t)
	return d
}

// open opens the database as its owner, and makes the table of users.
func (d *database) open(t *testing.T) {
	t.Helper()
	kind, err := kindOf(d.kind)
	if err != nil {
		t.Fatal(err)
	}
	d.admin, err = kind.open(Options{Address: d.address, Password: d.password, Timeout: testbed.Patience, Update: "yes"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.admin.Close() })
	// A database that takes connections may not take queries yet.
	if err := eventually(func() error { return d.admin.PingContext(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	exec1(t, d.admin, "CREATE TABLE users (login VARCHAR(100) PRIMARY KEY, hash VARCHAR(250), locked BOOLEAN, account VARCHAR(100), nets VARCHAR(100))")
}

// eventually calls f until it works, or patience has an end.
func eventually(f func() error) (err error) {
	for end := time.Now().Add(testbed.Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return nil
		}
	}
	return err
}

// add makes a user; with an empty hash the column is NULL.
func (d *database) add(t *testing.T, login, hash string, locked bool, account, nets string) {
	t.Helper()
	quote := func(s string) string {
		if s == "" {
			return "NULL"
		}
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	exec1(t, d.admin, fmt.Sprintf("INSERT INTO users VALUES (%s, %s, %v, %s, %s)",
		quote(login), quote(hash), locked, quote(account), quote(nets)))
}

func exec1(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
