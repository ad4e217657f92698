package maildir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tidemark/imap"
)

// ownHost stands where other programs put their host's name, and marks the files
// that a Writer has written.
const ownHost = "tidemark"

// ErrKeywords is returned where a mailbox has more keywords than letters.
var ErrKeywords = errors.New("maildir: more than 26 keywords in a mailbox")

// Writer adds messages to a mailbox. Each has a key, by which a later Writer knows
// it again. It is used by one goroutine at a time.
type Writer struct {
	folder *Folder
	files  map[string]string // paths by key
	last   int64             // the time in the name of the newest file, in seconds
}

// New is a message to be written.
type New struct {
	// Key names the message within its mailbox: 1 to 64 of [A-Za-z0-9_-].
	Key   string
	Flags []imap.Flag
	Date  time.Time
	// Open may be called twice.
	Open func() (io.ReadCloser, error)
}

// Writer opens a mailbox to be written, and makes it where it is missing.
func (s *Store) Writer(name string) (*Writer, error) {
	if _, ok := s.dirs[name]; !ok {
		dir, err := dirName(name, s.layout)
		if err != nil {
			return nil, err
		}
		if err := s.makeFolder(dir); err != nil {
			return nil, fmt.Errorf("maildir: %w", err)
		}
		s.dirs[name] = dir
	}
	f, err := s.Folder(name)
	if err != nil {
		return nil, err
	}
	w := &Writer{folder: f, files: make(map[string]string)}
	if err := w.index(); err != nil {
		f.Close()
		return nil, err
	}
	return w, nil
}

func (s *Store) makeFolder(dir string) error {
	if err := s.makeDirs(dir); err != nil {
		return err
	}
	if s.layout == FS {
		return nil
	}
	// Maildir++ marks by this file that a directory is not a Maildir of its own.
	return s.root.WriteFile(path.Join(dir, "maildirfolder"), nil, 0o600)
}

// index finds what is there already. A file that is shorter or longer than its
// name says was cut off by a crash and does not count.
func (w *Writer) index() error {
	files, err := w.folder.list()
	if err != nil {
		return err
	}
	for _, l := range files {
		key, ok := keyOf(l.file.Unique)
		if !ok {
			continue
		}
		info, err := w.folder.root.Lstat(l.path)
		if err != nil {
			return fmt.Errorf("maildir: %w", err)
		}
		if l.file.Size >= 0 && info.Size() != l.file.Size {
			if err := w.folder.root.Remove(l.path); err != nil {
				return fmt.Errorf("maildir: %w", err)
			}
			continue
		}
		w.files[key] = l.path
		w.last = max(w.last, l.file.arrived())
	}
	return nil
}

// keyOf returns the key in a unique name that a Writer has made.
func keyOf(unique string) (string, bool) {
	_, rest, _ := strings.Cut(unique, ".")
	return strings.CutSuffix(rest, "."+ownHost)
}

// Known says whether there is a message with the key.
func (w *Writer) Known(key string) bool { return w.files[key] != "" }

// Add writes a message after all others unless its key is known. Other programs take the
// times in the names for the order of the messages, so there each is later than the one
// before; the message's date is that of the file.
func (w *Writer) Add(m New) error {
	if !isKey(m.Key) {
		return fmt.Errorf("maildir: bad key %q", m.Key)
	}
	if w.Known(m.Key) {
		return nil
	}
	letters, err := w.letters(m.Flags)
	if err != nil && !errors.Is(err, ErrKeywords) {
		return err
	}
	keywordsLost := err
	w.last = max(w.last+1, m.Date.Unix())
	name := fileName{Unique: strconv.FormatInt(w.last, 10) + "." + m.Key + "." + ownHost, Letters: letters}
	tmp := path.Join("tmp", name.Unique)
	name.Size, name.Virtual, err = w.writeFile(tmp, m.Open)
	if err != nil {
		return err
	}
	if err := w.folder.root.Chtimes(tmp, m.Date, m.Date); err != nil {
		return fmt.Errorf("maildir: %w", err)
	}
	final := path.Join("cur", name.String())
	if err := w.folder.root.Rename(tmp, final); err != nil {
		return fmt.Errorf("maildir: %w", err)
	}
	w.files[m.Key] = final
	return keywordsLost
}

