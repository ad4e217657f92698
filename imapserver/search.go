package imapserver

import (
	"context"
	"errors"

	"tidemark/imap"
	"tidemark/imapwire"
)

// errSearchTime refuses a search that took too long.
var errSearchTime = imap.Refuse(imap.CodeLimit, "Search took too long")

// errCharset refuses a charset after UTF8=ACCEPT, which says that there is but one
// (RFC 6855 §3). SORT and THREAD cannot do without naming it, and RFC 9051 allows it.
var errCharset = imap.Bad("CHARSET is not allowed after UTF8=ACCEPT")

// search is SEARCH (RFC 9051 §6.4.4, RFC 4731, RFC 5182).
func (s *selected) search(ctx context.Context, cmd *imap.Search) (outcome, error) {
	if s.enabled.utf8 && !s.enabled.rev2 && cmd.Charset != "" {
		return outcome{}, errCharset
	}
	limited, cancel := context.WithTimeoutCause(ctx, s.srv.limits.SearchTime, errSearchTime)
	defer cancel()
	found, r, err := s.find(limited, cmd.Charset, cmd.Key)
	if err != nil {
		if cmd.Return != nil && cmd.Return.Save && !isBad(err) {
			s.saved = nil // RFC 5182 §2.1
		}
		return outcome{}, err
	}
	s.answerSearch(cmd, found, r.modSeq)
	return outcome{holdExpunges: r.seqs}, s.writeError()
}

func isBad(err error) bool {
	refusal, ok := errors.AsType[*imap.Error](err)
	return ok && refusal.Kind == imap.BAD
}

// find returns the UIDs of the messages that the client knows and that match, and what
// was seen in key. Its errors are those for the client.
func (s *selected) find(ctx context.Context, charset string, key imap.SearchKey) (imap.NumSet, *searchResolver, error) {
	if s.enabled.utf8 && charset != "" && charset != "UTF-8" {
		return nil, nil, errCharset
	}
	r := &searchResolver{selected: s}
	resolved := r.resolve(key)
	if r.modSeq {
		s.enableCondStore()
	}
	found, err := s.mailbox.Search(ctx, s.tip, resolved)
	if err != nil {
		return nil, nil, searchError(ctx, err)
	}
	if s.base != s.tip {
		// What the client has not been told of, it cannot be given numbers for.
		found = s.base.UIDs(s.base.Seqs(found))
	}
	return found, r, nil
}

// searchError says that the time was over, or that the client has gone, where that
// is why a search failed.
func searchError(limited context.Context, err error) error {
	if limited.Err() != nil {
		return context.Cause(limited)
	}
	return err
}

// answerSearch sends the result and saves it.
func (s *selected) answerSearch(cmd *imap.Search, uids imap.NumSet, withModSeq bool) {
	ret := cmd.Return
	if ret == nil && s.enabled.rev2 {
		ret = &imap.SearchReturn{All: true} // RFC 9051 §6.4.4: there is no SEARCH response
	}
	if ret == nil {
		b := imapwire.AppendSearchStart(s.buf())
		for n := range s.numbers(uids, cmd.UID).All() {
			if b = imapwire.AppendSearchNumber(b, n); len(b) >= outputSize {
				s.put(b)
				b = s.buf()
			}
		}
		s.put(imapwire.AppendSearchEnd(b, s.highestModSeq(uids, withModSeq)))
		return
	}
	chosen := chooseResult(ret, uids)
	if ret.Save {
		s.saved = chosen
	}
	if ret.Min || ret.Max || ret.All || ret.Count {
		// RFC 5182 §1: SAVE alone is not answered.
		modSeq := s.highestModSeq(chosen, withModSeq)
		s.put(imapwire.AppendESearch(s.buf(), s.tag, cmd.UID, ret, s.numbers(uids, cmd.UID), modSeq))
	}
}

// numbers returns what a result is in the command's numbers.
func (s *selected) numbers(uids imap.NumSet, uid bool) imap.NumSet {
	if uid {
		return uids
	}
	return s.base.Seqs(uids)
}

// chooseResult returns the messages that a result with the given options is about: the
// first and last where only they are asked for (RFC 5182 §2.4, RFC 4731 §3.2).
func chooseResult(ret *imap.SearchReturn, uids imap.NumSet) imap.NumSet {
	if ret.All || ret.Count || !ret.Min && !ret.Max || len(uids) == 0 {
		return uids
	}
	var chosen imap.NumSet
	if ret.Min {
		chosen.Add(uids.Min())
	}
	if ret.Max && uids.Max() != chosen.Max() {
		chosen.Add(uids.Max())
	}
	return chosen
}

// highestModSeq returns the highest MODSEQ of the messages, 0 where it is not to be told
// (RFC 7162 §3.1.6).
func (s *selected) highestModSeq(uids imap.NumSet, asked bool) imap.ModSeq {
	var highest imap.ModSeq
	if asked {
		for _, row := range s.tip.Rows(s.tip.Seqs(uids)) {
			highest = max(highest, row.ModSeq)
		}
	}
	return highest
}

// searchResolver replaces in a search what only the session knows: sequence numbers,
// "*", "$" and \Recent.
type searchResolver struct {
	*selected
	modSeq bool // a MODSEQ key was there
	// seqs: a sequence set was there, and VANISHED must not follow even a UID SEARCH
	// (RFC 7162 §3.2.10.2).
	seqs bool
}

func (r *searchResolver) resolve(key imap.SearchKey) imap.SearchKey {
	switch k := key.(type) {
	case imap.SearchAnd:
		keys := make(imap.SearchAnd, len(k))
		for i := range k {
			keys[i] = r.resolve(k[i])
		}
		return keys
	case imap.SearchOr:
		return imap.SearchOr{A: r.resolve(k.A), B: r.resolve(k.B)}
	case imap.SearchNot:
		return imap.SearchNot{Key: r.resolve(k.Key)}
	case imap.SearchSeq:
		return byUIDs(r.resolveSearchSeqs(k.Set))
	case imap.SearchUID:
		return byUIDs(r.resolveUIDs(k.Set))
	case imap.SearchFlag:
		if imap.EqualFlag(k.Flag, imap.FlagRecent) {
			return r.resolveRecent(k)
		}
	case imap.SearchModSeq:
		r.modSeq = true
	}
	return key
}

func byUIDs(uids imap.NumSet) imap.SearchKey {
	return imap.SearchUID{Set: imap.SetRef{Nums: uids}}
}

// resolveSearchSeqs returns the UIDs at the positions of a set. Positions that do not
// exist match nothing: a search for "1:100" in a small mailbox is a fair question.
func (r *searchResolver) resolveSearchSeqs(ref imap.SetRef) imap.NumSet {
	if ref.Saved {
		return r.saved
	}
	r.seqs = true
	n := r.base.Len()
	return r.base.UIDs(ref.Nums.Resolve(n).Clip(1, n))
}

func (r *searchResolver) resolveRecent(k imap.SearchFlag) imap.SearchKey {
	recent := byUIDs(r.recent)
	if k.Not {
		return imap.SearchNot{Key: recent}
	}
	return recent
}
