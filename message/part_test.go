package message

import (
	"bytes"
	"errors"
	"testing"
)

// If this fails, a damaged record is read as something that it does not say.
func TestParsePartRefusesDamage(t *testing.T) {
	good := scanIn(corpus(t)["nested.eml"], 0).Root.AppendBinary(nil)
	if _, err := ParsePart(good); err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := ParsePart(good[:n]); !errors.Is(err, ErrPart) {
			t.Fatalf("%d of %d octets are taken for a tree: %v", n, len(good), err)
		}
	}
	if _, err := ParsePart(append(bytes.Clone(good), 0)); !errors.Is(err, ErrPart) {
		t.Error("an octet too many is not noticed")
	}
	other := bytes.Clone(good)
	other[0] = partVersion + 1
	if _, err := ParsePart(other); !errors.Is(err, ErrPart) {
		t.Error("another version is not noticed")
	}
	deep := &Part{}
	for range 2 * maxDepth {
		deep = &Part{Message: deep}
	}
	if _, err := ParsePart(deep.AppendBinary(nil)); !errors.Is(err, ErrPart) {
		t.Error("a tree that is too deep is not noticed")
	}
}
