package imapwire

import (
	"math"

	"tidemark/imap"
)

// selectMailbox reads SELECT and EXAMINE with the parameters of RFC 7162.
func (d *Decoder) selectMailbox(readOnly bool) imap.Command {
	c := &imap.Select{ReadOnly: readOnly}
	d.sp()
	c.Mailbox, c.Supplied = d.spelledMailbox()
	if d.atEnd() || !d.sp() {
		return c
	}
	d.list(func() {
		switch {
		case d.acceptLabel("CONDSTORE"):
			c.CondStore = true
		case d.acceptLabel("QRESYNC") && c.QResync == nil:
			d.sp()
			c.QResync = d.qresync()
		default:
			d.fail("unknown SELECT parameter")
		}
	})
	return c
}

// qresync reads the parameter's value (RFC 7162 §7, select-param).
func (d *Decoder) qresync() *imap.QResync {
	q := &imap.QResync{}
	d.open()
	q.UIDValidity = d.nzNumber()
	d.sp()
	q.ModSeq = d.modSeq()
	if d.accept(' ') {
		if d.peek() != '(' {
			q.KnownUIDs = d.plainSet().Resolve(math.MaxUint32)
			if d.accept(' ') {
				d.matchData(q)
			}
		} else {
			d.matchData(q)
		}
	}
	d.close()
	return q
}

// matchData reads seq-match-data: two ascending sets of equally many numbers.
func (d *Decoder) matchData(q *imap.QResync) {
	d.open()
	q.MatchSeqs = d.ascendingSet()
	d.sp()
	q.MatchUIDs = d.ascendingSet()
	d.close()
	if q.MatchSeqs.Count() != q.MatchUIDs.Count() {
		d.fail("sequence match data do not correspond")
	}
}

// ascendingSet reads a set without "*" that is in ascending order, and returns it in
// the normal form.
func (d *Decoder) ascendingSet() imap.NumSet {
	set := d.plainSet()
	for i, r := range set {
		if r.Start > r.Stop || i > 0 && r.Start <= set[i-1].Stop {
			d.fail("set is not in ascending order")
			return nil
		}
	}
	return set.Resolve(math.MaxUint32)
}
