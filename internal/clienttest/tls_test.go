package clienttest

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// If this fails, the TLS library that most mail programs are built on cannot connect,
// or gets something that it should have been refused.
func TestOpenSSL(t *testing.T) {
	s := startServer(t)
	tests := []struct {
		name string
		args string
		want string // in the output
		ok   bool
	}{
		{"TLS 1.3", "-tls1_3", "New, TLSv1.3", true},
		{"TLS 1.2", "-tls1_2", "New, TLSv1.2", true},
		{"ALPN", "-alpn imap", "ALPN protocol: imap", true},
		{"no early data", "-tls1_3", "Early data was not sent", true},
		{"no tickets in TLS 1.2", "-tls1_2", "Session-ID: \n", true},
		{"other ALPN", "-alpn h2,http/1.1", "alert number 120", false},
		{"TLS 1.1", "-tls1_1 -cipher ALL:@SECLEVEL=0", "alert protocol version", false},
		{"TLS 1.0", "-tls1 -cipher ALL:@SECLEVEL=0", "alert protocol version", false},
		{"CBC", "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA256", "alert handshake failure", false},
		{"no forward secrecy", "-tls1_2 -cipher kRSA", "alert handshake failure", false},
		{"finite field DH", "-tls1_3 -groups ffdhe2048", "alert handshake failure", false},
	}
	for _, port := range []struct{ name, connect string }{{"imaps", s.imaps}, {"STARTTLS", s.starttls + " -starttls imap"}} {
		for _, tt := range tests {
			t.Run(port.name+"/"+tt.name, func(t *testing.T) {
				out, err := runProgramErr(s.openssl(port.connect + " " + tt.args))
				if (err == nil) != tt.ok || !strings.Contains(out, tt.want) {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

// If this fails, a client can make the server repeat the costly half of a TLS 1.2 handshake as often as it likes.
func TestNoRenegotiation(t *testing.T) {
	s := startServer(t)
	cmd := s.openssl(s.imaps + " -tls1_2")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	// OpenSSL gives up by itself when the greeting arrives while it waits for the answer to its new
	// handshake, so it asks after the greeting only. A line with R is how it is told to.
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "* OK") {
			io.WriteString(stdin, "R\n")
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(said.String(), "alert unexpected message") {
		t.Errorf("%v\n%s", err, said.String())
	}
}

// openssl is an s_client with the server's certificate as the only authority, and nothing on its standard input.
func (s *server) openssl(args string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(cancel)
	all := append([]string{
		"s_client", "-CAfile", s.caFile(), "-verify_return_error", "-verify_hostname", "localhost",
		"-servername", "localhost", "-connect",
	}, strings.Fields(args)...)
	cmd := exec.CommandContext(ctx, program(s.t, "openssl", "openssl"), all...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// scan is what sslscan tells in XML.
type scan struct {
	Protocols []struct {
		Type    string `xml:"type,attr"`
		Version string `xml:"version,attr"`
		Enabled int    `xml:"enabled,attr"`
	} `xml:"ssltest>protocol"`
	Renegotiation struct {
		Supported int `xml:"supported,attr"`
		Secure    int `xml:"secure,attr"`
	} `xml:"ssltest>renegotiation"`
	Heartbleed []struct {
		Vulnerable int `xml:"vulnerable,attr"`
	} `xml:"ssltest>heartbleed"`
	Ciphers []struct {
		Version  string `xml:"sslversion,attr"`
		Name     string `xml:"cipher,attr"`
		Strength string `xml:"strength,attr"`
	} `xml:"ssltest>cipher"`
	Groups []struct {
		Name string `xml:"name,attr"`
		Bits int    `xml:"bits,attr"`
	} `xml:"ssltest>group"`
}

// If this fails, a scanner tells an operator that the server is badly configured.
func TestSSLScan(t *testing.T) {
	s := startServer(t)
	for name, args := range map[string][]string{"imaps": {s.imaps}, "STARTTLS": {"--starttls-imap", s.starttls}} {
		t.Run(name, func(t *testing.T) {
			out := runProgram(t, exec.Command(program(t, "sslscan", "sslscan"), append([]string{"--xml=-", "--show-sigs", "--timeout=180"}, args...)...))
			var found scan
			if err := xml.Unmarshal([]byte(out), &found); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			found.check(t)
		})
	}
}

func (f *scan) check(t *testing.T) {
	t.Helper()
	var versions []string
	for _, p := range f.Protocols {
		if p.Enabled != 0 {
			versions = append(versions, p.Type+p.Version)
		}
	}
	if slices.Sort(versions); !slices.Equal(versions, []string{"tls1.2", "tls1.3"}) {
		t.Errorf("protocols %v", versions)
	}
	if f.Renegotiation.Supported != 0 {
		t.Errorf("renegotiation %+v", f.Renegotiation)
	}
	for _, h := range f.Heartbleed {
		if h.Vulnerable != 0 {
			t.Error("heartbleed")
		}
	}
	for _, c := range f.Ciphers {
		aead := strings.Contains(c.Name, "GCM") || strings.Contains(c.Name, "POLY1305")
		if !aead || c.Version == "TLSv1.2" && !strings.HasPrefix(c.Name, "ECDHE-") || c.Strength != "strong" && c.Strength != "acceptable" {
			t.Errorf("cipher %+v", c)
		}
	}
	for _, g := range f.Groups {
		if g.Bits < 128 {
			t.Errorf("group %+v", g)
		}
	}
	if len(f.Ciphers) < 6 || len(f.Groups) < 3 {
		t.Errorf("nothing found: %+v", f)
	}
}

// exceptions are findings of testssl.sh that say nothing about the server.
var exceptions = map[string]string{
	"engine_problem":  "about the local OpenSSL",
	"cert_revocation": "a self-signed certificate has nobody who could revoke it",
}

// If this fails, testssl.sh has found something worse than a remark.
func TestTestSSL(t *testing.T) {
	s := startServer(t)
	// What it would say of single old suites follows from --std.
	checks := []string{
		"--protocols", "--std", "--server-defaults", "--server-preference", "--fs",
		"--heartbleed", "--ccs-injection", "--robot", "--renegotiation", "--crime", "--tls-fallback",
	}
	for name, args := range map[string][]string{
		"imaps":    {"localhost:" + port(s.imaps)},
		"STARTTLS": {"--starttls", "imap", "localhost:" + port(s.starttls)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "findings.json")
			ctx, cancel := context.WithTimeout(t.Context(), 10*patience) // it starts thousands of programs
			defer cancel()
			all := slices.Concat([]string{"--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1",
				"--connect-timeout", "180", "--openssl-timeout", "180", "--add-ca", s.caFile(), "--jsonfile", file}, checks, args)
			out, err := runProgramErr(exec.CommandContext(ctx, program(t, "testssl", "testssl.sh"), all...))
			if ctx.Err() != nil {
				t.Fatalf("%v\n%s", err, out) // its exit code counts findings
			}
			checkFindings(t, file, out)
		})
	}
}

func checkFindings(t *testing.T, file, out string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var findings []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal(text, &findings); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(findings) < 50 {
		t.Errorf("only %d findings:\n%s", len(findings), out)
	}
	for _, f := range findings {
		if _, excepted := exceptions[f.ID]; excepted || slices.Contains([]string{"OK", "INFO", "DEBUG"}, f.Severity) {
			continue
		}
		t.Errorf("%s: %s: %s", f.Severity, f.ID, f.Finding)
	}
}

// If this fails, an attacker on the way can put commands before the TLS handshake that
// the server takes for the user's.
func TestStartTLSInjection(t *testing.T) {
	s := startServer(t, "alice")
	for _, injected := range []string{
		"a2 NOOP\r\n", "a2 NO", "\r\n", " ", "a2 LOGIN {5+}\r\nalice {1+}\r\nx\r\n", "a2 AUTHENTICATE PLAIN\r\n",
		"a2 STARTTLS\r\n", "a2 NOOP\r\na3 NOOP\r\na4 LOGOUT\r\n",
	} {
		for _, apart := range []bool{false, true} {
			if got := s.inject(injected, apart); strings.Contains(got, "a2 ") || strings.Contains(got, "a3 ") || strings.Count(got, "* OK") != 1 {
				t.Errorf("%q, apart %v: %q", injected, apart, got)
			}
		}
	}
}

// inject sends octets after STARTTLS, in the same packet or after the answer, and
// returns all that comes back in clear.
func (s *server) inject(octets string, apart bool) string {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.starttls)
	if err != nil {
		s.t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	r := bufio.NewReader(nc)
	greeting, err := r.ReadString('\n')
	if err != nil {
		s.t.Fatal(err)
	}
	first, second := "a1 STARTTLS\r\n"+octets, ""
	if apart {
		first, second = "a1 STARTTLS\r\n", octets
	}
	if _, err := nc.Write([]byte(first)); err != nil {
		s.t.Fatal(err)
	}
	answer, _ := r.ReadString('\n') // the connection may be closed instead
	if apart {
		_, _ = nc.Write([]byte(second)) // the server may hang up at the first octet
		_ = nc.(*net.TCPConn).CloseWrite()
	}
	rest, _ := io.ReadAll(r) // it may have hung up with octets unread
	return greeting + answer + string(rest)
}
