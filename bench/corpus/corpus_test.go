package corpus

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"slices"
	"strings"
	"testing"
)

// If this fails, two runs measure different mail and cannot be compared.
func TestSameMessages(t *testing.T) {
	a, b := Generator{Seed: 1}, Generator{Seed: 1}
	for _, i := range []int{0, 1, 17, 4711} {
		if !bytes.Equal(a.Append(nil, i), b.Append(nil, i)) {
			t.Errorf("message %d differs", i)
		}
	}
	if bytes.Equal(a.Append(nil, 3), Generator{Seed: 2}.Append(nil, 3)) {
		t.Error("the seed makes no difference")
	}
}

// If this fails, the sizes are not those that the results are said to be for.
func TestSizes(t *testing.T) {
	g := Generator{Seed: 1}
	var sizes []int
	total := 0
	for i := range 4000 {
		n := len(g.Append(nil, i))
		sizes = append(sizes, n)
		total += n
	}
	slices.Sort(sizes)
	median, mean := sizes[len(sizes)/2], total/len(sizes)
	if median < 5000 || median > 8000 || mean < 18000 || mean > 32000 {
		t.Errorf("median %d, mean %d", median, mean)
	}
	for i := range 200 {
		if n := len(Generator{Seed: 1, Limit: 2048}.Append(nil, i)); n > 3500 {
			t.Errorf("message %d has %d octets in spite of the limit", i, n)
		}
	}
}

// If this fails, servers are measured at taking apart broken mail.
func TestWellFormed(t *testing.T) {
	g := Generator{Seed: 1}
	for i := range 300 {
		msg, err := mail.ReadMessage(bytes.NewReader(g.Append(nil, i)))
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if _, err := msg.Header.Date(); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
		if _, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject")); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
		checkParts(t, i, msg.Header.Get("Content-Type"), msg.Body)
	}
}

func checkParts(t *testing.T, i int, contentType string, body io.Reader) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatalf("message %d: %q: %v", i, contentType, err)
	}
	if !strings.HasPrefix(kind, "multipart/") {
		return
	}
	r := multipart.NewReader(body, params["boundary"])
	parts := 0
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		parts++
		checkParts(t, i, p.Header.Get("Content-Type"), p)
	}
	if parts < 2 {
		t.Errorf("message %d: %s of %d parts", i, kind, parts)
	}
}
