package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"tidemark/internal/transfer"
)

// progress shows how far a copy has come, on a terminal only.
type progress struct {
	bar *progressbar.ProgressBar // nil where there is no terminal
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(f),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("messages"),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionFullWidth(),
	)}
}

func (p *progress) show(now transfer.Progress) {
	if p.bar == nil {
		return
	}
	// The bar is ornament: what goes wrong with it must not stop the copy.
	if now.Messages >= 0 {
		p.bar.ChangeMax(max(now.Messages, 1))
	}
	p.bar.Describe(printable(now.Mailbox))
	_ = p.bar.Set(now.MessagesDone)
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
