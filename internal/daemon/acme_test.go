package daemon

import (
	"crypto/tls"
	"testing"
	"time"

	"tidemark/internal/certs/acmetest"
	"tidemark/internal/testbed"
)

// If this fails, the settings of [acme] do not lead to a certificate, or the server is
// not there while it waits for one, or asks for another at each start.
func TestACME(t *testing.T) {
	authority := acmetest.Start(t, 90*24*time.Hour)
	c := testConfig(t,
		"acme.domains=mail.example.org", "acme.email=postmaster@example.org", "acme.directory="+authority.Directory,
		"acme.root_file="+authority.RootFile, "acme.dns_hook="+authority.Hook(t))
	if err := CheckConfig(c, t.Output()); err != nil {
		t.Fatal(err)
	}
	trusting := &tls.Config{RootCAs: authority.Issued, ServerName: "mail.example.org"}
	resume := authority.Pause(t)
	started, stop := start(t, c)
	dialTLS(t, started) // by the self-signed certificate
	resume()
	obtained := false
	for deadline := time.Now().Add(testbed.Patience); !obtained && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		conn, err := tls.Dial("tcp", started.IMAPS[0].String(), trusting)
		if obtained = err == nil; obtained {
			conn.Close()
		}
	}
	if !obtained {
		t.Error("no certificate was obtained")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// What was obtained is there at once the next time.
	started, stop = start(t, c)
	conn, err := tls.Dial("tcp", started.IMAPS[0].String(), trusting)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
}
