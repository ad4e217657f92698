package auth

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tidemark/sasl"
)

const (
	scramLine  = "{SCRAM-SHA-256}4096,tGdpjhINauVALW6WOHPB1A==,tVAO3/AMsVkKRVR5VWex9lSiMiRi/Pbv0IbxkeQ7pnY=,O0kH+GjagN/2EHrcYhZ4EbRRCNoLSTX1aAbq3IWv8Uc="
	bcryptHash = "{BLF-CRYPT}$2y$05$io63MKszNdkr8YrFF9g8WOnHMAwlEP8.Xv.7Tz7hyIdk23epCMrEG"
)

// If it fails, lines of Dovecot's file are misread.
func TestPasswdLines(t *testing.T) {
	users, err := parsePasswdFile([]byte(strings.Join([]string{
		"# comment", "",
		"Alice@example.org:" + bcryptHash + ":1000:1000::/home/alice::userdb_mail=maildir:~/Maildir allow_nets=10.0.0.0/8,2001:db8::1\r",
		"bob:" + scramLine,
		"carol:" + bcryptHash + "::::::nologin",
		"dave:!" + bcryptHash,
		"erin:*",
		"frank",
		"gina:" + bcryptHash + "::::::master=y",
		"hugo:" + bcryptHash + "::::::nologin=no",
	}, "\n")), false)
	if err != nil || len(users) != 8 {
		t.Fatalf("%d users, %v", len(users), err)
	}
	alice := users["alice@example.org"]
	if alice.Hash != bcryptHash || alice.Disabled || len(alice.Networks) != 2 || alice.Networks[1] != netip.MustParsePrefix("2001:db8::1/128") {
		t.Errorf("alice: %+v", alice)
	}
	if users["bob"].Scram.keys(sasl.SHA256) == nil || users["bob"].Disabled {
		t.Errorf("bob: %+v", users["bob"])
	}
	for _, name := range []string{"carol", "dave", "erin", "frank"} {
		if !users[name].Disabled {
			t.Errorf("%s is not disabled", name)
		}
	}
	if !users["gina"].Master || users["hugo"].Disabled || users["hugo"].Master {
		t.Errorf("%+v, %+v", users["gina"], users["hugo"])
	}
}

// If it fails, a mistake in the file is not found, or not where it is.
func TestPasswdMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"a b:" + bcryptHash:                                     "line 2: not a user name",
		"alice:{X}y":                                            "line 2: password scheme not known: {X}",
		"alice:{PLAIN}secret word":                              "line 2: {PLAIN} is too weak to be taken without auth.allow_weak_hashes",
		"alice:$6$nonsense":                                     "line 2: ",
		"alice:" + bcryptHash + "::::::nopassword":              "line 2: nopassword would let anybody in",
		"alice:" + bcryptHash + "::::::allow_nets=x":            "line 2: allow_nets: ",
		"alice:" + bcryptHash + "\nALICE:" + bcryptHash:         "line 3: the user stands there twice",
		"alice:{SCRAM-SHA-256}1,AAAA,AAAA,AAAA":                 "line 2: stored SCRAM keys: iterations out of range",
		"alice:" + bcryptHash + "::::::allow_nets=10.0.0.0/999": "line 2: allow_nets: ",
	} {
		_, err := parsePasswdFile([]byte("#\n"+line), false)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "secret word") {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
	if users, err := parsePasswdFile([]byte("alice:{PLAIN}secret word"), true); err != nil || users["alice"].Hash != "{PLAIN}secret word" {
		t.Errorf("weak: %v", err)
	}
}

// If it fails, a changed file is not read, or a broken one locks everybody out.
func TestPasswdFileReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	clock := time.Now()
	opts := PasswdFileOptions{Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return clock }}
	if _, err := NewPasswdFile(path, opts); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	write("alice:" + scramLine + "\n")
	f, err := NewPasswdFile(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	has := func(user string) bool {
		t.Helper()
		clock = clock.Add(passwdPoll)
		_, err := f.Lookup(t.Context(), user)
		if err != nil && !errors.Is(err, ErrNoUser) {
			t.Fatal(err)
		}
		return err == nil
	}
	if !has("alice") || has("bob") || !f.Scram(sasl.SHA256) || f.Scram(sasl.SHA1) {
		t.Error("first state")
	}
	write("alice:" + bcryptHash + "\nbob:" + bcryptHash + "\ncarol:" + scramLine + "\n")
	if !has("alice") || !has("bob") || f.Scram(sasl.SHA256) || f.Decoy() != bcryptHash {
		t.Error("change not seen")
	}
	write("alice:{NONSENSE}x\n")
	if !has("alice") || !has("bob") || !strings.Contains(log.String(), "line 1") {
		t.Errorf("broken file: %s", &log)
	}
	if err := f.Reload(); err == nil {
		t.Error("Reload does not tell of a broken file")
	}
	if err := os.Remove(path); err != nil || !has("alice") {
		t.Error("removed file")
	}
	write("bob:" + bcryptHash + "\n")
	if has("alice") || !has("bob") {
		t.Error("file that came back")
	}
}

// If it fails, a user who was taken out of the file stays in, or a change to one user
// throws out the others.
func TestPasswdFileTellsOfChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("alice:" + bcryptHash + "\nbob:" + bcryptHash + "\ncarol:" + bcryptHash + "\n")
	clock := time.Now()
	f, err := NewPasswdFile(path, PasswdFileOptions{Log: discard(), Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want ...string) {
		t.Helper()
		var told []string
		clock = clock.Add(passwdPoll)
		f.poll(func(user string) { told = append(told, user) })
		slices.Sort(told)
		if !slices.Equal(told, want) {
			t.Errorf("told of %q, want %q", told, want)
		}
	}
	expect()
	write("bob:" + bcryptHash + "::::::nologin\ncarol:" + bcryptHash + "\ndave:" + bcryptHash + "\n")
	expect("alice", "bob")
	expect()
	write("dave:" + bcryptHash + "\n")
	clock = clock.Add(passwdPoll)
	if _, err := f.Lookup(t.Context(), "carol"); !errors.Is(err, ErrNoUser) { // this notices the change
		t.Fatal(err)
	}
	expect("bob", "carol")
}

// FuzzPasswdFile: no file may end the server or make a user whose name is none.
func FuzzPasswdFile(f *testing.F) {
	f.Add("alice:" + bcryptHash + ":1000:1000::/home/alice::allow_nets=10.0.0.0/8 nologin\n#x\nbob:" + scramLine)
	f.Fuzz(func(t *testing.T, text string) {
		users, err := parsePasswdFile([]byte(text), true)
		if err != nil {
			return
		}
		for name, r := range users {
			if prepared, err := sasl.PrepareName(name); err != nil || prepared != r.Name {
				t.Errorf("%q makes user %q", text, name)
			}
		}
	})
}
