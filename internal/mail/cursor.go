package mail

import (
	"tidemark/internal/store"
)

// recordCursor reads the records of emails. Asked for ascending emails that stand close
// together, as those of a mailbox mostly do, it goes along instead of searching for each.
type recordCursor struct {
	r    store.Reader
	kind byte
	last emailID // asked for

	it   store.Iterator // nil while emails are far apart
	here emailID        // where it stands
}

// cursorReach is how many records the cursor steps over before it is cheaper to look
// for the next one.
const cursorReach = 16

func newRecordCursor(r store.Reader, kind byte) *recordCursor { return &recordCursor{r: r, kind: kind} }

// close must be called, and may be called twice.
func (c *recordCursor) close() {
	if c.it != nil {
		c.it.Close()
		c.it, c.here = nil, 0
	}
}

// at returns the record of an email, or store.ErrNotFound. It is valid as long as what the
// reader returns.
func (c *recordCursor) at(e emailID) ([]byte, error) {
	near := e > c.last && e <= c.last+cursorReach
	c.last = e
	if !near {
		c.close()
		return c.r.Get(number8(c.kind, uint64(e)))
	}
	if c.it == nil {
		_, end := kindRange(c.kind)
		c.it = c.r.Scan(number8(c.kind, uint64(e)), end, false)
	}
	for c.here < e {
		if !c.it.Next() {
			err := c.it.Close()
			c.it, c.here = nil, 0
			if err != nil {
				return nil, err
			}
			return nil, store.ErrNotFound
		}
		c.here = emailID(lastNumber8(c.it.Key()))
	}
	if c.here != e {
		return nil, store.ErrNotFound
	}
	return c.it.Value()
}
