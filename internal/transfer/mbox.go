package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"tidemark/imap"
	"tidemark/imapwire"
	"tidemark/internal/mbox"
)

// In a directory of mbox files, A/B is the file "A.sbd/B" as Thunderbird has it,
// or "A/B"; what we write ends in ".mbox".
const (
	mboxFile = ".mbox"
	mboxDir  = ".sbd"
	// mboxDepth is how deep directories are searched.
	mboxDepth = 32
)

// MboxSource reads an mbox file or a directory of them.
type MboxSource struct {
	root  *os.Root
	files []mboxEntry
	file  *os.File // of the mailbox begun last
}

type mboxEntry struct {
	mailbox, path string
}

// OpenMbox opens a file, whose messages then are the given mailbox, or a directory,
// in which every file that looks like an mbox is a mailbox.
func OpenMbox(file, mailbox string) (*MboxSource, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("mbox: %w", err)
	}
	dir := file
	if !info.IsDir() {
		dir = filepath.Dir(file)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("mbox: %w", err)
	}
	s := &MboxSource{root: root}
	if info.IsDir() {
		err = s.scan()
	} else {
		s.files = []mboxEntry{{mailbox, filepath.Base(file)}}
	}
	if err == nil && len(s.files) == 0 {
		err = errors.New("there is no mbox file in the directory")
	}
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("mbox: %w", err)
	}
	return s, nil
}

// Close releases the files.
func (s *MboxSource) Close() error {
	s.closeFile()
	return s.root.Close()
}

func (s *MboxSource) closeFile() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// scan lists the mbox files of the directory, in the order of their names.
func (s *MboxSource) scan() error {
	taken := make(map[string]bool)
	return fs.WalkDir(s.root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p != "." && strings.HasPrefix(d.Name(), ".") || strings.Count(p, "/") > mboxDepth {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || !s.isMbox(p) {
			return nil
		}
		name := mboxName(p)
		for taken[name] {
			name += "_"
		}
		taken[name] = true
		s.files = append(s.files, mboxEntry{name, p})
		return nil
	})
}

// isMbox says whether a file begins like an mbox. An empty file is one where its
// name says so.
func (s *MboxSource) isMbox(p string) bool {
	f, err := s.root.Open(p)
	if err != nil {
		return false
	}
	defer f.Close()
	var begin [5]byte
	n, _ := f.ReadAt(begin[:], 0)
	return string(begin[:n]) == "From " || n == 0 && strings.HasSuffix(p, mboxFile)
}

// mboxName returns the mailbox of a file.
func mboxName(p string) string {
	parts := strings.Split(p, "/")
	for i, part := range parts {
		plain, ours := part, false
		if i == len(parts)-1 {
			plain, ours = strings.CutSuffix(part, mboxFile)
		} else {
			plain, ours = strings.CutSuffix(part, mboxDir)
		}
		if name, err := unescape(plain); ours && err == nil {
			plain = name
		} else if name, err := imapwire.DecodeMailbox(plain); err == nil {
			plain = name
		}
		parts[i] = plain
	}
	name := strings.Join(parts, "/")
	if strings.EqualFold(name, imap.Inbox) {
		return imap.Inbox
	}
	return name
}

// Mailboxes lists the mailboxes; all count as subscribed.
func (s *MboxSource) Mailboxes(context.Context) ([]Mailbox, error) {
	all := make([]Mailbox, len(s.files))
	for i, f := range s.files {
		all[i] = Mailbox{Name: f.mailbox, Subscribed: true, Messages: -1}
	}
	return all, nil
}

// Messages yields the messages of a mailbox. Their keys are made from content and
// date, and from the number of the message among those that are the same.
func (s *MboxSource) Messages(ctx context.Context, mailbox string) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		reader, err := s.open(mailbox)
		if err != nil {
			yield(Message{}, err)
			return
		}
		number := 0
		seen := make(map[string]int)
		for m, err := range reader.Messages() {
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				yield(Message{}, err)
				return
			}
			number++
			key := makeKey("mbox", mailbox, string(m.Sum[:]), strconv.FormatInt(m.Date.Unix(), 10))
			seen[key]++
			if n := seen[key]; n > 1 {
				key = makeKey("mbox", key, strconv.Itoa(n))
			}
			out := Message{
				Key: key, Name: fmt.Sprintf("number %d of %s", number, m.Date.Format("2006-01-02 15:04:05")),
				Flags: m.Flags, Date: m.Date, Size: m.Size, Open: m.Open,
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}

