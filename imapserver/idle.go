package imapserver

import (
	"context"
	"time"

	"tidemark/imap"
	"tidemark/imapwire"
)

// idle is IDLE (RFC 2177, RFC 9051 §6.3.13). It is allowed without a mailbox as well,
// and is then a way to stay connected.
func (a *authenticated) idle(context.Context, imap.Simple) (outcome, error) {
	s, _ := a.state.(*selected)
	if s != nil {
		stop := s.mailbox.Watch(a.t.wakeMail)
		defer stop()
	}
	a.srv.metrics.idle.Inc()
	defer a.srv.metrics.idle.Dec()
	a.put(imapwire.AppendContinue(a.buf(), "Idling"))
	until := time.Now().Add(a.srv.limits.Inactivity)
	for {
		// The first time round tells what came before the watch began.
		if s != nil {
			if err := s.push(); err != nil {
				return outcome{}, err
			}
		}
		if woken, err := a.rest(until); err != nil {
			return outcome{}, err
		} else if woken {
			continue
		}
		return outcome{text: "IDLE completed"}, a.readDone()
	}
}

// push tells an idle client the news.
func (s *selected) push() error {
	s.told = told{}
	if err := s.sync(true); err != nil {
		return err
	}
	s.reportModSeq(nil)
	return nil
}

// rest waits, without a buffer, until the client says something or mail has woken the
// session.
func (a *authenticated) rest(until time.Time) (byMail bool, err error) {
	if a.dec.Buffered() > 0 {
		return false, nil
	}
	if err := a.t.flush(); err != nil {
		return false, &streamError{err}
	}
	a.t.release()
	a.dec.Release()
	woken, err := a.t.await(until, a.srv.limits.Inactivity/slackShare, true)
	if err != nil {
		return false, &streamError{err}
	}
	if woken == wokenByTimeout {
		return false, a.timedOut()
	}
	return woken == wokenByMail, nil
}

// readDone reads DONE.
func (a *authenticated) readDone() error {
	if err := a.dec.ReadDone(); err != nil {
		return a.syntaxAnswer(err)
	}
	return nil
}
