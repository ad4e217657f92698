package sasl

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// scramTester is a server that knows one user.
func scramTester(t testing.TB, h ScramHash, salt []byte, iterations int, passwords ...string) ScramConfig {
	t.Helper()
	user := ScramUser{Salt: salt, Iterations: iterations}
	for _, p := range passwords {
		keys, err := NewScramKeys(h, p, salt, iterations)
		if err != nil {
			t.Fatal(err)
		}
		user.Keys = append(user.Keys, keys)
	}
	return ScramConfig{
		Hash:    h,
		Binding: func(string) []byte { return nil },
		Lookup:  func(string) (ScramUser, error) { return user, nil },
		Authorize: func(authzid, name string, key int) (Identity, error) {
			return Identity{User: name, Auth: passwords[key]}, nil
		},
	}
}

// If it fails, no other program can log in by SCRAM: these are the exchanges of
// RFC 5802 §5 and RFC 7677 §3.
func TestScramVectors(t *testing.T) {
	tests := []struct {
		name                              string
		hash                              ScramHash
		nonce, salt                       string
		first, challenge, final, verifier string
	}{
		{
			"SHA-1", SHA1, "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92",
			"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
			"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
		},
		{
			"SHA-256", SHA256, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "W22ZaJ0SNY7soEsUEjb6gQ==",
			"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			salt, err := base64.StdEncoding.DecodeString(tt.salt)
			if err != nil {
				t.Fatal(err)
			}
			s := NewScramServer(scramTester(t, tt.hash, salt, 4096, "pencil")).(*scramServer)
			s.random = func() string { return tt.nonce }
			challenge, done, err := s.Next([]byte(tt.first))
			if string(challenge) != tt.challenge || done || err != nil {
				t.Fatalf("first: %q, %v, %v", challenge, done, err)
			}
			challenge, done, err = s.Next([]byte(tt.final))
			if string(challenge) != tt.verifier || !done || err != nil {
				t.Fatalf("final: %q, %v, %v", challenge, done, err)
			}
		})
	}
}

// If it fails, channel binding does not protect: a client bound to another channel,
// or one that was lied to about -PLUS, gets in.
func TestScramBinding(t *testing.T) {
	ours := ChannelBinding{TLSExporter, []byte("0123456789abcdef0123456789abcdef")}
	other := ChannelBinding{TLSExporter, []byte("another channel")}
	endPoint := ChannelBinding{TLSServerEndPoint, []byte("certificate hash")}
	tests := []struct {
		name        string
		plus        bool
		offered     bool
		cb          ChannelBinding
		plusMissing bool
		err         error
	}{
		{"bound", true, true, ours, false, nil},
		{"bound to the certificate", true, true, endPoint, false, nil},
		{"other channel", true, true, other, false, ErrRejected},
		{"type we lack", true, true, ChannelBinding{"tls-unique", []byte("x")}, false, ErrRejected},
		{"unbound client of -PLUS", true, true, ChannelBinding{}, false, ErrSyntax},
		{"bound client of the plain form", false, true, ours, false, ErrSyntax},
		{"unbound", false, true, ChannelBinding{}, false, nil},
		{"downgraded", false, true, ChannelBinding{}, true, ErrRejected},
		{"not offered", false, false, ChannelBinding{}, true, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := scramTester(t, SHA256, []byte("salt"), MinIterations, "secret")
			config.Plus, config.PlusOffered = tt.plus, tt.offered
			config.Binding = func(kind string) []byte {
				return map[string][]byte{TLSExporter: ours.Data, TLSServerEndPoint: endPoint.Data}[kind]
			}
			client, err := NewScramClient(SHA256, "alice", "secret", tt.cb, tt.plusMissing)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = exchange(client, NewScramServer(config)); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
		})
	}
}

// If it fails, app passwords do not work with SCRAM, or wrong passwords do.
func TestScramPasswords(t *testing.T) {
	config := scramTester(t, SHA256, []byte("salt"), MinIterations, "first", "I\u00adX", "\U0001f600 emoji")
	for password, want := range map[string]string{
		"first": "first", "IX": "I\u00adX", "\U0001f600 emoji": "\U0001f600 emoji", "no": "", "": "",
	} {
		client, err := NewScramClient(SHA256, "a,b=c", password, ChannelBinding{}, false)
		if err != nil {
			t.Fatal(err)
		}
		id, err := exchange(client, NewScramServer(config))
		if id.Auth != want || (err == nil) != (want != "") || want != "" && id.User != "a,b=c" {
			t.Errorf("%q: %+v, %v", password, id, err)
		}
	}
}