func (s *MboxSource) open(mailbox string) (*mbox.Reader, error) {
	s.closeFile()
	for _, f := range s.files {
		if f.mailbox != mailbox {
			continue
		}
		file, err := s.root.Open(f.path)
		if err != nil {
			return nil, fmt.Errorf("mbox: %w", err)
		}
		s.file = file
		info, err := file.Stat()
		if err != nil {
			return nil, fmt.Errorf("mbox: %w", err)
		}
		return mbox.NewReader(file, info.Size()), nil
	}
	return nil, fmt.Errorf("mbox: no mailbox %q", mailbox)
}

// MboxTarget writes a directory of mbox files. Each is written anew under another
// name and takes its place when it is complete, so that a copy can be broken off and
// run again without harm.
type MboxTarget struct {
	root *os.Root

	// The mailbox that is being written.
	file   *os.File
	writer *mbox.Writer
	path   string
}

// CreateMbox opens a directory to be copied to, and makes it where it is missing.
func CreateMbox(dir string) (*MboxTarget, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mbox: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("mbox: %w", err)
	}
	return &MboxTarget{root: root}, nil
}

// Close releases the directory.
func (t *MboxTarget) Close() error { return t.root.Close() }

// Create begins the file of a mailbox.
func (t *MboxTarget) Create(_ context.Context, m Mailbox) error {
	p, err := mboxPath(m.Name)
	if err != nil {
		return err
	}
	if err := t.root.MkdirAll(path.Dir(p), 0o700); err != nil {
		return fmt.Errorf("mbox: %w", err)
	}
	f, err := t.root.OpenFile(p+".tmp", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("mbox: %w", err)
	}
	t.file, t.writer, t.path = f, mbox.NewWriter(f), p
	return nil
}

// mboxPath returns the file of a mailbox.
func mboxPath(mailbox string) (string, error) {
	parts := strings.Split(mailbox, "/")
	for i, p := range parts {
		if p == "" {
			return "", imap.Refuse(imap.CodeCannot, "name cannot be a file")
		}
		parts[i] = escape(p) + mboxDir
	}
	last := len(parts) - 1
	parts[last] = escape(mailbox[strings.LastIndexByte(mailbox, '/')+1:]) + mboxFile
	return path.Join(parts...), nil
}

// escape writes what cannot be in a file's name as %XX: control characters, a
// leading dot, and the percent sign itself.
func escape(part string) string {
	var b strings.Builder
	for i := 0; i < len(part); i++ {
		if c := part[i]; c < ' ' || c == 0x7f || c == '%' || c == '.' && i == 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

var errEscape = errors.New("bad escape")

func unescape(part string) (string, error) {
	var b strings.Builder
	for rest := part; ; {
		plain, coded, found := strings.Cut(rest, "%")
		b.WriteString(plain)
		if !found {
			return b.String(), nil
		}
		if len(coded) < 2 {
			return "", errEscape
		}
		c, err := strconv.ParseUint(coded[:2], 16, 8)
		if err != nil || c == '/' {
			return "", errEscape
		}
		b.WriteByte(byte(c))
		rest = coded[2:]
	}
}

// Known says that nothing is known: the file is written as a whole.
func (t *MboxTarget) Known(_ context.Context, _ string, keys []string) ([]bool, error) {
	return make([]bool, len(keys)), nil
}

// Import writes messages.
func (t *MboxTarget) Import(ctx context.Context, _ string, batch []Message) ([]Outcome, error) {
	outcomes := make([]Outcome, len(batch))
	for i, m := range batch {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		refused, err := t.add(m)
		if err != nil {
			return nil, fmt.Errorf("mbox: %w", err)
		}
		if refused != nil {
			outcomes[i] = Outcome{Refused, refused.Error()}
		}
	}
	return outcomes, nil
}

// add writes a message. Of one that cannot be read to its end nothing stays.
func (t *MboxTarget) add(m Message) (refused, err error) {
	begin, err := t.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	from := opened{open: m.Open}
	in, err := from.Open()
	if err != nil {
		return err, nil
	}
	defer in.Close()
	err = t.writer.Add(m.Flags, m.Date, in)
	if err == nil {
		return nil, t.writer.Flush()
	}
	if from.failed == nil {
		return nil, err
	}
	if err := t.file.Truncate(begin); err != nil {
		return nil, err
	}
	if _, err := t.file.Seek(begin, io.SeekStart); err != nil {
		return nil, err
	}
	t.writer = mbox.NewWriter(t.file)
	return from.failed, nil
}

// Finish puts a complete file in its place.
func (t *MboxTarget) Finish(_ context.Context, _ string, complete bool) error {
	if t.file == nil {
		return nil
	}
	defer func() { t.file = nil }()
	if !complete {
		return errors.Join(t.file.Close(), t.root.Remove(t.path+".tmp"))
	}
	err := errors.Join(t.file.Sync(), t.file.Close())
	if err == nil {
		err = t.root.Rename(t.path+".tmp", t.path)
	}
	if err != nil {
		return fmt.Errorf("mbox: %w", err)
	}
	return nil
}
