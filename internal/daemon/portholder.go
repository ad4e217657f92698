package daemon

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// PortTakenError says that an address is in use, by whom, and what can be done.
type PortTakenError struct {
	Setting string // the setting that has the address, such as "imap.tls_listen"
	Address string
	PID     int    // 0 where the process cannot be seen
	Process string // its name
	err     error
}

func (e *PortTakenError) Error() string {
	switch {
	case e.PID == os.Getpid():
		return fmt.Sprintf("%s: %s is given twice; give each address once", e.Setting, e.Address)
	case e.PID != 0:
		return fmt.Sprintf("%s: %s is in use by %s (process %d); stop that program or choose another port with --set %s=…",
			e.Setting, e.Address, e.Process, e.PID, e.Setting)
	}
	return fmt.Sprintf("%s: %s is in use by a process that this user may not see (as root, \"ss -ltnp\" names it); "+
		"stop that program or choose another port with --set %s=…",
		e.Setting, e.Address, e.Setting)
}

// Unwrap returns the system's error.
func (e *PortTakenError) Unwrap() error { return e.err }

// explainListen turns the failure to listen on address into one that says what to do.
func explainListen(setting, address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e := &PortTakenError{Setting: setting, Address: address, err: err}
		if ap, perr := resolveListen(address); perr == nil {
			e.PID, e.Process = portHolder("/proc", ap)
		}
		return e
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: %s: not allowed to listen; ports below 1024 need the capability CAP_NET_BIND_SERVICE "+
			"(packaging/tidemark.service gives it) or another port with --set %s=…: %w",
			setting, address, setting, err)
	}
	return fmt.Errorf("%s: %w", setting, err)
}

// resolveListen reads "host:port" with a host that is an address or empty.
func resolveListen(address string) (netip.AddrPort, error) {
	if strings.HasPrefix(address, ":") {
		address = "[::]" + address
	}
	return netip.ParseAddrPort(strings.Replace(address, "localhost:", "127.0.0.1:", 1))
}

// portHolder finds the process that listens on a TCP address, or on one that
// excludes it: the kernel's tables give the socket's inode, and the processes'
// descriptors lead from there to the process.
func portHolder(proc string, addr netip.AddrPort) (pid int, name string) {
	var inodes []string
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		inodes = append(inodes, listeners(filepath.Join(proc, table), addr)...)
	}
	if len(inodes) == 0 {
		return 0, ""
	}
	fds, err := filepath.Glob(filepath.Join(proc, "[0-9]*/fd/*"))
	if err != nil {
		return 0, ""
	}
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !slices.Contains(inodes, target) {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		comm, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		return pid, strings.TrimSpace(string(comm))
	}
	return 0, ""
}

// stateListen is TCP_LISTEN in the kernel's tables.
const stateListen = "0A"

// listeners returns the sockets, in the form "socket:[inode]", that listen on addr
// according to a table such as /proc/net/tcp.
func listeners(table string, addr netip.AddrPort) []string {
	f, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer f.Close()
	var inodes []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
		field := strings.Fields(lines.Text())
		if len(field) < 10 || field[3] != stateListen {
			continue
		}
		if local, ok := parseProcAddr(field[1]); ok && overlaps(local, addr) {
			inodes = append(inodes, "socket:["+field[9]+"]")
		}
	}
	return inodes
}

// parseProcAddr reads "0100007F:1F90": the address in words of 32 bits in the
// machine's order, little endian wherever we run, and the port.
func parseProcAddr(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	if !ok || err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	addr, ok := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok && err == nil
}

// overlaps says whether a listener on one address excludes one on the other.
func overlaps(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() &&
		(a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified())
}
