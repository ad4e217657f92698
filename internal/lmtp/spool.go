package lmtp

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// spool holds a message while it comes in: small ones in memory, larger ones in
// a file without a name. It is read by the deliveries, several at a time.
type spool struct {
	dir    string
	memory []byte
	file   *os.File
	size   int64
}

// spoolBuffers has buffers of *[]byte for spools; those that grew to no more than
// spoolMemory come back.
var spoolBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

func newSpool(dir string) *spool {
	return &spool{dir: dir, memory: *spoolBuffers.Get().(*[]byte)}
}

// add appends p to the message.
func (s *spool) add(p []byte) error {
	s.size += int64(len(p))
	if len(s.memory)+len(p) > spoolMemory {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.memory = append(s.memory, p...)
	return nil
}

// spill moves what is in memory to the file.
func (s *spool) spill() error {
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "lmtp-*")
		if err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		s.file = f
		// Without a name it cannot be left behind.
		if err := os.Remove(f.Name()); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
	}
	if _, err := s.file.Write(s.memory); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	s.memory = s.memory[:0]
	return nil
}

// copyTo writes the whole message to w. It may be called concurrently, but not
// with add.
func (s *spool) copyTo(w io.Writer) error {
	if s.file != nil {
		n := s.size - int64(len(s.memory))
		if _, err := io.Copy(w, io.NewSectionReader(s.file, 0, n)); err != nil {
			return err
		}
	}
	_, err := w.Write(s.memory)
	return err
}

// release gives up the message.
func (s *spool) release() {
	if s.file != nil {
		s.file.Close()
	}
	b := s.memory[:0]
	spoolBuffers.Put(&b)
}
