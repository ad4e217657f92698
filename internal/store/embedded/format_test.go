package embedded

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/internal/store"
	"tidemark/internal/store/storetest"
)

func mustOpen(t *testing.T, dir string, opts Options) *Engine {
	t.Helper()
	opts.Logger = quiet()
	e, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustClose(t *testing.T, e *Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// If this fails, a program writes into a store, or a directory, that it does not
// understand.
func TestFormat(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		ok    bool
	}{
		{"an empty directory", nil, true},
		{"a crash before the first rename", map[string]string{formatTemp: "tide"}, true},
		{"a crash before the directories were made", map[string]string{formatFile: formatText}, true},
		{"the version before", map[string]string{formatFile: wholeFormat}, true},
		{"an earlier version", map[string]string{formatFile: "tidemark store 2\n"}, false},
		{"a later version", map[string]string{formatFile: "tidemark store 5\n"}, false},
		{"an empty format file", map[string]string{formatFile: ""}, false},
		{"somebody's files", map[string]string{"thesis.txt": "x"}, false},
		{"a format file that is too long", map[string]string{formatFile: formatText + "more"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			e, err := Open(dir, Options{Logger: quiet(), Ballast: -1})
			if err == nil {
				mustClose(t, e)
			}
			if ok := err == nil; ok != tt.ok || !ok && !errors.Is(err, store.ErrFormat) {
				t.Errorf("open: %v", err)
			}
			for name, text := range tt.files {
				if got, _ := os.ReadFile(filepath.Join(dir, name)); !tt.ok && string(got) != text {
					t.Errorf("%s was changed to %q", name, got)
				}
			}
			if got, _ := os.ReadFile(filepath.Join(dir, formatFile)); tt.ok && string(got) != formatText {
				t.Errorf("the format was left at %q", got)
			}
		})
	}
}

// If this fails, two servers write into one store, or others can read the mail.
func TestOpenTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "store")
	e := mustOpen(t, dir, Options{Ballast: 1 << 20})
	defer mustClose(t, e)
	if _, err := Open(dir, Options{Logger: quiet()}); !errors.Is(err, ErrLocked) {
		t.Errorf("open a second time: %v", err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v", info.Mode(), err)
	}
	var ballast syscall.Stat_t
	if err := syscall.Stat(filepath.Join(dir, ballastFile), &ballast); err != nil || ballast.Blocks*512 < 1<<20 {
		t.Errorf("the ballast has %d blocks, %v", ballast.Blocks, err)
	}
}

// If this fails, many slow deliveries together take all memory.
func TestBlobMemory(t *testing.T) {
	e := mustOpen(t, "store", Options{FS: vfs.NewMem(), BlobMemory: 1 << 20})
	defer mustClose(t, e)
	body := bytes.Repeat([]byte("x"), 100_000)
	var refs []store.BlobRef
	for range 50 {
		ref, err := storetest.WriteBlob(t.Context(), e, 1, body)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
		if n := e.memory.Load(); n > 1<<20 {
			t.Fatalf("%d bytes of blobs in memory", n)
		}
	}
	err := e.Update(t.Context(), 1, func(tx store.Tx) error {
		for _, ref := range refs[:25] {
			tx.Adopt(ref)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		ref.Discard()
	}
	if n := e.memory.Load(); n != 0 {
		t.Errorf("%d bytes of blobs are still counted", n)
	}
	if err := e.Verify(t.Context(), 1, func(d store.Damage) { t.Error(d) }); err != nil {
		t.Error(err)
	}
	if err := checkFiles(t, e); err != nil {
		t.Error(err)
	}
}

// If this fails, a crash between a blob and its transaction leaks a file for ever,
// or the sweep removes what is not ours.
func TestSweep(t *testing.T) {
	fs := vfs.NewMem()
	e := mustOpen(t, "store", Options{FS: fs})
	if _, err := storetest.WriteBlob(t.Context(), e, 1, make([]byte, inlineSize+1)); err != nil {
		t.Fatal(err)
	}
	mustClose(t, e)
	if err := writeFile(fs, "store/blobs/README", "not ours"); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, "store", Options{FS: fs})
	defer mustClose(t, e)
	e.files.swept.Wait()
	names, err := fs.List("store/blobs")
	if err != nil || strings.Join(names, " ") != "README" {
		t.Errorf("left in the directory: %v, %v", names, err)
	}
}

// If this fails, the sweep takes one account's file for another's.
func TestFileName(t *testing.T) {
	id, blob := store.AccountID(1<<63+5), newBlobID(0)
	gotID, gotBlob, ok := parseFileName(fileName(id, blob))
	if !ok || gotID != id || gotBlob != blob {
		t.Errorf("%x-%x became %x-%x, %v", id, blob, gotID, gotBlob, ok)
	}
	name := fileName(1, blob)
	for _, bad := range []string{"", name[1:], name + "0", strings.ToUpper("ab") + name[2:], "zz" + name[2:], strings.Replace(name, "-", "_", 1)} {
		if _, _, ok := parseFileName(bad); ok {
			t.Errorf("%q is taken for the name of a blob", bad)
		}
	}
}

// If this fails, tests do not find functions that forget to close an iterator.
func TestRunTwiceFindsOpenIterators(t *testing.T) {
	for _, strict := range []bool{true, false} {
		e := mustOpen(t, "store", Options{FS: vfs.NewMem(), RunTwice: strict})
		func() {
			defer func() {
				if panicked := recover() != nil; panicked != strict {
					t.Errorf("panicked: %v, strict: %v", panicked, strict)
				}
			}()
			_ = e.View(t.Context(), 1, func(r store.Reader) error {
				r.Scan(nil, nil, false)
				r.Scan(nil, nil, true)
				return nil
			})
		}()
		mustClose(t, e)
	}
}
