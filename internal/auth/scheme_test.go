package auth

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// dovecotHashes are of the password "pass wörd", made by doveadm pw.
var dovecotHashes = []string{
	"{ARGON2I}$argon2i$v=19$m=32768,t=5,p=1$NI6A2bSnQ29S0YIlj0s/Ug$dFgihRsM5Gvgy2wS9mlwE4rnRaZwSRjRhYh2V3QMZHY",
	"{BLF-CRYPT}$2y$05$io63MKszNdkr8YrFF9g8WOnHMAwlEP8.Xv.7Tz7hyIdk23epCMrEG",
	"{SHA512-CRYPT}$6$rounds=1000$kkfeBsZA2liu3STl$m1h5.koFbgyA2f9BW5iS3TyFBBvMFcr98fQnFptDvVRqS3j4wSBaW0cURB2t/2BI4nwvztfNyjnp5wqw2BQrg1",
	"$6$rounds=1000$kkfeBsZA2liu3STl$m1h5.koFbgyA2f9BW5iS3TyFBBvMFcr98fQnFptDvVRqS3j4wSBaW0cURB2t/2BI4nwvztfNyjnp5wqw2BQrg1",
	"{SHA256-CRYPT}$5$rounds=1000$3LVGET5Iu.p8gm7d$DhVWHmhirjMX8g4reZecnBdRvfBt9rUJarowbX0zZS5",
	"{MD5-CRYPT}$1$15X6Vbe/$XvQN/LHjz1lRQB.By78On/",
	"{CRYPT}$2y$05$KOnr.9tf8uUmtdqc5gRGNuF/5f5UpPYJKC35Nz33QPX4fnTJ2lEHS",
	"{PBKDF2}$1$3jr14FuNuB79/sjH$5$f6e3baa7d234e004f8a8b22e55e6b410ded3c827",
	"{SCRAM-SHA-256}4096,tGdpjhINauVALW6WOHPB1A==,tVAO3/AMsVkKRVR5VWex9lSiMiRi/Pbv0IbxkeQ7pnY=,O0kH+GjagN/2EHrcYhZ4EbRRCNoLSTX1aAbq3IWv8Uc=",
	"{SCRAM-SHA-1}4096,6UpJxHwq9blOE3TN0PaiEw==,pad5CuebxnEWdkxY9h+QKJUcgrw=,/mtpL42wZW3vNACEBWxcVgLWIZs=",
	"{SSHA}JGyTgQxUsXn4mhg/Au+QVTCyDvaDLBOb",
	"{SSHA256}TwcouTDesFQeSDDX9ERaQ6uwTPGBJSBy2iTzwvbMpny7VEvV",
	"{SSHA512}kQ+Y/RhZvXbK/ofp7DeowE8lQ5T2kmbYhka7QF/24jqyrpVbJcbSRHec9RTwueIBex3d9nJjWInDV5sYcJbmTezlL34=",
	"{SMD5}xy0zbOw0OEgk4Kej2pW3WbCIcIE=",
	"{SHA}B/PcQHeAKywePq/ztWiCWf9lImE=",
	"{SHA256}OiJnkCVYiolCxym6OY5vSw4KcK5/4byVl4xwY92nKW4=",
	"{SHA512}zNC2/6f2hn0TF9T9rZD547wrjHSb4QzAd6Ka2pPoW8SpdvPx3wCEucqGdC89XUEQapM6HFqXiGHAibw6tmkzKg==",
	"{PLAIN-MD5}504d29647770fc46e054b810d4725657",
	"{LDAP-MD5}UE0pZHdw/EbgVLgQ1HJWVw==",
	"{SSHA.HEX}eca11b6262ed707be223a7a6dce306d3706eb6572f239362",
	"{ssha512.b64}MaB6A+6CR8ap7V+KnYMkRXNv2+DP4eLsZUsFcC/jQ5p4xrJhOrn2YkqVrPFEJFux/GKbrOJ9sASs2utl3boP8wPhyGY=",
	"{PLAIN}pass wörd",
	"{CLEARTEXT}pass wörd",
}

// If it fails, people who come from Dovecot need new passwords, or any password is
// good for them.
func TestDovecotSchemes(t *testing.T) {
	for _, stored := range dovecotHashes {
		if err := checkScheme(stored); err != nil {
			t.Errorf("%s: %v", stored, err)
		}
		if ok, err := verifyHash(stored, "pass wörd"); !ok || err != nil {
			t.Errorf("%s: %v, %v", stored, ok, err)
		}
		for _, wrong := range []string{"", "pass word", "pass wörd ", strings.Repeat("x", maxPassword)} {
			if ok, _ := verifyHash(stored, wrong); ok {
				t.Errorf("%s is good for %q", stored, wrong)
			}
		}
	}
}

// If it fails, a hash that cannot be read lets somebody in, or ends the server.
func TestBrokenHashes(t *testing.T) {
	for _, stored := range []string{
		"", "{", "{PLAIN", "{X}y", "{PLAIN.ROT13}x", "plain", "$6$", "$argon2id$v=19$m=64,t=1,p=1$x", "$9$a$b", "{SSHA}", "{SSHA}AAAA", "{SHA}????",
		"{SHA}JGyTgQxUsXn4mhg/Au+QVTCyDvaDLBOb", "{PBKDF2}$1$a$0$b", "{PBKDF2}$2$a$5$b", "{PBKDF2}x", "{PBKDF2}$1$a$b$",
		"{SCRAM-SHA-256}", "{SCRAM-SHA-256}1,AAAA,AAAA,AAAA", "{SCRAM-SHA-256}4096,AAAA,AAAA,AAAA", "{SCRAM-SHA-256}4096,,,", "{SCRAM-SHA-256}4096,?,?,?",
	} {
		if ok, err := verifyHash(stored, ""); ok || err == nil {
			t.Errorf("%q: %v, %v", stored, ok, err)
		}
	}
}