func isKey(key string) bool {
	return 0 < len(key) && len(key) <= 64 && strings.IndexFunc(key, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	}) < 0
}

// writeFile writes a message with LF line ends, or as it is where that could not
// be undone, and returns the sizes for its name.
func (w *Writer) writeFile(name string, open func() (io.ReadCloser, error)) (size, virtual int64, err error) {
	var lf *lfWriter
	err = w.copyTo(name, open, func(f io.Writer) io.Writer {
		lf = newLFWriter(f)
		return lf
	})
	if err != nil {
		return 0, 0, err
	}
	if lf.undoable() {
		return lf.out, lf.in, nil
	}
	err = w.copyTo(name, open, func(f io.Writer) io.Writer { return f })
	return lf.in, lf.in, err
}

func (w *Writer) copyTo(name string, open func() (io.ReadCloser, error), through func(io.Writer) io.Writer) (err error) {
	f, err := w.folder.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("maildir: %w", err)
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			w.folder.root.Remove(name)
		}
	}()
	to := through(f)
	in, err := open()
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(to, in)
	return err
}

// SetFlags gives a known message the flags. ErrKeywords says that not all of its
// keywords could be kept.
func (w *Writer) SetFlags(key string, flags []imap.Flag) error {
	old := w.files[key]
	if old == "" {
		return fmt.Errorf("maildir: no message %q: %w", key, fs.ErrNotExist)
	}
	letters, err := w.letters(flags)
	if err != nil && !errors.Is(err, ErrKeywords) {
		return err
	}
	file, _ := parseFileName(path.Base(old))
	if letters == file.Letters && path.Dir(old) == "cur" {
		return err
	}
	// Only the letters are replaced: other fields of the name may be another program's.
	base, _, _ := strings.Cut(path.Base(old), ":")
	next := path.Join("cur", base+":2,"+letters)
	if err := w.folder.root.Rename(old, next); err != nil {
		return fmt.Errorf("maildir: %w", err)
	}
	w.files[key] = next
	return err
}

// letters returns the letters of flags, sorted as Maildir wants them, and notes
// keywords that are new to the mailbox. $Forwarded has a letter as a keyword, too,
// because Dovecot does not heed the one that Maildir has for it.
func (w *Writer) letters(flags []imap.Flag) (string, error) {
	var letters []byte
	var lost error
	for _, f := range flags {
		own := ownLetter(f)
		if own != 0 {
			letters = append(letters, own)
		}
		if !f.IsKeyword() {
			continue
		}
		k, err := w.keyword(f)
		switch {
		case err == nil:
			letters = append(letters, 'a'+byte(k))
		case !errors.Is(err, ErrKeywords):
			return "", err
		case own == 0:
			lost = err
		}
	}
	slices.Sort(letters)
	return string(slices.Compact(letters)), lost
}

// keyword returns the number of a keyword. A new one is written down before the
// first message has its letter, so that no letter can lose its meaning.
func (w *Writer) keyword(f imap.Flag) (int, error) {
	known := w.folder.keywords
	for i, k := range known {
		if imap.EqualFlag(k, f) {
			return i, nil
		}
	}
	if len(known) == maxLetters {
		return 0, ErrKeywords
	}
	known = append(slices.Clip(known), f)
	if err := writeAside(w.folder.root, dovecotKeywords, appendDovecotKeywords(nil, known)); err != nil {
		return 0, fmt.Errorf("maildir: %w", err)
	}
	w.folder.keywords = known
	return len(known) - 1, nil
}

// Close brings all that was written to the disk, by one sync of its file system,
// and releases the mailbox.
func (w *Writer) Close() error {
	defer w.folder.Close()
	d, err := w.folder.root.Open(".")
	if err != nil {
		return fmt.Errorf("maildir: %w", err)
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("maildir: sync: %w", err)
	}
	return nil
}
