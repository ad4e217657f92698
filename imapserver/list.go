package imapserver

import (
	"context"
	"errors"

	"tidemark/imap"
	"tidemark/imapwire"
)

// list is LIST (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154).
func (a *authenticated) list(ctx context.Context, cmd *imap.List) (outcome, error) {
	if !cmd.Extended && cmd.Patterns[0] == "" {
		// RFC 9051 §6.3.9: a question for the delimiter and the root, which is empty.
		a.put(imapwire.AppendList(a.buf(), &imapwire.ListData{
			Attrs: []imap.MailboxAttr{imap.AttrNoselect},
		}, a.enabled.utf8Names()))
		return outcome{}, nil
	}
	infos, err := a.account.Mailboxes(ctx)
	if err != nil {
		return outcome{}, err
	}
	l := lister{cmd: cmd, tree: newMailboxTree(infos), style: listPlain}
	match, err := newMatcher(cmd.Reference, cmd.Patterns)
	if err != nil {
		return outcome{}, err
	}
	if l.matched, err = a.matchNames(ctx, match, l.tree); err != nil {
		return outcome{}, err
	}
	if cmd.Extended || a.enabled.rev2 {
		l.style = listExtended
	}
	for i := range l.tree.nodes {
		if err := ctx.Err(); err != nil {
			return outcome{}, err
		}
		if !l.matched[i] {
			continue
		}
		if err := a.listNode(ctx, &l, &l.tree.nodes[i]); err != nil {
			return outcome{}, err
		}
	}
	return outcome{}, nil
}

// lister is one LIST command in work.
type lister struct {
	cmd     *imap.List
	tree    *mailboxTree
	matched []bool // the nodes of tree
	style   listStyle
}

// listNode sends what LIST has to say of a name that matches.
func (a *authenticated) listNode(ctx context.Context, l *lister, n *mailboxNode) error {
	selected := l.selects(n)
	// RFC 5258 §3.5: with RECURSIVEMATCH a name is returned, too, for the names below it
	// that the options select.
	below := l.cmd.RecursiveMatch && l.selectsBelow(n, selected)
	if !selected && !below {
		return nil
	}
	data := imapwire.ListData{Name: n.name, Attrs: l.attributes(n), ChildSubscribed: below}
	a.put(imapwire.AppendList(a.buf(), &data, a.enabled.utf8Names()))
	if l.cmd.ReturnStatus == 0 || !n.exists {
		return a.t.writeFailed
	}
	err := a.putStatus(ctx, n.name, l.cmd.ReturnStatus)
	if _, refused := errors.AsType[*imap.Error](err); refused {
		return nil // deleted since; RFC 5819 §2: no STATUS for what cannot be selected
	}
	return err
}

// selects says whether the selection options are satisfied. Without any of them
// mailboxes are listed, and the levels above them that have none of their own
// (RFC 9051 §6.3.9).
func (l *lister) selects(n *mailboxNode) bool {
	if l.cmd.Subscribed && !n.subscribed || l.cmd.SpecialUse && len(n.uses) == 0 {
		return false
	}
	return n.exists || l.cmd.Subscribed || n.hasChildren && !l.cmd.SpecialUse
}

// selectsBelow says whether CHILDINFO is due: a name below n is selected and, if n is
// not selected itself, at least one such name is not listed (RFC 5258 §3.5: redundant
// answers should be left out).
func (l *lister) selectsBelow(n *mailboxNode, selected bool) bool {
	for i := n.first; i < n.end; i++ {
		if l.selects(&l.tree.nodes[i]) && (selected || !l.matched[i]) {
			return true
		}
	}
	return false
}

// attributes returns the attributes of n for this command. Those that cost nothing are
// given whether asked for or not.
func (l *lister) attributes(n *mailboxNode) []imap.MailboxAttr {
	attrs := n.attributes(l.style)
	if n.subscribed && (l.cmd.Subscribed || l.cmd.ReturnSubscribed) {
		attrs = append(attrs, imap.AttrSubscribed)
	}
	return attrs
}

// lsub is LSUB (RFC 3501 §6.3.9).
func (a *authenticated) lsub(ctx context.Context, cmd *imap.Lsub) (outcome, error) {
	infos, err := a.account.Mailboxes(ctx)
	if err != nil {
		return outcome{}, err
	}
	tree := newMailboxTree(infos)
	match, err := newMatcher(cmd.Reference, []string{cmd.Pattern})
	if err != nil {
		return outcome{}, err
	}
	matched, err := a.matchNames(ctx, match, tree)
	if err != nil {
		return outcome{}, err
	}
	for i := range tree.nodes {
		n := &tree.nodes[i]
		if !matched[i] {
			continue
		}
		data := imapwire.ListData{Name: n.name}
		switch {
		case n.subscribed:
		case match.endsInPercent && tree.subscribedBelow(n):
			// "%" would have matched a subscribed name if it went deeper
			// (RFC 3501 §6.3.9); for LSUB \Noselect means just that.
			data.Attrs = []imap.MailboxAttr{imap.AttrNoselect}
		default:
			continue
		}
		a.put(imapwire.AppendLsub(a.buf(), &data, a.enabled.utf8Names()))
	}
	return outcome{}, nil
}
