package imapwire

import "tidemark/imap"

// setRef reads a sequence-set or "$" (RFC 9051 §9, sequence-set).
func (d *Decoder) setRef() imap.SetRef {
	if d.accept('$') {
		return imap.SetRef{Saved: true}
	}
	return imap.SetRef{Nums: d.numSet()}
}

// numSet reads a sequence-set of numbers and stars, as it was written.
func (d *Decoder) numSet() imap.NumSet {
	set := make(imap.NumSet, 0, d.countRanges())
	for d.err == nil {
		r := imap.Range{Start: d.setNumber()}
		r.Stop = r.Start
		if d.accept(':') {
			r.Stop = d.setNumber()
		}
		set = append(set, r)
		if !d.accept(',') {
			return set
		}
	}
	return nil
}

// plainSet reads a sequence-set in which "*" is not allowed.
func (d *Decoder) plainSet() imap.NumSet {
	set := d.numSet()
	if set.HasStar() {
		d.fail("star is not allowed in this set")
		return nil
	}
	return set
}

func (d *Decoder) setNumber() uint32 {
	if d.accept('*') {
		return imap.Star
	}
	return d.nzNumber()
}

// countRanges counts the ranges of the set that is next, for one allocation instead of
// many.
func (d *Decoder) countRanges() int {
	n := 1
	for _, c := range d.line[min(d.pos, len(d.line)):] {
		switch {
		case c == ',':
			n++
		case !isDigit(c) && c != ':' && c != '*':
			return n
		}
	}
	return n
}
