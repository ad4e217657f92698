package message

import "testing"

// If this fails, subjects and names are not found by SEARCH or sort wrongly.
func TestDecodeHeader(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain", "plain"},
		{" a\r\n b\t\r\n", "a b"},
		// RFC 2047 §8.
		{"(=?ISO-8859-1?Q?a?=)", "(a)"},
		{"(=?ISO-8859-1?Q?a?= b)", "(a b)"},
		{"(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"},
		{"(=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=)", "(ab)"},
		{"(=?ISO-8859-1?Q?a_b?=)", "(a b)"},
		{"(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"},
		{"=?US-ASCII?Q?Keith_Moore?= <moore@example.org>", "Keith Moore <moore@example.org>"},

		{"=?utf-8?q?a=C3?= =?utf-8?q?=A4b?=", "aäb"}, // a character cut apart
		{"=?utf-8?b?w6Q=?= =?UTF-8?q?=C3=B6?=", "äö"},
		{"=?utf-8*de?q?=C3=A4?=", "ä"},
		{"=?gb2312?b?xOO6ww==?=", "你好"},
		{"=?ks_c_5601-1987?b?vsiz58fPvLy/5A==?=", "안녕하세요"},
		{"=?iso-2022-jp?b?GyRCRnxLXDhsGyhC?=", "日本語"},
		{"=?utf-7?q?+AOk-?=", "é"},
		{"=?x-unheard-of?q?caf=E9?=", "café"},
		{"=?utf-8?q?really? yes?=", "really? yes"},
		{"=?utf-8?q?a=0D=0Ab=00?=", "a  b "},
		{"caf\xe9", "café"},
		{"café", "café"},
		{"caf\xe9 =?utf-8?q?=C3=A9?=", "café é"},

		// Not encoded words.
		{"=?", "=?"},
		{"=?utf-8?q?no end", "=?utf-8?q?no end"},
		{"=?utf-8?x?a?=", "=?utf-8?x?a?="},
		{"=??q?a?=", "=??q?a?="},
		{"=?a?q?=?utf-8?q?b?=", "=?a?q?b"},
	} {
		if got := DecodeHeader([]byte(c.in)); got != c.want {
			t.Errorf("%q\n got %q\nwant %q", c.in, got, c.want)
		}
	}
}
