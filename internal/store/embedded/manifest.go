package embedded

import (
	"fmt"
	"hash/crc32"
	"io"
	"path"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/internal/store"
)

// Pebble takes a damaged record at the end of its manifest for one that a crash cut
// off, and opens an older state of the store. So when the store is closed, the
// length and the checksum of the manifest are written to a file. A manifest only
// grows, and another one replaces it when the store is opened, so what the file
// says never becomes wrong.

const (
	sealFile = "manifest.sum"
	sealTemp = "manifest.sum.new"
)

// manifestSeal is what is known of a manifest.
type manifestSeal struct {
	name string
	size int64
	sum  uint32 // CRC-32C of the first size bytes
}

func (m manifestSeal) String() string {
	text := fmt.Sprintf("%s %d %08x", m.name, m.size, m.sum)
	return fmt.Sprintf("%s %08x\n", text, crc32.Checksum([]byte(text), castagnoli))
}

// parseSeal returns false for what String cannot have made.
func parseSeal(text string) (m manifestSeal, ok bool) {
	var own uint32
	if _, err := fmt.Sscanf(text, "%s %d %08x %08x\n", &m.name, &m.size, &m.sum, &own); err != nil {
		return m, false
	}
	return m, m.String() == text
}

// sealManifest writes the file. Pebble must be closed.
func sealManifest(fs vfs.FS, dir string) error {
	keys := fs.PathJoin(dir, keysDir)
	desc, err := pebble.Peek(keys, fs)
	if err != nil || !desc.Exists {
		return err
	}
	m := manifestSeal{name: path.Base(desc.ManifestFilename)}
	if m.size, m.sum, err = sumFile(fs, fs.PathJoin(keys, m.name), unlimited); err != nil {
		return err
	}
	temp := fs.PathJoin(dir, sealTemp)
	if err := writeFile(fs, temp, m.String()); err != nil {
		return err
	}
	if err := fs.Rename(temp, fs.PathJoin(dir, sealFile)); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

// checkManifest returns store.ErrCorrupt if the manifest is not what it was when
// the store was closed.
func checkManifest(fs vfs.FS, dir string) error {
	text, err := readFile(fs, fs.PathJoin(dir, sealFile))
	if err != nil {
		return nil // the store was not closed yet
	}
	m, ok := parseSeal(text)
	if !ok {
		return nil // the damage is here
	}
	keys := fs.PathJoin(dir, keysDir)
	desc, err := pebble.Peek(keys, fs)
	if err != nil || path.Base(desc.ManifestFilename) != m.name {
		return nil // Pebble will tell, or it has been opened since
	}
	size, sum, err := sumFile(fs, fs.PathJoin(keys, m.name), m.size)
	if err != nil {
		return fmt.Errorf("%w: %s: %v", store.ErrCorrupt, m.name, err)
	}
	if size != m.size || sum != m.sum {
		return fmt.Errorf("%w: %s has changed since the store was closed", store.ErrCorrupt, m.name)
	}
	return nil
}

// sumFile reads up to limit bytes of the file.
func sumFile(fs vfs.FS, name string, limit int64) (size int64, sum uint32, err error) {
	f, err := fs.Open(name)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	hash := crc32.New(castagnoli)
	size, err = io.Copy(hash, io.LimitReader(f, limit))
	return size, hash.Sum32(), err
}
