package peer

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// mailUser owns Dovecot's mail. It needs no entry in the system's list of users.
const mailUser = 5000

// dovecotConfig is what an operator would write who wants speed and has read the manual:
// login processes that serve many connections, mail processes that are used again,
// limits out of the way. Everything about mail itself is Dovecot's default.
var dovecotConfig = template.Must(template.New("dovecot").Parse(`
base_dir = {{.Run}}
state_dir = {{.Dir}}/state
log_path = {{.Dir}}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1

ssl = required
ssl_cert = <{{.Cert}}
ssl_key = <{{.Key}}
ssl_min_protocol = TLSv1.3

mail_location = sdbox:~/sdbox
mail_uid = {{.User}}
mail_gid = {{.User}}
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 0
namespace inbox {
  inbox = yes
  separator = /
}

auth_mechanisms = plain
auth_username_format = %Ln
passdb {
  driver = passwd-file
  args = {{.Dir}}/users
}
userdb {
  driver = static
  args = uid={{.User}} gid={{.User}} home={{.Dir}}/mail/%n
}

default_process_limit = 20000
default_client_limit = 60000
default_vsz_limit = 0

service imap-login {
  service_count = 0
  process_min_avail = {{.CPUs}}
  process_limit = {{.CPUs}}
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = {{.IMAPPort}}
    ssl = yes
  }
}
service imap {
  client_limit = 1
  process_limit = 20000
  service_count = 1000
  process_min_avail = 8
}
service lmtp {
  client_limit = 1
  service_count = 0
  process_min_avail = 8
  inet_listener lmtp {
    address = 127.0.0.1
    port = {{.LMTPPort}}
  }
}
`))

// NewDovecot returns the Dovecot that is installed.
func NewDovecot(opts Options) (*Server, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("dovecot separates its processes by user and needs to be started by root")
	}
	binary, err := exec.LookPath("dovecot")
	if err != nil {
		binary = "/usr/sbin/dovecot"
	}
	version, err := output(binary, "--version")
	if err != nil {
		return nil, err
	}
	addrs, err := freeAddrs(2)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(opts.Dir, "dovecot")
	config := filepath.Join(dir, "dovecot.conf")
	if err := writeDovecot(dir, config, addrs, opts); err != nil {
		return nil, err
	}
	if err := raiseInotify(); err != nil {
		return nil, err
	}
	return &Server{
		Name: "Dovecot", Version: version, IMAPS: addrs[0], LMTP: addrs[1], opts: opts, dir: dir,
		command: []string{binary, "-F", "-c", config},
		ready:   func(s *Server) error { return s.accepts(s.IMAPS, s.LMTP) },
		forget: func(user, mailbox string) error {
			return os.Remove(filepath.Join(dir, "mail", user, "sdbox/mailboxes", mailbox, "dbox-Mails/dovecot.index.cache"))
		},
	}, nil
}

// inotifyInstances is what Dovecot's manual advises for many connections: each process
// that waits with IDLE takes one, and those that get none look every half minute only.
const inotifyInstances = 65536

// raiseInotify allows as many instances on this machine, until its next start.
func raiseInotify() error {
	const file = "/proc/sys/fs/inotify/max_user_instances"
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && n >= inotifyInstances {
		return nil
	}
	return os.WriteFile(file, fmt.Appendln(nil, inotifyInstances), 0o644)
}

func writeDovecot(dir, config string, addrs []string, opts Options) error {
	mail := filepath.Join(dir, "mail")
	run := filepath.Join(dir, "run")
	for _, d := range []string{mail, run, filepath.Join(dir, "state")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chown(mail, mailUser, mailUser); err != nil {
		return err
	}
	var users bytes.Buffer
	for _, u := range slices.Concat(opts.Users, opts.FileUsers) {
		fmt.Fprintf(&users, "%s:{PLAIN}%s\n", u.Name, u.Password)
	}
	_, imapPort, _ := net.SplitHostPort(addrs[0]) // they are of our making
	_, lmtpPort, _ := net.SplitHostPort(addrs[1])
	var text bytes.Buffer
	err := dovecotConfig.Execute(&text, map[string]any{
		"Dir": dir, "Run": run, "Cert": opts.Cert, "Key": opts.Key, "User": mailUser,
		"CPUs": runtime.NumCPU(), "IMAPPort": imapPort, "LMTPPort": lmtpPort,
	})
	return errors.Join(err,
		os.WriteFile(filepath.Join(dir, "users"), users.Bytes(), 0o644),
		os.WriteFile(config, text.Bytes(), 0o644))
}
