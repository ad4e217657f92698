package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidemark/imapserver"
	"tidemark/sasl"
)

// scramLogin logs in by SCRAM and says how it ended.
func scramLogin(t *testing.T, h *house, p imapserver.Peer, mechanism, user, password string, cb sasl.ChannelBinding) string {
	t.Helper()
	c, err := sasl.NewScramClient(sasl.SHA256, user, password, cb, false)
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.Begin(t.Context(), p, mechanism)
	if err != nil {
		return outcome(err)
	}
	response, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		challenge, done, err := s.Next(response)
		if err != nil {
			return outcome(err)
		}
		if response, err = c.Next(challenge); err != nil {
			t.Fatal(err)
		}
		if done {
			return outcome(nil)
		}
	}
	return "no end"
}

// If it fails, SCRAM lets in the wrong ones, or is a way around the guard.
func TestScram(t *testing.T) {
	h, passwords := newHouse(t, nil)
	if err := h.builtin.SetDisabled(t.Context(), "eve", true); err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct{ user, password, want string }{
		{"alice", passwords["alice"], "ok"},
		{"alice", "wrong", "failed"},
		{"nobody", "wrong", "failed"},
		{"empty", "wrong", "failed"},
		{"eve", passwords["eve"], "failed"},
	} {
		if got := scramLogin(t, h, peer(fmt.Sprintf("192.0.%d.1", i)), sasl.ScramSHA256, tt.user, tt.password, sasl.ChannelBinding{}); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.user, got, tt.want)
		}
	}
	if !strings.Contains(h.log.String(), `reason="user is disabled"`) {
		t.Error("the log does not tell of the disabled user")
	}
	slept := h.slept
	for range 5 {
		scramLogin(t, h, peer("198.51.100.1"), sasl.ScramSHA256, "alice", "wrong", sasl.ChannelBinding{})
	}
	if h.slept <= slept {
		t.Error("guessing by SCRAM is not slowed down")
	}
}

// If it fails, the salt tells whether a user exists.
func TestScramSaltOfStrangers(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	salts := map[string][]string{}
	for range 2 { // two starts of the server
		h, _ := newHouse(t, func(o *Options) {
			var err error
			if o.Secret, err = LoadSecret(secret); err != nil {
				t.Fatal(err)
			}
		})
		for _, user := range []string{"nobody", "Nobody", "someone", "alice"} {
			s, err := h.Begin(t.Context(), peer("192.0.2.1"), sasl.ScramSHA256)
			if err != nil {
				t.Fatal(err)
			}
			challenge, _, err := s.Next([]byte("n,,n=" + user + ",r=x"))
			if err != nil {
				t.Fatal(err)
			}
			_, salt, _ := strings.Cut(string(challenge), ",s=")
			salts[user] = append(salts[user], salt)
		}
	}
	for _, user := range []string{"nobody", "someone"} {
		if salts[user][0] != salts[user][1] {
			t.Errorf("%s: salt changes: %q", user, salts[user])
		}
	}
	if salts["nobody"][0] != salts["Nobody"][0] || salts["nobody"][0] == salts["someone"][0] || len(salts["nobody"][0]) != len(salts["alice"][0]) {
		t.Errorf("salts %q", salts)
	}
	if info, err := os.Stat(secret); err != nil || info.Mode() != 0o600 {
		t.Errorf("secret: %v, %v", info, err)
	}
}

// If it fails, somebody in the middle of the line can pass on a SCRAM login.
func TestScramPlusOverTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	h, passwords := newHouse(t, func(o *Options) {
		o.ServerCertificate = func(*tls.ConnectionState) *x509.Certificate { return cert }
	})
	clientEnd, serverEnd := net.Pipe()
	defer clientEnd.Close()
	defer serverEnd.Close()
	client := tls.Client(clientEnd, &tls.Config{InsecureSkipVerify: true})
	server := tls.Server(serverEnd, &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, SessionTicketsDisabled: true,
	})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	p, cs := peer("192.0.2.1"), server.ConnectionState()
	p.TLS = &cs
	if list := h.Mechanisms(p); len(list) == 0 || list[0] != sasl.ScramSHA256Plus {
		t.Errorf("mechanisms %v", list)
	}
	seen := client.ConnectionState()
	exporter, err := seen.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cb   sasl.ChannelBinding
		want string
	}{
		{sasl.ChannelBinding{Type: sasl.TLSExporter, Data: exporter}, "ok"},
		{sasl.ChannelBinding{Type: sasl.TLSServerEndPoint, Data: endPointBinding(seen.PeerCertificates[0])}, "ok"},
		{sasl.ChannelBinding{Type: sasl.TLSExporter, Data: make([]byte, 32)}, "failed"},
		{sasl.ChannelBinding{Type: sasl.TLSServerEndPoint, Data: make([]byte, 32)}, "failed"},
	} {
		if got := scramLogin(t, h, p, sasl.ScramSHA256Plus, "alice", passwords["alice"], tt.cb); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.cb.Type, got, tt.want)
		}
	}
}
