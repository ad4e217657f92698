package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// makeKey returns a Key that stands for the parts. Where a Maildir or mbox lies is
// not among them, so that it may be moved between two runs.
func makeKey(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		io.WriteString(h, p)
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:20])
}

// opened is a message's Open that remembers whether it was the source that failed:
// then the message is to blame, and not the target.
type opened struct {
	open   func() (io.ReadCloser, error)
	failed error
}

func (o *opened) Open() (io.ReadCloser, error) {
	r, err := o.open()
	if err != nil {
		o.failed = err
		return nil, err
	}
	return &openedReader{r, o}, nil
}

type openedReader struct {
	io.ReadCloser
	of *opened
}

func (r *openedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		r.of.failed = err
	}
	return n, err
}
