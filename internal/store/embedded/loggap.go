package embedded

import (
	"bytes"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"tidemark/internal/store"
)

// Pebble replays the logs that are there, and does not miss one that somebody has
// removed. But each change has a number, and those that are to be replayed follow each
// other, because what one run of the server leaves is flushed before the next one writes.
// So a log that is missing shows between two others. At the beginning or the end it cannot
// be told from one that was flushed, or never begun.

// logGap looks for a missing log while Pebble opens one after the other.
type logGap struct {
	fs   vfs.FS
	last string // the log before that has changes
}

// check is called with each log that Pebble is about to replay. What cannot be read is
// left to Pebble.
func (g *logGap) check(name string) error {
	first, _ := g.changes(name, 1)
	if first == 0 {
		return nil
	}
	before := g.last
	g.last = name
	if before == "" {
		return nil
	}
	_, next := g.changes(before, unlimited)
	if next == 0 || first <= next {
		return nil
	}
	return fmt.Errorf("%w: a log file is missing between %s and %s, with the changes %d to %d",
		store.ErrCorrupt, g.fs.PathBase(before), g.fs.PathBase(name), next, first-1)
}

// changes returns the number of the first change in a log, and of that which follows the
// last one of up to limit transactions. Both are 0 where there is none.
func (g *logGap) changes(name string, limit int) (first, next uint64) {
	var files wal.FileAccumulator
	if isLog, err := files.MaybeAccumulate(g.fs, name); !isLog || err != nil {
		return 0, 0
	}
	log := files.Finish()[0].OpenForRead()
	defer log.Close()
	var header bytes.Buffer
	for range limit {
		r, _, err := log.NextRecord()
		if err != nil {
			break
		}
		header.Reset()
		if _, err := io.CopyN(&header, r, batchrepr.HeaderLen); err != nil {
			break
		}
		h, _ := batchrepr.ReadHeader(header.Bytes())
		if first == 0 {
			first = uint64(h.SeqNum)
		}
		next = uint64(h.SeqNum) + uint64(h.Count)
	}
	return first, next
}
