package auth

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// maxPassword is the longest password in bytes, when it is set and when it is
// tried.
const maxPassword = 1024

// ErrPolicy is wrapped by the errors about a new password that is not acceptable.
// Their text is for the person who chose it.
var ErrPolicy = errors.New("password not acceptable")

// Policy says which new passwords are acceptable. It asks for length and not for
// kinds of signs, which make passwords harder to remember but not to guess.
type Policy struct {
	// MinLength is the least length in characters.
	MinLength int
	// Compromised is a file of passwords that are known to the world, or empty. It
	// has one password a line, or the SHA-1 of one in hexadecimal, sorted and with
	// anything after a colon, as Have I Been Pwned gives them out.
	Compromised string
	// AllowWeakHashes: a hash from another server may be one that can be undone quickly.
	AllowWeakHashes bool
}

// Check returns nil or an error that wraps ErrPolicy; any other error is about
// reading the file.
func (p Policy) Check(password string) error {
	switch {
	case !utf8.ValidString(password) || strings.ContainsAny(password, "\x00\r\n"):
		return fmt.Errorf("%w: it must be UTF-8 in one line", ErrPolicy)
	case utf8.RuneCountInString(password) < max(1, p.MinLength):
		return fmt.Errorf("%w: it must have at least %d characters", ErrPolicy, max(1, p.MinLength))
	case len(password) > maxPassword:
		return fmt.Errorf("%w: it must have at most %d bytes", ErrPolicy, maxPassword)
	case p.Compromised == "":
		return nil
	}
	known, err := isCompromised(p.Compromised, password)
	if err != nil {
		return fmt.Errorf("look for the password among compromised ones: %w", err)
	}
	if known {
		return fmt.Errorf("%w: it is in lists of known passwords", ErrPolicy)
	}
	return nil
}

func isCompromised(path, password string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	first, err := bufio.NewReader(io.LimitReader(f, 256)).ReadBytes('\n')
	if err != nil && err != io.EOF {
		return false, err
	}
	sum := sha1.Sum([]byte(password))
	if isHashLine(first) {
		return searchHashes(f, info.Size(), strings.ToUpper(hex.EncodeToString(sum[:])))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	return scanPasswords(f, password)
}

func isHashLine(line []byte) bool {
	key, _, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
	_, err := hex.DecodeString(string(key))
	return len(key) == 2*sha1.Size && err == nil
}

// scanPasswords reads a list of any length once; passwords are set rarely.
func scanPasswords(r io.Reader, password string) (bool, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if lines.Text() == password {
			return true, nil
		}
	}
	return false, lines.Err()
}

// searchHashes looks up a hash in a sorted file of lines by bisection over octets.
// low is always the start of a line, and every line before it is smaller.
func searchHashes(f io.ReaderAt, size int64, want string) (bool, error) {
	low, high := int64(0), size
	for low < high {
		middle := low + (high-low)/2
		start, line, err := lineAfter(f, middle, size)
		if err != nil {
			return false, err
		}
		key, _, _ := strings.Cut(line, ":")
		switch key = strings.ToUpper(strings.TrimSpace(key)); {
		case start >= high || key > want:
			high = middle
		case key == want:
			return true, nil
		default:
			low = start + int64(len(line))
		}
	}
	return false, nil
}

// lineAfter returns the first line that begins at offset at or after it, with its
// end; at the end of the file start is size.
func lineAfter(f io.ReaderAt, at, size int64) (start int64, line string, err error) {
	from := max(0, at-1) // an end of line there makes at the start of a line
	r := bufio.NewReaderSize(io.NewSectionReader(f, from, size-from), 256)
	start = from
	if at > 0 {
		skipped, err := r.ReadString('\n')
		if err != nil && err != io.EOF {
			return 0, "", err
		}
		start += int64(len(skipped))
	}
	line, err = r.ReadString('\n')
	if err == io.EOF {
		err = nil
	}
	return start, line, err
}
