package clienttest

import (
	"crypto/rand"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// submit sends a message through Postfix as a mail program does: with TLS and a
// password.
func (p *postfix) submit(s *server, user, password, text, to string) error {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.smtp)
	if err != nil {
		p.t.Fatal(err)
	}
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	if err := c.StartTLS(s.target().TLSConfig); err != nil {
		p.t.Fatal(err)
	}
	if err := c.Auth(smtp.PlainAuth("", user, password, "localhost")); err != nil {
		return err
	}
	if err := c.Mail(user + "@example.test"); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// If this fails people can read their mail but not send any: Postfix cannot ask the
// server for their passwords, or guessing there is not counted.
func TestPostfixAuthentication(t *testing.T) {
	dir, err := os.MkdirTemp("", "tidemark-sasl-") // Postfix's own user may enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "auth.sock")
	s := startServerWith(t, []string{"auth.dovecot_socket=" + socket, "auth.dovecot_socket_mode=0666"}, "alice", "eve")
	p := startPostfix(t, s.lmtp,
		"smtpd_sasl_auth_enable = yes",
		"smtpd_sasl_type = dovecot",
		"smtpd_sasl_path = "+socket,
		"smtpd_tls_security_level = encrypt",
		"smtpd_tls_chain_files = "+filepath.Join(s.dir, "data", "tls", "key.pem"), // with the certificate
		"smtpd_relay_restrictions = permit_sasl_authenticated, reject",
	)

	defer func() {
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			t.Logf("log of Postfix:\n%s", log)
		}
	}()

	if err := p.submit(s, "alice", s.password, mail("from alice"), "alice@example.test"); err != nil {
		t.Fatal(err)
	}
	p.await("the message that alice sent", func() bool { return len(s.messages("alice", "INBOX")) == 1 })
	if got := s.messages("alice", "INBOX")[0].text; !strings.Contains(got, "Return-Path: <alice@example.test>") {
		t.Errorf("message: %.200q", got)
	}
	app := strings.TrimSpace(s.run("", "user", "app-password", "add", "alice", "phone"))
	if err := p.submit(s, "alice", app, mail("from alice's phone"), "eve@example.test"); err != nil {
		t.Errorf("app password: %v", err)
	}

	s.run("", "user", "disable", "eve")
	for user, password := range map[string]string{"alice": rand.Text(), "eve": s.password, "nobody": s.password} {
		if err := p.submit(s, user, password, mail("from a stranger"), "alice@example.test"); err == nil || !strings.HasPrefix(err.Error(), "535 ") {
			t.Errorf("%s: %v", user, err)
		}
	}
	if why := s.run("", "auth", "why", "127.0.0.1"); !strings.Contains(why, "127.0.0.1/32") {
		t.Errorf("the failures are not held against the address that Postfix told of:\n%s", why)
	}
}
