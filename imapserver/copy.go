package imapserver

import (
	"context"

	"tidemark/imap"
	"tidemark/imapwire"
)

// copy is COPY and MOVE (RFC 9051 §6.4.7 and §6.4.8).
func (s *selected) copy(ctx context.Context, cmd *imap.Copy) (outcome, error) {
	if cmd.Move && s.mailbox.ReadOnly() {
		return outcome{}, errReadOnly
	}
	seqs, err := s.resolve(cmd.Set, cmd.UID)
	if err != nil {
		return outcome{}, err
	}
	if len(seqs) == 0 {
		return outcome{text: "Nothing to do"}, nil // UIDs that do not exist are no error
	}
	result, err := s.mailbox.Copy(ctx, s.base.UIDs(seqs), cmd.Mailbox, cmd.Move)
	if err != nil {
		return outcome{}, err
	}
	if len(result.Source) == 0 {
		return s.copiedNothing(cmd)
	}
	code := imapwire.CodeCopyUID(result.UIDValidity, result.Source, result.Dest)
	if !cmd.Move {
		return outcome{code: code}, nil
	}
	// RFC 6851 §4.3: with MOVE the new UIDs are told before the EXPUNGEs of the old
	// ones, which come with the sync.
	s.tellCode(code, "Moved")
	return outcome{}, nil
}

// copiedNothing answers a command all of whose messages have been expunged by
// others. By numbers that is a failure that the client must learn of
// (RFC 2180 §4.4); UIDs that do not exist are simply left out.
func (s *selected) copiedNothing(cmd *imap.Copy) (outcome, error) {
	if cmd.UID {
		return outcome{text: "Nothing to do"}, nil
	}
	return outcome{}, imap.Refuse(imap.CodeExpungeIssued, "The messages no longer exist")
}