// If it fails, a broken message is taken for a good one or makes the server fall over.
func TestScramMalformed(t *testing.T) {
	for _, m := range []string{
		"", "n", "n,", "n,,", "n,,n=u", "n,,n=,r=x", "n,,n=u,r=", "x,,n=u,r=x", "p=,,n=u,r=x", "n,a=,n=u,r=x", "n,b=u,n=u,r=x",
		"n,,m=ext,n=u,r=x", "n,,n=a=2,r=x", "n,,n=u,r=a b", "n,,n=\xff,r=x", "n,,n=a\x00,r=x",
	} {
		s := NewScramServer(scramTester(t, SHA256, []byte("salt"), MinIterations))
		if _, _, err := s.Next([]byte(m)); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v", m, err)
		}
	}
	for _, m := range []string{"", ",p=", "c=biws", "c=biws,r=x", "c=biws,r=x,p=!", "c=!,r=x,p=AAAA", "c=biws,x=x,p=AAAA", "p=AAAA"} {
		s := NewScramServer(scramTester(t, SHA256, []byte("salt"), MinIterations, "secret"))
		if _, _, err := s.Next([]byte("n,,n=u,r=x")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Next([]byte(m)); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v", m, err)
		}
		if _, _, err := s.Next([]byte(m)); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q again: %v", m, err)
		}
	}
}

// If it fails, a hostile server can keep our client busy for hours.
func TestScramClientLimits(t *testing.T) {
	for _, count := range []string{"100", "2000000000", "99999999999999999999"} {
		client, err := NewScramClient(SHA256, "alice", "secret", ChannelBinding{}, false)
		if err != nil {
			t.Fatal(err)
		}
		first, err := client.Start()
		if err != nil {
			t.Fatal(err)
		}
		_, nonce, _ := strings.Cut(string(first), "r=")
		if _, err = client.Next([]byte("r=" + nonce + "x,s=c2FsdA==,i=" + count)); err == nil {
			t.Errorf("%s iterations accepted", count)
		}
	}
}

// FuzzServers: no response may make a server panic, succeed, or go on after an error.
func FuzzServers(f *testing.F) {
	f.Add([]byte("\x00alice\x00secret"), []byte(""))
	f.Add([]byte("n,,n=user,r=fyko"), []byte("c=biws,r=fyko,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="))
	f.Add([]byte("p=tls-exporter,a=x,n=u=2C=3D,r=y"), []byte("c=eCws,r=y,x=z,p=AAAA"))
	f.Add([]byte("n,a=user@example.com,\x01auth=Bearer x\x01\x01"), []byte("\x01"))
	f.Add([]byte("user=a\x01auth=Bearer x\x01\x01"), []byte(nil))
	deny := func(string, string, string) (Identity, error) { return Identity{}, errWrong }
	denyToken := func(string, string) (Identity, error) { return Identity{}, ErrToken }
	config := scramTester(f, SHA256, []byte("salt"), MinIterations, hex.EncodeToString([]byte("unguessable")))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, s := range []Server{
			NewPlainServer(deny), NewLoginServer(deny), NewScramServer(config),
			NewExternalServer(func(string) (Identity, error) { return Identity{}, errWrong }),
			NewOAuthBearerServer(denyToken, OAuthHint{}), NewXOAuth2Server(denyToken, OAuthHint{}),
		} {
			failed := false
			for _, response := range [][]byte{first, second, second} {
				_, done, err := s.Next(response)
				if done || failed && err == nil {
					t.Fatalf("%T: done %v after failure %v", s, done, failed)
				}
				failed = failed || err != nil
			}
		}
	})
}

// FuzzPrepareName: a prepared name must be stable and hold nothing that separates.
func FuzzPrepareName(f *testing.F) {
	f.Add("Alice@Example.org")
	f.Add("Ju\u0308rgen ")
	f.Fuzz(func(t *testing.T, s string) {
		name, err := PrepareName(s)
		if err != nil {
			return
		}
		if again, err := PrepareName(name); again != name || err != nil {
			t.Errorf("%q becomes %q, then %q, %v", s, name, again, err)
		}
		if len(name) > MaxName || strings.ContainsAny(name, "/\\*% \x00\r\n") {
			t.Errorf("%q became %q", s, name)
		}
	})
}
