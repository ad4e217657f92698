package maildir

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"tidemark/imap"
)

// The files that list the subscribed mailboxes.
const (
	dovecotSubscriptions = "subscriptions"
	courierSubscriptions = "courierimapsubscribed"
)

// Subscribed returns the names of the subscribed mailboxes, nil where the Maildir
// does not say.
func (s *Store) Subscribed() ([]string, error) {
	for _, file := range []string{dovecotSubscriptions, courierSubscriptions} {
		content, err := readAside(s.root, file)
		if err != nil {
			return nil, fmt.Errorf("maildir: %w", err)
		}
		if content != nil {
			return s.parseSubscriptions(content), nil
		}
	}
	return nil, nil
}

// parseSubscriptions reads either file. Dovecot's begins with "V", tab, "2" where
// it has tabs between levels; the others have the delimiter of the layout. Courier
// puts "INBOX." before each name.
func (s *Store) parseSubscriptions(content []byte) []string {
	delimiter := "."
	if s.layout == FS {
		delimiter = "/"
	}
	if bytes.HasPrefix(content, []byte("V\t2\n")) {
		delimiter = "\t"
		content = content[len("V\t2\n"):]
	}
	names := []string{}
	for line := range bytes.Lines(content) {
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			continue
		}
		if rest, ok := strings.CutPrefix(text, "INBOX."); ok && delimiter == "." {
			if _, exists := s.dirs[mailboxName(strings.Split(text, "."))]; !exists {
				text = rest
			}
		}
		if name := mailboxName(strings.Split(text, delimiter)); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Subscribe adds a mailbox to Dovecot's list.
func (s *Store) Subscribe(name string) error {
	names, err := s.Subscribed()
	if err != nil {
		return err
	}
	if slices.Contains(names, name) {
		return nil
	}
	var b []byte
	for _, n := range append(names, name) {
		line, err := s.subscription(n)
		if err != nil {
			return err
		}
		b = append(append(b, line...), '\n')
	}
	if err := writeAside(s.root, dovecotSubscriptions, b); err != nil {
		return fmt.Errorf("maildir: %w", err)
	}
	return nil
}

func (s *Store) subscription(name string) (string, error) {
	if name == imap.Inbox {
		return name, nil
	}
	dir, err := dirName(name, s.layout)
	if err != nil || s.layout == FS {
		return dir, err
	}
	return dir[1:], nil
}
