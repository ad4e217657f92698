package imapserver

import (
	"context"

	"tidemark/imap"
	"tidemark/imapwire"
)

// sort is SORT (RFC 5256 §3).
func (s *selected) sort(ctx context.Context, cmd *imap.Sort) (outcome, error) {
	limited, cancel := context.WithTimeoutCause(ctx, searchTime, errSearchTime)
	defer cancel()
	found, out, err := s.find(limited, cmd.Charset, cmd.Key)
	if err != nil {
		return outcome{}, err
	}
	sorted, err := s.mailbox.Sort(limited, s.tip, cmd.Order, found)
	if err != nil {
		return outcome{}, searchError(limited, err)
	}
	if !cmd.UID {
		for i, uid := range sorted {
			sorted[i] = imap.UID(s.base.Seq(uid))
		}
	}
	s.put(imapwire.AppendSort(s.buf(), sorted))
	return out, s.writeError()
}

// thread is THREAD (RFC 5256 §3).
func (s *selected) thread(ctx context.Context, cmd *imap.Thread) (outcome, error) {
	limited, cancel := context.WithTimeoutCause(ctx, searchTime, errSearchTime)
	defer cancel()
	found, out, err := s.find(limited, cmd.Charset, cmd.Key)
	if err != nil {
		return outcome{}, err
	}
	threads, err := s.mailbox.Thread(limited, s.tip, cmd.Algorithm, found)
	if err != nil {
		return outcome{}, searchError(limited, err)
	}
	number := func(uid imap.UID) uint32 { return uint32(uid) }
	if !cmd.UID {
		number = func(uid imap.UID) uint32 { return uint32(s.base.Seq(uid)) }
	}
	s.put(imapwire.AppendThreads(s.buf(), threads, number))
	return out, s.writeError()
}

// find returns the UIDs of the messages that the client knows and that match, for SORT and
// THREAD, and the outcome that follows from the form of the search.
func (s *selected) find(ctx context.Context, charset string, key imap.SearchKey) (imap.NumSet, outcome, error) {
	if s.enabled.utf8 && charset != "UTF-8" {
		return nil, outcome{}, imap.Bad("CHARSET is not allowed after UTF8=ACCEPT") // RFC 6855 §3
	}
	r := searchResolver{selected: s}
	resolved := r.resolve(key)
	if r.modSeq {
		s.enableCondStore()
	}
	found, err := s.mailbox.Search(ctx, s.tip, resolved)
	if err != nil {
		return nil, outcome{}, searchError(ctx, err)
	}
	return s.base.UIDs(s.base.Seqs(found)), outcome{holdExpunges: r.seqs}, nil
}

// searchError says that the time was over, or that the client has gone, where that
// is why a search failed.
func searchError(limited context.Context, err error) error {
	if limited.Err() != nil {
		return context.Cause(limited)
	}
	return err
}
