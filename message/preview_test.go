package message

import (
	"strings"
	"testing"
)

// If this fails, the list of messages in a mail program shows rubbish below the subject.
func TestPreview(t *testing.T) {
	html := "Content-Type: text/html; charset=utf-8\r\n\r\n"
	for _, c := range []struct{ msg, want string }{
		{"\r\nHello\r\n  there\t!\r\n", "Hello there !"},
		{"\r\n> quoted\r\nOn Monday Joe wrote:\r\n\r\n> quoted\r\nMy answer.\r\n-- \r\nJoe", "My answer."},
		{"\r\nthree things:\r\nfirst", "three things: first"},
		{html + "<style>p{}</style><p>a&amp;b<p>c<b>d</b>e&nbsp;&eacute;<!-- no --><br>1 < 2 &unknown; &lt", "a&b cde é 1 < 2 &unknown; <"},
		{html + "<SCRIPT>if (a<b) {}</script >x<title>t</title>y<a href='a>b'>z</a>", "x yz"},
		{"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9", "café"},
		{"Content-Type: text/plain\r\nContent-Disposition: Attachment\r\n\r\nhidden", ""},
		{"Content-Type: image/png\r\n\r\nx", ""},
		{"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n> only a quote\r\n--b\r\n\r\nsecond\r\n--b--", "second"},
		{"\r\n" + strings.Repeat("ä", 300), strings.Repeat("ä", 200)},
		{"\r\n" + strings.Repeat("> quoted\r\n", 1000) + "late", "late"},
		{"\r\n" + strings.Repeat("> quoted\r\n", 10_000) + "too late", ""},
		{html + "<style>" + strings.Repeat("p {}\r\n", 1000) + "</style>" + strings.Repeat("x", 300), strings.Repeat("x", 200)},
		{"\r\na\x01b\x00c", "abc"},
	} {
		for _, n := range []int{0, 1, 1000} {
			if got := scanIn([]byte(c.msg), n).Preview; got != c.want {
				t.Errorf("%.60q in writes of %d: got %q, want %q", c.msg, n, got, c.want)
			}
		}
	}
}
