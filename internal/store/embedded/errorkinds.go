package embedded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"tidemark/internal/store"
)

// readError gives an error of Pebble its kind.
func readError(key []byte, err error) error {
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return store.ErrNotFound
	case unreadable(err):
		return damaged(key, unreadableBecause(err))
	default:
		return fmt.Errorf("%w: read %s: %v", store.ErrFailed, describeKey(key), err)
	}
}

// unreadable tells whether an error of reading means that the data is damaged:
// wrong checksums, a file that is missing or too short, a bad sector.
func unreadable(err error) bool {
	return pebble.IsCorruptionError(err) || isMissing(err) || errors.Is(err, syscall.EIO) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errMissing) }

// fileNumber is how Pebble's errors name the file in which something is damaged.
var fileNumber = regexp.MustCompile(`(?:file|table) (\d{6,})`)

// unreadableBecause puts an error for which unreadable is true in words of ours, with
// the file in which the damage is.
func unreadableBecause(err error) string {
	name := "a file of the store"
	if place, ok := errors.AsType[*fs.PathError](err); ok {
		name = path.Join(path.Base(path.Dir(place.Path)), path.Base(place.Path))
	} else if m := fileNumber.FindStringSubmatch(err.Error()); m != nil {
		name = "file " + path.Join(keysDir, m[1])
	}
	switch {
	case isMissing(err):
		return name + " is missing"
	case errors.Is(err, syscall.EIO):
		return name + " cannot be read: the disk reports an error"
	}
	return name + " is damaged"
}

// lockError tells a file that cannot be opened from one that is locked.
func lockError(err error) error {
	if _, opening := errors.AsType[*fs.PathError](err); opening || errors.Is(err, syscall.EIO) {
		return err
	}
	return fmt.Errorf("%w: %v", ErrLocked, err)
}

// openError gives an error of opening Pebble its kind. Where Pebble names the place of
// damage, it does so in a detail that is no part of the text.
func openError(err error) error {
	switch {
	case noSpace(err):
		return fmt.Errorf("%w: %v", store.ErrFull, err)
	case errors.Is(err, store.ErrFailed), errors.Is(err, store.ErrCorrupt):
		return err
	case unreadable(err):
		if place, ok := errors.AsType[detailed](err); ok {
			return fmt.Errorf("%w: %s: %v", store.ErrCorrupt, place.ErrorDetail(), err)
		}
		return fmt.Errorf("%w: %v", store.ErrCorrupt, err)
	case isSystemError(err):
		return err
	}
	// What Pebble cannot make sense of and the system did not refuse, a setting in its
	// OPTIONS that it does not know for one, is damage as well.
	return fmt.Errorf("%w: %v", store.ErrCorrupt, err)
}

// detailed is an error of Pebble that tells where in its files the damage is.
type detailed interface {
	error
	ErrorDetail() string
}

// isSystemError tells whether the operating system gave the reason of err.
func isSystemError(err error) bool {
	_, ok := errors.AsType[syscall.Errno](err)
	return ok
}
