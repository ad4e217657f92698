package daemon

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// If this fails, the operator is told that a port is taken but not by whom.
func TestPortHolder(t *testing.T) {
	addresses, hosts := []string{"127.0.0.1:0", ":0"}, []string{"127.0.0.1"}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil { // a machine may have no IPv6
		l.Close()
		addresses, hosts = append(addresses, "[::1]:0"), append(hosts, "::1", "::")
	}
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).AddrPort().Port()
		for _, host := range hosts {
			want := address == ":0" || host == "::" || strings.Contains(address, host)
			pid, name := portHolder("/proc", netip.AddrPortFrom(netip.MustParseAddr(host), port))
			if found := pid == os.Getpid() && name != ""; found != want {
				t.Errorf("listening on %s, asked for %s: process %d %q", address, host, pid, name)
			}
		}
		l.Close()
	}
}

// If this fails, the message about a taken port does not say what to do.
func TestExplainListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := l.Addr().String()
	_, err = net.Listen("tcp", address)
	err = explainListen("imap.tls_listen", address, err)
	taken, ok := errors.AsType[*PortTakenError](err)
	if !ok || taken.PID != os.Getpid() {
		t.Fatalf("have %v", err)
	}
	if want := "imap.tls_listen: " + address + " is given twice; give each address once"; err.Error() != want {
		t.Errorf("have %q, want %q", err, want)
	}
	taken.PID, taken.Process = 4711, "dovecot"
	for _, part := range []string{address, "dovecot (process 4711)", "--set imap.tls_listen="} {
		if !strings.Contains(taken.Error(), part) {
			t.Errorf("%q lacks %q", taken, part)
		}
	}
}

// If this fails, a port that is taken on IPv6 or in the other byte order is not
// recognised.
func TestParseProcAddr(t *testing.T) {
	for in, want := range map[string]string{
		"0100007F:1F90":                         "127.0.0.1:8080",
		"00000000:03E1":                         "0.0.0.0:993",
		"00000000000000000000000001000000:0090": "[::1]:144",
		"0000000000000000FFFF00000100007F:0050": "127.0.0.1:80",
	} {
		if have, ok := parseProcAddr(in); !ok || have.String() != want {
			t.Errorf("%s: have %v, want %s", in, have, want)
		}
	}
	for _, in := range []string{"", "zz:1", "0100007F", "0100007F:10000", "01:1"} {
		if have, ok := parseProcAddr(in); ok {
			t.Errorf("%q accepted as %v", in, have)
		}
	}
}
