package maildir

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"time"

	"tidemark/imap"
)

// Folder is one mailbox of a Store. It is used by one goroutine at a time, and
// closed after its last use.
type Folder struct {
	root     *os.Root
	keywords []imap.Flag // by letter, from "a"
	courier  map[string][]imap.Flag
	uids     uidList
}

// Folder opens a mailbox that is there.
func (s *Store) Folder(name string) (*Folder, error) {
	dir, ok := s.dirs[name]
	if !ok {
		return nil, fmt.Errorf("maildir: no mailbox %q", name)
	}
	root, err := s.root.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("maildir: %w", err)
	}
	f := &Folder{root: root}
	if err := f.readAside(); err != nil {
		root.Close()
		return nil, fmt.Errorf("maildir: mailbox %q: %w", name, err)
	}
	return f, nil
}

func (f *Folder) readAside() error {
	keywords, err := readAside(f.root, dovecotKeywords)
	if err != nil {
		return err
	}
	f.keywords = parseDovecotKeywords(keywords)
	if f.courier, err = readCourierKeywords(f.root); err != nil {
		return err
	}
	f.uids, err = readUIDList(f.root)
	return err
}

// Close releases the directory.
func (f *Folder) Close() error { return f.root.Close() }

// UIDValidity returns what Dovecot or Courier noted as the mailbox's UIDVALIDITY, 0
// if none did.
func (f *Folder) UIDValidity() uint32 { return f.uids.validity }

// Message is one message of a Folder.
type Message struct {
	// Unique is the part of the file's name that stays when flags change or another
	// program adds sizes to it. No two messages anywhere should have the same.
	Unique string
	UID    imap.UID // 0 where not noted
	Flags  []imap.Flag
	Date   time.Time // of arrival, in UTC
	Size   int64     // octets with CR LF line ends where the name says so, else of the file

	folder *Folder
	path   string
	asIs   bool
}

// Count returns the number of messages, for a progress bar.
func (f *Folder) Count() (int, error) {
	names, err := f.list()
	return len(names), err
}

// listed is a message's file before it has been looked at.
type listed struct {
	file fileName
	path string
	uid  imap.UID
}

// Messages yields the messages in the order of their UIDs where they are noted, then
// by the time in their names. A message that cannot be looked at is yielded with an
// error and its Unique name, a directory that cannot be read with the error alone.
func (f *Folder) Messages() iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		files, err := f.list()
		if err != nil && !yield(Message{}, err) {
			return
		}
		for _, l := range files {
			m, err := f.message(l)
			if errors.Is(err, fs.ErrNotExist) {
				// Another program has changed its flags meanwhile.
				if m, err = f.findAgain(l); errors.Is(err, fs.ErrNotExist) {
					continue
				}
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// list returns the files of all messages. With an error it returns those that it
// could list.
func (f *Folder) list() ([]listed, error) {
	var files []listed
	var problem error
	for _, sub := range []string{"cur", "new"} {
		entries, err := readDir(f.root, sub)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			problem = fmt.Errorf("maildir: %w", err)
		}
		for _, e := range entries {
			if name, ok := parseFileName(e.Name()); ok && !e.IsDir() {
				files = append(files, listed{name, path.Join(sub, e.Name()), f.uids.uids[name.Unique]})
			}
		}
	}
	slices.SortFunc(files, func(a, b listed) int {
		return cmp.Or(
			// Those without a UID are the newest.
			cmp.Compare(a.uid-1, b.uid-1),
			cmp.Compare(a.file.arrived(), b.file.arrived()),
			cmp.Compare(a.file.Unique, b.file.Unique),
		)
	})
	return files, problem
}

func (f *Folder) message(l listed) (Message, error) {
	m := Message{Unique: l.file.Unique, folder: f, path: l.path, UID: l.uid}
	info, err := f.root.Lstat(l.path)
	if err != nil {
		return m, fmt.Errorf("maildir: %w", err)
	}
	if !info.Mode().IsRegular() {
		return m, fmt.Errorf("maildir: %s is not a regular file", l.path)
	}
	if info.Size() == 0 && l.file.Size != 0 {
		// No message is empty: a crash of the program that wrote it leaves such a file.
		return m, fmt.Errorf("maildir: %s is empty", path.Join(f.root.Name(), l.path))
	}
	m.Flags = flagsOf(l.file.Letters, f.keywords)
	for _, k := range f.courier[m.Unique] {
		if !slices.Contains(m.Flags, k) {
			m.Flags = append(m.Flags, k)
		}
	}
	// Dovecot and Courier keep INTERNALDATE as the file's time.
	m.Date = info.ModTime().UTC()
	if m.Date.Unix() <= 0 {
		m.Date = time.Unix(l.file.arrived(), 0).UTC()
	}
	m.Size = info.Size()
	m.asIs = l.file.Size == info.Size() && l.file.Virtual == l.file.Size
	if l.file.Virtual > info.Size() {
		m.Size = l.file.Virtual
	}
	return m, nil
}

// findAgain looks for the file of a message under another name.
func (f *Folder) findAgain(l listed) (Message, error) {
	files, err := f.list()
	for _, other := range files {
		if other.file.Unique == l.file.Unique {
			return f.message(other)
		}
	}
	if err == nil {
		err = fs.ErrNotExist
	}
	return Message{Unique: l.file.Unique}, err
}

// Open opens the message, with CR LF line ends.
func (m Message) Open() (io.ReadCloser, error) {
	file, err := m.folder.root.Open(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		name, _ := parseFileName(path.Base(m.path))
		var again Message
		if again, err = m.folder.findAgain(listed{file: name}); err == nil {
			file, err = m.folder.root.Open(again.path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("maildir: %w", err)
	}
	if m.asIs {
		return file, nil
	}
	return newCRLFReader(file), nil
}
