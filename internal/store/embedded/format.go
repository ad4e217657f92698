package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/internal/store"
)

// The entries of the directory.
const (
	formatFile  = "FORMAT"
	formatTemp  = "FORMAT.new"
	keysDir     = "keys"
	blobsDir    = "blobs"
	ballastFile = "ballast"
)

// formatText is the content of the format file. The number grows with each
// change that an older program cannot read.
const formatText = "tidemark store 4\n"

// wholeFormat is the format of stores whose small blobs are not cut into pieces. Such
// blobs stay as they are, and new ones are cut.
const wholeFormat = "tidemark store 3\n"

// category names our own files in Pebble's statistics of writes.
const category vfs.DiskWriteCategory = "tidemark"

// prepareDir makes the directory if it is new, else checks that it is a store of
// the version that this program knows.
func prepareDir(fs vfs.FS, dir string) error {
	if err := makeDir(fs, dir); err != nil {
		return err
	}
	if err := checkOrCreate(fs, dir); err != nil {
		return err
	}
	for _, sub := range []string{keysDir, blobsDir} {
		if err := makeDir(fs, fs.PathJoin(dir, sub)); err != nil {
			return err
		}
	}
	return nil
}

// checkOrCreate leaves the directory with a format file that is known.
func checkOrCreate(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	fresh := true
	for _, name := range names {
		if name == formatFile {
			return checkFormat(fs, dir)
		}
		// A crash may have left the temporary file behind.
		fresh = fresh && name == formatTemp
	}
	if !fresh {
		return fmt.Errorf("%w: the directory is not empty and has no file %s", store.ErrFormat, formatFile)
	}
	return createFormat(fs, dir)
}

// createFormat writes the format file, as the first thing in a new store and before
// anything is written to an older one.
func createFormat(fs vfs.FS, dir string) error {
	if err := writeFile(fs, fs.PathJoin(dir, formatTemp), formatText); err != nil {
		return err
	}
	if err := fs.Rename(fs.PathJoin(dir, formatTemp), fs.PathJoin(dir, formatFile)); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

// checkFormat checks the version.
func checkFormat(fs vfs.FS, dir string) error {
	text, err := readFile(fs, fs.PathJoin(dir, formatFile))
	if err != nil {
		return err
	}
	if text != formatText && text != wholeFormat {
		return fmt.Errorf("%w: %s says %q, but this program knows %q and %q only",
			store.ErrFormat, formatFile, strings.TrimSpace(text), strings.TrimSpace(wholeFormat), strings.TrimSpace(formatText))
	}
	return nil
}

// upgradeFormat makes the version the one of this program, lest an older one takes the
// first piece of a blob for the whole. The store is locked.
func upgradeFormat(fs vfs.FS, dir string) error {
	text, err := readFile(fs, fs.PathJoin(dir, formatFile))
	if err != nil || text == formatText {
		return err
	}
	return createFormat(fs, dir)
}

// makeDir makes a directory that only its owner can enter, and its parents. Each
// is synced into its parent, lest a crash takes it away with all that is in it.
func makeDir(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err == nil {
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := fs.PathDir(dir)
	if parent != dir {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fs, parent)
}

// readFile returns the content of one of our small files.
func readFile(fs vfs.FS, name string) (string, error) {
	f, err := fs.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 200))
	return string(text), err
}

func writeFile(fs vfs.FS, name, text string) error {
	f, err := fs.Create(name, category)
	if err != nil {
		return err
	}
	if _, err = f.Write([]byte(text)); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
