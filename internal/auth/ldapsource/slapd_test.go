package ldapsource

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"tidemark/internal/testbed"
)

const suffix = "dc=example,dc=org"

// slapd is a directory server with a data directory and ports of its own.
type slapd struct {
	t       *testing.T
	dir     string
	port    int // ldap
	tlsPort int // ldaps
	program *testbed.Program

	authority *x509.CertPool
	root      string // password of the directory's administrator
	service   string // password of cn=tidemark
	passwords map[string]string
}

const slapdConf = `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/slapd.pid
TLSCertificateFile %[1]s/cert.pem
TLSCertificateKeyFile %[1]s/key.pem
database mdb
suffix "dc=example,dc=org"
rootdn "cn=admin,dc=example,dc=org"
rootpw %[2]s
directory %[1]s/db
maxsize 16777216
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=tidemark,dc=example,dc=org" read by * none
`

// startSlapd has the users alice, with two addresses, bob, and carol without a
// password; and two called twin.
func startSlapd(t *testing.T) *slapd {
	t.Helper()
	s := &slapd{t: t, dir: t.TempDir(), port: testbed.FreePort(t), tlsPort: testbed.FreePort(t), root: rand.Text(), service: rand.Text()}
	s.passwords = map[string]string{"alice": rand.Text(), "bob": rand.Text()}
	s.makeCertificate()
	if err := os.Mkdir(filepath.Join(s.dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf(slapdConf, s.dir, s.root)
	if err := os.WriteFile(filepath.Join(s.dir, "slapd.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.fill()
	return s
}

func (s *slapd) start() {
	s.t.Helper()
	urls := fmt.Sprintf("ldap://127.0.0.1:%d ldaps://127.0.0.1:%d", s.port, s.tlsPort)
	cmd := exec.Command("/usr/sbin/slapd", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", urls, "-d", "0")
	s.program = testbed.StartProgram(s.t, cmd, fmt.Sprintf("127.0.0.1:%d", s.port), os.Kill)
}

func (s *slapd) stop() { s.program.Stop() }

func (s *slapd) url() string    { return fmt.Sprintf("ldap://127.0.0.1:%d", s.port) }
func (s *slapd) tlsURL() string { return fmt.Sprintf("ldaps://127.0.0.1:%d", s.tlsPort) }

// admin calls f with a connection that may do anything.
func (s *slapd) admin(f func(*ldap.Conn) error) {
	s.t.Helper()
	conn, err := ldap.DialURL(s.url())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Bind("cn=admin,"+suffix, s.root); err != nil {
		s.t.Fatal(err)
	}
	if err := f(conn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *slapd) fill() {
	s.t.Helper()
	person := func(dn, uid, password string, mail ...string) *ldap.AddRequest {
		add := ldap.NewAddRequest(dn, nil)
		add.Attribute("objectClass", []string{"inetOrgPerson"})
		add.Attribute("cn", []string{uid})
		add.Attribute("sn", []string{uid})
		add.Attribute("uid", []string{uid})
		if password != "" {
			add.Attribute("userPassword", []string{password})
		}
		if len(mail) > 0 {
			add.Attribute("mail", mail)
		}
		return add
	}
	top := ldap.NewAddRequest(suffix, nil)
	top.Attribute("objectClass", []string{"dcObject", "organization"})
	top.Attribute("o", []string{"Example"})
	people := ldap.NewAddRequest("ou=people,"+suffix, nil)
	people.Attribute("objectClass", []string{"organizationalUnit"})
	s.admin(func(conn *ldap.Conn) error {
		for _, add := range []*ldap.AddRequest{
			top, people,
			person("cn=tidemark,"+suffix, "tidemark", s.service),
			person("uid=alice,ou=people,"+suffix, "alice", s.passwords["alice"], "alice@example.org", "al@example.org"),
			person("uid=bob,ou=people,"+suffix, "bob", s.passwords["bob"], "bob@example.org"),
			person("uid=carol,ou=people,"+suffix, "carol", ""),
			person("cn=twin 1,ou=people,"+suffix, "twin", "x"),
			person("cn=twin 2,ou=people,"+suffix, "twin", "x"),
		} {
			if err := conn.Add(add); err != nil {
				return fmt.Errorf("%s: %w", add.DN, err)
			}
		}
		return nil
	})
}

// makeCertificate makes a server's certificate that is its own authority.
func (s *slapd) makeCertificate() {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "slapd"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.authority = x509.NewCertPool()
	s.authority.AppendCertsFromPEM(cert)
	for name, data := range map[string][]byte{"cert.pem": cert, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(filepath.Join(s.dir, name), data, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// source is one that searches, unless change makes it another.
func (s *slapd) source(change func(*Options)) *Source {
	s.t.Helper()
	opts := Options{
		URLs: []string{s.url()}, TLS: &tls.Config{RootCAs: s.authority},
		BindDN: "cn=tidemark," + suffix, BindPassword: s.service,
		Base: "ou=people," + suffix, Filter: "(|(uid={user})(mail={user}))", NameAttribute: "uid",
		Timeout: testbed.Patience,
	}
	if change != nil {
		change(&opts)
	}
	source, err := New(opts)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = source.Close() })
	return source
}
