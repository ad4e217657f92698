package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"
)

// If this fails, BINARY gives other octets than the sender encoded.
func TestDecodeTransfer(t *testing.T) {
	for _, c := range []struct{ encoding, in, want string }{
		{"", "a=3D", "a=3D"},
		{"7bit", "a", "a"},
		{"binary", "a\x00b", "a\x00b"},
		{"base64", "aGVsbG8gd29ybGQ=", "hello world"},
		{"base64", "aGVs\r\nbG8g\r\nd29ybGQ=\r\n", "hello world"},
		{"base64", "aGVsbG8gd29ybGQ", "hello world"},
		{"base64", "a*GV-s bG8", "hello"},
		{"base64", "aGk=aGk=", "hihi"},
		{"base64", "a", ""},
		{"base64", "====", ""},
		{"quoted-printable", "a=3Db=3d", "a=b="},
		{"quoted-printable", "a=\r\nb=\nc", "abc"},
		{"quoted-printable", "a = \t\r\nb", "a b"},
		{"quoted-printable", "a \t\r\nb \n c ", "a\r\nb\n c"},
		{"quoted-printable", "=C3=A4=zz=4", "ä=zz=4"},
		{"quoted-printable", "a==3D", "a=="},
		{"quoted-printable", "a =20\r\n", "a  \r\n"},
		{"quoted-printable", "a=", "a"},
		{"quoted-printable", "a \r b", "a \r b"},
	} {
		r, ok := DecodeTransfer(iotest.OneByteReader(strings.NewReader(c.in)), c.encoding)
		if !ok {
			t.Fatalf("%s is not known", c.encoding)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != c.want {
			t.Errorf("%s of %q: got %q, want %q, %v", c.encoding, c.in, got, c.want, err)
		}
	}
	if _, ok := DecodeTransfer(nil, "x-uuencode"); ok {
		t.Error("x-uuencode is said to be known")
	}
}

// If this fails, something that the standard library encodes does not come back.
func TestDecodeTransferReversesEncoding(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	data := make([]byte, 100_000)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	var qp bytes.Buffer
	w := quotedprintable.NewWriter(&qp)
	w.Binary = true
	w.Write(data)
	w.Close()
	for encoding, text := range map[string]string{
		"base64": base64.StdEncoding.EncodeToString(data), "quoted-printable": qp.String(),
	} {
		dec, _ := DecodeTransfer(strings.NewReader(text), encoding)
		if got, err := io.ReadAll(dec); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d octets come back: %v", encoding, len(got), err)
		}
	}
}
