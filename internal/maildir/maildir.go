// Package maildir reads and writes mail in Maildir form: Dovecot's two layouts,
// Courier's, and what other programs make of them. Mailbox names are in UTF-8
// with "/" between levels, messages have CR LF line ends.
//
// Everything goes through an os.Root: no name in a Maildir leads out of it.
package maildir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"tidemark/imap"
)

// Layout says how mailboxes lie in the directory. INBOX is the directory itself
// in both.
type Layout int

// The layouts.
const (
	// Auto takes FS where a directory without a leading dot is a mailbox, else
	// PlusPlus.
	Auto Layout = iota
	// PlusPlus is Maildir++: A/B is the directory ".A.B". Courier has no other.
	PlusPlus
	// FS is Dovecot's LAYOUT=fs: A/B is the directory "A/B".
	FS
)

// maxDepth is how deep directories are searched for mailboxes, and maxNames how
// many there may be.
const (
	maxDepth = 32
	maxNames = 100_000
)

// Store is a Maildir with all its mailboxes. It is used by one goroutine at a time.
type Store struct {
	root   *os.Root
	layout Layout
	dirs   map[string]string // directories of the mailboxes that are there
}

// Open opens an existing Maildir.
func Open(dir string, layout Layout) (*Store, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("maildir: %w", err)
	}
	s := &Store{root: root, layout: layout}
	if err := s.scan(); err != nil {
		root.Close()
		return nil, fmt.Errorf("maildir: %w", err)
	}
	if len(s.dirs) == 0 {
		root.Close()
		return nil, fmt.Errorf("maildir: %s has neither cur nor new and no mailbox below", dir)
	}
	return s, nil
}

// Create opens a Maildir to be written, and makes it where it is missing. Auto
// means PlusPlus for a new one.
func Create(dir string, layout Layout) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("maildir: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("maildir: %w", err)
	}
	s := &Store{root: root, layout: layout}
	err = s.scan()
	if err == nil && s.dirs[imap.Inbox] == "" {
		err = s.makeDirs(".")
		s.dirs[imap.Inbox] = "."
	}
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("maildir: %w", err)
	}
	return s, nil
}

// Close releases the directory.
func (s *Store) Close() error { return s.root.Close() }

// Layout returns the layout that was asked for or found.
func (s *Store) Layout() Layout { return s.layout }

// Mailboxes returns the names of the mailboxes, sorted, INBOX first.
func (s *Store) Mailboxes() []string {
	names := make([]string, 0, len(s.dirs))
	for n := range s.dirs {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		switch {
		case a == imap.Inbox:
			return -1
		case b == imap.Inbox:
			return 1
		}
		return strings.Compare(a, b)
	})
	return names
}

// scan finds the mailboxes.
func (s *Store) scan() error {
	s.dirs = make(map[string]string)
	if s.isMailbox(".") {
		s.dirs[imap.Inbox] = "."
	}
	if s.layout == Auto {
		fsDirs, err := s.hasPlainMailbox()
		if err != nil {
			return err
		}
		s.layout = PlusPlus
		if fsDirs {
			s.layout = FS
		}
	}
	if s.layout == FS {
		return s.scanTree(".", 0)
	}
	return s.scanFlat()
}

func (s *Store) hasPlainMailbox() (bool, error) {
	entries, err := readDir(s.root, ".")
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if isPlainDir(e) && (s.isMailbox(e.Name()) || s.isMailbox(path.Join(e.Name(), "INBOX"))) {
			return true, nil
		}
	}
	return false, nil
}

func (s *Store) scanFlat() error {
	entries, err := readDir(s.root, ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if len(name) < 2 || name[0] != '.' || name == ".." || !s.couldBeMailbox(name, e) {
			continue
		}
		s.add(strings.Split(name[1:], "."), name)
	}
	return s.checkCount()
}

func (s *Store) scanTree(dir string, depth int) error {
	if depth == maxDepth {
		return fmt.Errorf("%s: too many levels", dir)
	}
	entries, err := readDir(s.root, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !isPlainDir(e) && e.Type() != fs.ModeSymlink {
			continue
		}
		sub := path.Join(dir, e.Name())
		if s.couldBeMailbox(sub, e) {
			s.add(strings.Split(sub, "/"), sub)
		}
		if e.IsDir() {
			if err := s.scanTree(sub, depth+1); err != nil {
				return err
			}
		}
	}
	return s.checkCount()
}

func (s *Store) checkCount() error {
	if len(s.dirs) > maxNames {
		return errors.New("too many mailboxes")
	}
	return nil
}

// add takes a directory into the list. Where two have one name, the second gets
// another, so that no mail is passed over.
func (s *Store) add(parts []string, dir string) {
	name := mailboxName(parts)
	if name == "" {
		name = strings.Join(parts, "/")
	}
	for s.dirs[name] != "" {
		name += "_"
	}
	s.dirs[name] = dir
}

// couldBeMailbox says whether a directory is a mailbox. A symbolic link that can
// not be followed is taken for one: opening it will say what is wrong, where
// leaving it out would lose mail in silence.
func (s *Store) couldBeMailbox(dir string, e fs.DirEntry) bool {
	if e.Type() == fs.ModeSymlink {
		if _, err := s.root.Stat(dir); err != nil {
			return true
		}
	} else if !e.IsDir() {
		return false
	}
	return s.isMailbox(dir)
}

func (s *Store) isMailbox(dir string) bool {
	for _, sub := range []string{"cur", "new"} {
		if info, err := s.root.Stat(path.Join(dir, sub)); err == nil && info.IsDir() {
			return true
		}
	}
	return false
}

// isPlainDir says whether e is a directory that may be a mailbox of layout FS.
func isPlainDir(e fs.DirEntry) bool {
	switch e.Name() {
	case "cur", "new", "tmp", "courierimapkeywords":
		return false
	}
	return e.IsDir() && e.Name()[0] != '.'
}

// makeDirs makes a mailbox of the directory dir.
func (s *Store) makeDirs(dir string) error {
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := s.root.MkdirAll(path.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// readDir returns the entries of a directory in the order of their names.
func readDir(root *os.Root, dir string) ([]fs.DirEntry, error) {
	f, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// maxAside bounds what is read of the small files that lie beside the messages.
// A dovecot-uidlist of a million messages has about 80 MB.
const maxAside = 1 << 30

// readAside returns the content of a small file, nil if there is none.
func readAside(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxAside))
}

// writeAside replaces a small file as a whole.
func writeAside(root *os.Root, name string, content []byte) error {
	next := name + ".tmp"
	if err := root.WriteFile(next, content, 0o600); err != nil {
		return err
	}
	return root.Rename(next, name)
}
