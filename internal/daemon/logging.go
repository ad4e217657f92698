package daemon

import (
	"io"
	"log/slog"
	"os"

	"tidemark/internal/config"
)

// newLogger returns the server's log. The level can be changed while it is in use.
func newLogger(w io.Writer, c config.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(c.Level.Slog())
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts)), level
	}
	if os.Getenv("JOURNAL_STREAM") != "" {
		// The journal puts the time before each line itself.
		opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(w, opts)), level
}