// If it fails, our own hashes are not what they are said to be.
func TestHasher(t *testing.T) {
	h := NewHasher()
	hash, err := h.Hash(t.Context(), "secret")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%s, %v", hash, err)
	}
	for password, want := range map[string]bool{"secret": true, "Secret": false, "": false} {
		if ok, err := h.Verify(t.Context(), hash, password); ok != want || err != nil {
			t.Errorf("%q: %v, %v", password, ok, err)
		}
	}
	if h.outdated(hash) || h.outdated(h.Decoy()) || !h.outdated("$argon2id$v=19$m=64,t=1,p=1$x$y") || !h.outdated("{PLAIN}x") {
		t.Error("outdated")
	}
	if again, err := h.Hash(t.Context(), "secret"); err != nil || again == hash {
		t.Error("no salt")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.slots.Acquire(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for h.slots.TryAcquire(1) { // take all
	}
	if _, err := h.Verify(ctx, hash, "secret"); !errors.Is(err, context.Canceled) {
		t.Errorf("waits for ever: %v", err)
	}
}

// FuzzVerifyHash: no stored hash may end the server, or be good for two passwords.
func FuzzVerifyHash(f *testing.F) {
	for _, stored := range dovecotHashes[7:] { // the slow ones say nothing more
		f.Add(stored)
	}
	f.Fuzz(func(t *testing.T, stored string) {
		name, encoded, err := splitScheme(stored)
		if err != nil || strings.Contains(name, "CRYPT") || strings.Contains(name, "ARGON") || len(encoded) > 200 {
			return // cost what they say, which is the operator's choice
		}
		if name == "PBKDF2" || strings.HasPrefix(name, "SCRAM") {
			_ = checkScheme(stored)
			return
		}
		one, _ := verifyHash(stored, "one")
		two, _ := verifyHash(stored, "two")
		if one && two {
			t.Errorf("%q is good for two passwords", stored)
		}
	})
}

// If this fails, a hash that was cut off on its way is taken, and passwords that nobody
// has set open the account.
func TestBugCutHash(t *testing.T) {
	for _, stored := range []string{
		"$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AA", "{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$QUJDREVGR0hJSktMTU5P",
		"$scrypt$ln=4,r=8,p=1$c29tZXNhbHQ$AA", "$6$salt$x", "$5$salt$xyz", "$1$salt$x", "", "plain",
	} {
		if err := checkScheme(stored); err == nil {
			t.Errorf("%s is taken", stored)
		}
		if ok, err := verifyHash(stored, "password"); ok || err == nil {
			t.Errorf("%s: %v, %v", stored, ok, err)
		}
	}
}

// If it fails, one login with a hash that asks for too much keeps a processor for hours, or
// takes the memory of the machine.
func TestBugCostlyHashes(t *testing.T) {
	digest := strings.Repeat("x", 53)
	for _, stored := range []string{
		"{BLF-CRYPT}$2y$31$" + digest, "$2b$16$" + digest, "$bcrypt-sha256$v=2,t=2b,r=31$" + digest[:22] + "$" + digest[:31],
		"$6$rounds=999999999$salt$" + strings.Repeat("x", 86), "$5$rounds=2000001$salt$" + strings.Repeat("x", 43),
		"$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$" + digest, "$argon2i$v=19$m=65536,t=1000000,p=1$c2FsdHNhbHQ$" + digest,
		"$scrypt$ln=58,r=8,p=1$c2FsdHNhbHQ$" + digest, "$scrypt$ln=17,r=8,p=1000000$c2FsdHNhbHQ$" + digest,
		"$scrypt$ln=17,r=1000000000000,p=1$c2FsdHNhbHQ$" + digest, "$scrypt$ln=58$c2FsdHNhbHQ$" + digest, "$y$jJT$saltsaltsalt$" + strings.Repeat("x", 43),
		"{PBKDF2}$1$salt$2000000000$f6e3baa7d234e004f8a8b22e55e6b410ded3c827",
		"{SCRAM-SHA-256}20000000,AAAA,AAAA,AAAA",
	} {
		if err := checkScheme(stored); err == nil {
			t.Errorf("%s is taken", stored)
		}
		if ok, err := verifyHash(stored, "x"); ok || err == nil {
			t.Errorf("%s: %v, %v", stored, ok, err)
		}
	}
	for _, encoded := range []string{
		"$2y$15$" + digest, "$6$rounds=2000000$salt$" + digest, "$argon2id$v=19$m=1048576,t=8,p=4$salt$" + digest,
		"$scrypt$ln=20,r=8,p=1$salt$" + digest, "$y$j9T$salt$" + digest, "$1$salt$" + digest,
	} {
		if err := checkCost(encoded); err != nil {
			t.Errorf("%s: %v", encoded, err)
		}
	}
}
