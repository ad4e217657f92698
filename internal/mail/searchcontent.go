package mail

import (
	"context"
	"io"

	"tidemark/message"
)

// contentTest is BODY and TEXT. An empty string is in every message.
type contentTest struct {
	needle  *message.Needle
	any     bool
	headers bool
}

func (t *contentTest) quick(_ place, out []verdict) {
	if t.any {
		fill(out, yes)
	} else {
		fill(out, unknown)
	}
}

func (t *contentTest) full(_ place, m *searched) (bool, error) {
	c, err := m.open()
	if err != nil {
		return false, err
	}
	return t.needle.MatchText(&cancelReader{m.ctx, c.blob}, c.root, t.headers)
}

// cancelReader fails when its context has ended, so that a search in large messages does
// not outlive the client that asked for it.
type cancelReader struct {
	ctx context.Context
	r   io.ReaderAt
}

// ReadAt reads unless the context has ended.
func (c *cancelReader) ReadAt(p []byte, offset int64) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.ReadAt(p, offset)
}
