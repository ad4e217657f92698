package auth

import (
	"errors"
	"net/netip"
	"reflect"
	"regexp"
	"testing"
	"time"

	"tidemark/sasl"
)

func fullRecord() *Record {
	app, _ := newAppPassword("phone", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	app.Scram = &sasl.ScramKeys{StoredKey: []byte("c"), ServerKey: []byte("d")}
	app.Expires = time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	return &Record{
		Name: "alice", Hash: "{PLAIN}x", Disabled: true, Master: true,
		Scram:        &ScramRecord{Salt: []byte("s"), Iterations: 4096, SHA256: &sasl.ScramKeys{StoredKey: []byte("a"), ServerKey: []byte("b")}},
		Networks:     []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
		Homes:        []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		AppPasswords: []AppPassword{app},
	}
}

// If it fails, passwords are lost between two starts of the server.
func TestRecordIsKept(t *testing.T) {
	for _, r := range []*Record{fullRecord(), {Name: "alice"}} {
		data, err := r.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		got := &Record{Name: "alice", Hash: "what was there before"}
		if err := got.UnmarshalBinary(data); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v, %v; want %+v", got, err, r)
		}
	}
	for _, data := range []string{"", "x", "{}", `{"v":2}`, `{"v":1,"hash":5}`, "null", `{"v":1,"Record":null}`} {
		r := &Record{Name: "alice", Hash: "kept"}
		err := r.UnmarshalBinary([]byte(data))
		if data != `{"v":1,"Record":null}` && (!errors.Is(err, ErrRecord) || r.Hash != "kept") {
			t.Errorf("%q: %v, %+v", data, err, r)
		}
	}
}

// If it fails, a remembered password outlives a change of the record, or is forgotten
// at each use.
func TestRecordVersion(t *testing.T) {
	changes := map[string]func(*Record){
		"name":     func(r *Record) { r.Name = "bob" },
		"hash":     func(r *Record) { r.Hash = "{PLAIN}y" },
		"disabled": func(r *Record) { r.Disabled = false },
		"networks": func(r *Record) { r.Networks = nil },
		"revoked":  func(r *Record) { r.AppPasswords = nil },
		"expires":  func(r *Record) { r.AppPasswords[0].Expires = time.Time{} },
	}
	original := fullRecord()
	for name, change := range changes {
		r := fullRecord()
		r.AppPasswords[0] = original.AppPasswords[0]
		if r.version() != original.version() {
			t.Fatal("versions of equal records differ")
		}
		change(r)
		if r.version() == original.version() {
			t.Errorf("%s: version unchanged", name)
		}
	}
	r := fullRecord()
	r.AppPasswords[0] = original.AppPasswords[0]
	r.AppPasswords[0].LastUsed = time.Now()
	r.Homes = nil
	if r.version() != original.version() {
		t.Error("a login changes the version")
	}
}

// If it fails, app passwords can be guessed, or are hard to type.
func TestAppPasswordForm(t *testing.T) {
	form := regexp.MustCompile(`^[a-z2-7]{5}(-[a-z2-7]{5}){3}$`)
	seen := map[string]bool{}
	for range 100 {
		_, password := newAppPassword("x", time.Now())
		if !form.MatchString(password) || seen[password] {
			t.Fatalf("%q", password)
		}
		seen[password] = true
	}
}

// FuzzRecord: no stored bytes may end the server, and what is read must be kept when
// written again.
func FuzzRecord(f *testing.F) {
	data, err := fullRecord().MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r, again Record
		if r.UnmarshalBinary(data) != nil {
			return
		}
		written, err := r.MarshalBinary()
		if err != nil {
			return // a time that JSON cannot hold
		}
		if err := again.UnmarshalBinary(written); err != nil || again.version() != r.version() {
			t.Errorf("%q becomes %q: %v", data, written, err)
		}
	})
}
