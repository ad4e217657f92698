package admin

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"

	"tidemark/internal/transfer"
)

// If this fails, a stream of an import from a broken or hostile client makes the server
// panic, hang or hold it in memory.
func FuzzStream(f *testing.F) {
	var good bytes.Buffer
	w := bufio.NewWriter(&good)
	for _, text := range []string{"", "Subject: a\r\n\r\n", strings.Repeat("x", 3*maxFrame)} {
		if err := writeMessage(w, incoming("key", text)); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(good.Bytes()[:good.Len()-5])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{2, '{', '}', 0, 3, 'w', 'h', 'y'})
	f.Fuzz(func(t *testing.T, stream []byte) {
		s := &streamReader{r: bufio.NewReader(bytes.NewReader(stream))}
		total := 0
		s.all(func(m transfer.Message) bool {
			content, err := m.Open()
			if err != nil {
				t.Fatal(err)
			}
			n, _ := io.Copy(io.Discard, content)
			total += int(n)
			return true
		})
		if total > len(stream) {
			t.Errorf("%d octets came of %d", total, len(stream))
		}
	})
}
