package embedded

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// If this fails, each LMTP recipient of a large message makes and removes a file, because
// the server asks for room before it has the message.
func TestLargeBlobWithoutContentHasNoFile(t *testing.T) {
	fs := vfs.NewMem()
	e, err := Open("store", Options{FS: fs, Logger: quiet(), MinFree: -1, Ballast: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	files := func(when string, want int) {
		t.Helper()
		names, err := fs.List(fs.PathJoin("store", blobsDir))
		if err != nil {
			t.Fatal(err)
		}
		if len(names) != want {
			t.Errorf("%s: files %q, want %d", when, names, want)
		}
	}
	w, err := e.NewBlob(t.Context(), 1, 2*inlineSize)
	if err != nil {
		t.Fatal(err)
	}
	files("before the first octet", 0)
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	files("with the first octet", 1)
	w.Abort()
	files("after Abort", 0)
}
