package imap

import "strings"

// FlagSet is an immutable set of flags. Sets are shared between messages: equal
// sets of one mailbox are one pointer, so that their wire form is made once.
// The nil set is empty.
type FlagSet struct {
	flags []Flag
	wire  string
}

// NewFlagSet returns the set of the given flags, which must be distinct and are
// kept in that order. It takes over the slice.
func NewFlagSet(flags []Flag) *FlagSet {
	words := make([]string, len(flags))
	for i, f := range flags {
		words[i] = string(f)
	}
	return &FlagSet{flags, strings.Join(words, " ")}
}

// Has says whether f is in the set.
func (s *FlagSet) Has(f Flag) bool {
	if s == nil {
		return false
	}
	for _, g := range s.flags {
		if EqualFlag(f, g) {
			return true
		}
	}
	return false
}

// Flags returns the flags in their order. The caller must not change the slice.
func (s *FlagSet) Flags() []Flag {
	if s == nil {
		return nil
	}
	return s.flags
}

// Wire returns the flags as in a parenthesised list, without the parentheses.
func (s *FlagSet) Wire() string {
	if s == nil {
		return ""
	}
	return s.wire
}
