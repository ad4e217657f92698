package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"

	"tidemark/internal/config"
)

// What a listener is for. These are also the names of sockets that the service
// manager may hand over (FileDescriptorName= in a socket unit).
const (
	forIMAPS   = "imaps"
	forIMAP    = "imap"
	forLMTP    = "lmtp"
	forLogins  = "logins"
	forAdmin   = "admin"
	forMetrics = "metrics"
)

// bound is a listener and what it is for.
type bound struct {
	net.Listener
	purpose string
}

// listenAll opens every listener of the configuration, or none. Sockets handed over
// by the service manager take the place of the configured addresses of their kind.
func listenAll(c *config.Config) (all []bound, err error) {
	defer func() {
		if err != nil {
			closeAll(all)
			all = nil
		}
	}()
	given, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("take over the service manager's sockets: %w", err)
	}
	var logins []config.Address
	if path := c.DovecotSocket(); path != "" {
		logins = append(logins, config.Address("unix:"+path))
	}
	if err := checkNames(given); err != nil {
		return nil, err
	}
	for _, want := range []struct {
		purpose, setting string
		addresses        []config.Address
		mode             os.FileMode
	}{
		{forIMAPS, "imap.tls_listen", c.IMAP.TLSListen, 0o666},
		{forIMAP, "imap.starttls_listen", c.IMAP.StartTLSListen, 0o666},
		{forLMTP, "lmtp.listen", c.LMTP.Listen, os.FileMode(c.LMTP.SocketMode)},
		{forLogins, "auth.dovecot_socket", logins, os.FileMode(c.Auth.DovecotSocketMode)},
		{forMetrics, "metrics.listen", c.Metrics.Listen, 0o666},
		{forAdmin, "admin.socket", []config.Address{config.Address("unix:" + c.AdminSocket())}, 0o600},
	} {
		if handed := given[want.purpose]; len(handed) > 0 {
			for _, l := range handed {
				all = append(all, bound{l, want.purpose})
			}
			continue
		}
		for _, address := range want.addresses {
			l, err := listen(c, want.setting, address, want.mode)
			if err != nil {
				return all, err
			}
			all = append(all, bound{l, want.purpose})
		}
	}
	return all, nil
}

func closeAll(all []bound) {
	for _, l := range all {
		// The listener may be closed already, by the server that had it.
		_ = l.Close()
	}
}

func listen(c *config.Config, setting string, address config.Address, mode os.FileMode) (net.Listener, error) {
	network, addr := address.Network()
	if network == "unix" {
		l, err := listenUnix(c.InDataDir(addr), mode)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", setting, err)
		}
		return l, nil
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return nil, explainListen(setting, addr, err)
	}
	return l, nil
}

// listenUnix makes a unix socket with the given access rights. A socket left behind
// by a process that is gone is replaced; one that somebody listens on is not.
func listenUnix(path string, mode os.FileMode) (net.Listener, error) {
	if err := removeDeadSocket(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// Until here the socket has the rights that the umask leaves: the owner's alone.
	if err := os.Chmod(path, mode); err != nil {
		l.Close()
		return nil, fmt.Errorf("set the socket's access rights: %w", err)
	}
	return l, nil
}

func removeDeadSocket(path string) error {
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return fmt.Errorf("%s is in use by another process: %w", path, syscall.EADDRINUSE)
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	return os.Remove(path)
}

// checkNames refuses sockets of the service manager that nobody would serve: clients would
// connect and wait for ever.
func checkNames(given map[string][]net.Listener) error {
	known := []string{forIMAPS, forIMAP, forLMTP, forLogins, forMetrics, forAdmin}
	for name := range given {
		if !slices.Contains(known, name) {
			return fmt.Errorf("the service manager's socket %q has no use here; FileDescriptorName= must be one of %s",
				name, strings.Join(known, ", "))
		}
	}
	return nil
}
