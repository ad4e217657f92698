package imapserver

import (
	"context"

	"tidemark/imap"
	"tidemark/imapwire"
)

// sort is SORT (RFC 5256 §3).
func (s *selected) sort(ctx context.Context, cmd *imap.Sort) (outcome, error) {
	limited, cancel := context.WithTimeoutCause(ctx, s.srv.limits.SearchTime, errSearchTime)
	defer cancel()
	found, r, err := s.find(limited, cmd.Charset, cmd.Key)
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
	s.put(imapwire.AppendSort(s.buf(), sorted, s.highestModSeq(found, r.modSeq)))
	return outcome{holdExpunges: r.seqs}, s.writeError()
}

// thread is THREAD (RFC 5256 §3).
func (s *selected) thread(ctx context.Context, cmd *imap.Thread) (outcome, error) {
	limited, cancel := context.WithTimeoutCause(ctx, s.srv.limits.SearchTime, errSearchTime)
	defer cancel()
	found, r, err := s.find(limited, cmd.Charset, cmd.Key)
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
	return outcome{holdExpunges: r.seqs}, s.writeError()
}
