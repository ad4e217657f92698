package imapwire_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"tidemark/imapwire"
)

// If this failed, a mailbox would have two names on the wire, or none (RFC 3501
// §5.1.3).
func TestMailboxNames(t *testing.T) {
	for wire, name := range map[string]string{
		"":                                "",
		"INBOX":                           "INBOX",
		"~peter/mail/&U,BTFw-/&ZeVnLIqe-": "~peter/mail/台北/日本語",
		"&U,BTF2XlZyyKng-":                "台北日本語",
		"&-":                              "&",
		"a&-b&-&-":                        "a&b&&",
		"Entw&APw-rfe":                    "Entwürfe",
		"&AOk-&-":                         "é&",
		"&2D3eAA-":                        "😀",
		"&AAEACgB,-":                      "\x01\n\x7f",
		"a*%b":                            "a*%b",
	} {
		if got, err := imapwire.DecodeMailbox(wire); err != nil || got != name {
			t.Errorf("decode %q: got %q, %v", wire, got, err)
		}
		if got := string(imapwire.EncodeMailbox(nil, name)); got != wire {
			t.Errorf("encode %q: got %q, want %q", name, got, wire)
		}
	}
	for _, wire := range []string{
		"&", "&Jjo", "&Jjo!", "&Jjo!-", "ü", "a\x00b", "a\nb", "a\x7fb",
		"&AGE-",          // "a", which stands for itself
		"&ACY-",          // "&"
		"&AAA-",          // NUL
		"&AOl-",          // bits left over
		"&AOkA-", "&AO-", // half a character
		"&AOk=-", // padding
		"&AOk/-", "&AO k-", "&AO\rk-",
		"&AOk-&AOk-",                             // should be one run
		"&2D0-", "&3gA-", "&2D0AYQ-", "&3gDYPQ-", // half a surrogate pair
	} {
		if got, err := imapwire.DecodeMailbox(wire); err == nil {
			t.Errorf("decode %q: got %q", wire, got)
		}
	}
}

// If this failed, mailboxes could be made that clients cannot name, or whose names
// mean something else to a program that takes them for paths.
func TestCheckMailboxName(t *testing.T) {
	deep := strings.TrimSuffix(strings.Repeat("a/", imapwire.MaxMailboxDepth), "/")
	for _, name := range []string{
		"a", "INBOX/x", "a b/c", "Entwürfe", "...", "a/..b", deep, strings.Repeat("x", imapwire.MaxMailboxPart), "*", "&", `\`, `"`,
	} {
		if err := imapwire.CheckMailboxName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	long := strings.Repeat(strings.Repeat("x", 204)+"/", 5)
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\x00b", "a\rb", "a\nb", "a\x1fb", "a\x7fb", "a\u0085b", "a\u2028b", "a\u2029",
		"\xff", "\xc0\xaf", "\xed\xa0\x80", deep + "/a", strings.Repeat("x", imapwire.MaxMailboxPart+1), long,
	} {
		if err := imapwire.CheckMailboxName(name); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
}

// FuzzMailboxName: a mailbox has one name in modified UTF-7, and every name comes back from
// it as it was (RFC 3501 §5.1.3).
func FuzzMailboxName(f *testing.F) {
	for _, s := range []string{"", "INBOX", "&U,BTFw-", "&-&", "&AOk-&AOk-", "Entwürfe", "😀", "&2D3eAA-", "a&b", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, err := imapwire.DecodeMailbox(s); err == nil {
			if got := string(imapwire.EncodeMailbox(nil, name)); got != s {
				t.Errorf("%q decodes to %q, which encodes to %q", s, name, got)
			}
		}
		if utf8.ValidString(s) && !strings.Contains(s, "\x00") {
			wire := string(imapwire.EncodeMailbox(nil, s))
			if got, err := imapwire.DecodeMailbox(wire); err != nil || got != s {
				t.Errorf("%q encodes to %q, which decodes to %q, %v", s, wire, got, err)
			}
		}
	})
}
