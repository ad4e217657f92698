package imapwire_test

import (
	"strings"
	"testing"

	"tidemark/imap"
	"tidemark/imapwire"
)

// repeat is a source that says the same for ever.
type repeat struct {
	text string
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

func benchmarkDecode(b *testing.B, line string) {
	d := imapwire.NewDecoder(&repeat{text: strings.Repeat(line+"\r\n", 40)}, imapwire.LimitsAfterLogin(), nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(line) + 2))
	for b.Loop() {
		if _, _, err := d.ReadCommand(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeNoop(b *testing.B) { benchmarkDecode(b, "a1 NOOP") }

func BenchmarkDecodeFetch(b *testing.B) {
	benchmarkDecode(b, "a12 UID FETCH 1:* (UID FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER.FIELDS (From To Date Subject)])")
}

func BenchmarkDecodeStore(b *testing.B) {
	benchmarkDecode(b, `a13 UID STORE 1017 +FLAGS.SILENT (\Seen)`)
}

func BenchmarkEncodeFetchFlags(b *testing.B) {
	flags := imap.NewFlagSet([]imap.Flag{imap.FlagSeen, imap.FlagAnswered, "$Forwarded"})
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = imapwire.AppendFetchStart(buf[:0], 12345)
		buf = append(imapwire.AppendFetchUID(buf, 234567), ' ')
		buf = append(imapwire.AppendFetchFlags(buf, flags, false), ' ')
		buf = append(imapwire.AppendFetchModSeq(buf, 1234567890), ' ')
		buf = imapwire.AppendFetchInternalDate(buf, 1700000000, 120)
		buf = imapwire.AppendFetchEnd(buf)
	}
	b.SetBytes(int64(len(buf)))
}
