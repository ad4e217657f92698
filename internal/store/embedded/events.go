package embedded

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// events logs what goes wrong in the background. Errors are made text because Pebble's
// would else be logged with their stacks.
func (e *Engine) events() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			if e.failure() == nil && !e.closed.Load() && !noSpace(err) { // space tells of that
				e.log.Error("storage: background work failed", "error", err.Error())
			}
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			e.damaged.Store(true)
			if detail := info.Details.Error(); e.news.first(info.Path + ": " + detail) {
				e.log.Error("storage: damaged data", "path", info.Path, "error", detail)
			}
		},
		DiskSlow:        func(info pebble.DiskSlowInfo) { e.log.Warn("storage: " + info.String()) },
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) { e.log.Warn("storage: writes wait: " + info.Reason) },
		WALCreated:      func(pebble.WALCreateInfo) { e.backlog.grown.Store(true) },
		FlushBegin:      func(pebble.FlushInfo) { e.fault.busy.Store(true) },
		FlushEnd: func(info pebble.FlushInfo) {
			if info.Err == nil {
				e.fs.flushes.succeed()
			}
		},
		CompactionEnd: func(info pebble.CompactionInfo) {
			if info.Err == nil {
				e.fs.compactions.succeed()
				return
			}
			// It may have failed in reading, of which the file system knows nothing.
			e.fs.compactions.strike()
			if noSpace(info.Err) {
				e.log.Debug("storage: no room to compact", "error", info.Err.Error())
				return
			}
			e.log.Warn("storage: compaction failed", "error", info.Err.Error())
		},
	}
}

// news remembers what was logged, so that damage is logged once and not at each read.
type news struct {
	mu   sync.Mutex
	told map[string]struct{}
}

// maxNews bounds what is remembered. Beyond it everything counts as new once more.
const maxNews = 1000

// first says whether text was not seen before.
func (n *news) first(text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, old := n.told[text]; old {
		return false
	}
	if n.told == nil || len(n.told) == maxNews {
		n.told = make(map[string]struct{})
	}
	n.told[text] = struct{}{}
	return true
}

// pebbleLogger passes Pebble's messages on.
type pebbleLogger struct {
	log   *slog.Logger
	fault *fault
}

// Infof drops what Pebble tells of its daily work.
func (pebbleLogger) Infof(string, ...any) {}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Warn("storage: " + fmt.Sprintf(format, args...))
}

// Fatalf is called where Pebble expects the process to end. While the store is being
// opened it does not return (see stopOpening). Later it does, and nothing that happens
// afterwards reaches the disk or is acknowledged. Errors of the disk, the usual cause, do
// not get as far as this: see guardedFS.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if len(args) == 1 {
		if cause, ok := args[0].(error); ok {
			err = cause // Pebble's formats do not wrap it
		}
	}
	if !l.fault.armed.Load() {
		l.fault.stopOpening(err)
	}
	l.fault.fail(err)
}
