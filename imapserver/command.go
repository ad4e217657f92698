package imapserver

import (
	"context"
	"errors"
	"time"

	"tidemark/imap"
)

// handler runs a command in a state. It returns errState where the command is not
// allowed in it.
type handler func(ctx context.Context, st state, cmd imap.Command) (outcome, error)

// command is one row of the table of commands.
type command struct {
	run   handler
	flags commandFlags
}

// commandFlags say what the session may be told around a command.
type commandFlags uint8

const (
	// syncAfter tells the client of changes before the tagged answer.
	syncAfter commandFlags = 1 << iota
	// syncBefore tells it of changes to flags and of new messages before the command
	// runs, so that it is answered from the newest state. Commands that change
	// messages do not have it: "*" must not come to mean a message that the client
	// had not heard of when it sent the command.
	syncBefore
	// holdsNumbers forbids EXPUNGE and VANISHED (RFC 9051 §7.5.1).
	holdsNumbers
	// heavy counts against Limits.HeavyPerUser.
	heavy
	// unsettled commands need not wait until flags that were answered early are durable.
	unsettled
)

// commands is the table of commands. A handler's parameter types say in which
// states its command is allowed and which struct it takes.
var commands = map[string]command{
	"CAPABILITY": {run: anytime((*conn).capability), flags: syncAfter},
	"NOOP":       {run: anytime((*conn).noop), flags: syncAfter},
	"ID":         {run: anytime((*conn).identify), flags: syncAfter},
	"LOGOUT":     {run: anytime((*conn).logout)},

	"STARTTLS":     {run: beforeLogin((*greeted).startTLS)},
	"LOGIN":        {run: beforeLogin((*greeted).login)},
	"AUTHENTICATE": {run: beforeLogin((*greeted).authenticate)},

	"ENABLE":      {run: loggedIn((*authenticated).enable), flags: syncAfter},
	"NAMESPACE":   {run: loggedIn((*authenticated).namespace), flags: syncAfter},
	"SELECT":      {run: loggedIn((*authenticated).selectMailbox)},
	"EXAMINE":     {run: loggedIn((*authenticated).selectMailbox)},
	"CREATE":      {run: loggedIn((*authenticated).create), flags: syncAfter},
	"DELETE":      {run: loggedIn((*authenticated).delete), flags: syncAfter},
	"RENAME":      {run: loggedIn((*authenticated).rename), flags: syncAfter},
	"SUBSCRIBE":   {run: loggedIn((*authenticated).subscribe), flags: syncAfter},
	"UNSUBSCRIBE": {run: loggedIn((*authenticated).subscribe), flags: syncAfter},
	"LIST":        {run: loggedIn((*authenticated).list), flags: syncAfter},
	"LSUB":        {run: loggedIn((*authenticated).lsub), flags: syncAfter},
	"STATUS":      {run: loggedIn((*authenticated).status), flags: syncAfter},
	"APPEND":      {run: loggedIn((*authenticated).append), flags: syncAfter},
	"IDLE":        {run: loggedIn((*authenticated).idle), flags: syncAfter},

	"CHECK":       {run: inMailbox((*selected).check), flags: syncAfter},
	"CLOSE":       {run: inMailbox((*selected).closeAndExpunge)},
	"UNSELECT":    {run: inMailbox((*selected).unselect)},
	"EXPUNGE":     {run: inMailbox((*selected).expunge), flags: syncAfter},
	"UID EXPUNGE": {run: inMailbox((*selected).uidExpunge), flags: syncAfter},
	"FETCH":       {run: inMailbox((*selected).fetch), flags: syncBefore | syncAfter | holdsNumbers},
	"UID FETCH":   {run: inMailbox((*selected).fetch), flags: syncBefore | syncAfter},
	"STORE":       {run: inMailbox((*selected).store), flags: syncAfter | holdsNumbers | unsettled},
	"UID STORE":   {run: inMailbox((*selected).store), flags: syncAfter | unsettled},
	"SEARCH":      {run: inMailbox((*selected).search), flags: syncBefore | syncAfter | holdsNumbers | heavy},
	"UID SEARCH":  {run: inMailbox((*selected).search), flags: syncBefore | syncAfter | heavy},
	"SORT":        {run: inMailbox((*selected).sort), flags: syncBefore | syncAfter | holdsNumbers | heavy},
	"UID SORT":    {run: inMailbox((*selected).sort), flags: syncBefore | syncAfter | heavy},
	"THREAD":      {run: inMailbox((*selected).thread), flags: syncBefore | syncAfter | holdsNumbers | heavy},
	"UID THREAD":  {run: inMailbox((*selected).thread), flags: syncBefore | syncAfter | heavy},
	"COPY":        {run: inMailbox((*selected).copy), flags: syncAfter},
	"UID COPY":    {run: inMailbox((*selected).copy), flags: syncAfter},
	"MOVE":        {run: inMailbox((*selected).copy), flags: syncAfter},
	"UID MOVE":    {run: inMailbox((*selected).copy), flags: syncAfter},
}

// errState answers a command that is not allowed where the connection stands.
var errState = imap.Bad("Command is not allowed in this state")

// anytime makes a handler of a command that is allowed in every state.
func anytime[C imap.Command](f func(*conn, context.Context, C) (outcome, error)) handler {
	return func(ctx context.Context, st state, cmd imap.Command) (outcome, error) {
		switch st := st.(type) {
		case *greeted:
			return f(st.conn, ctx, cmd.(C))
		case *authenticated:
			return f(st.conn, ctx, cmd.(C))
		case *selected:
			return f(st.conn, ctx, cmd.(C))
		}
		return outcome{}, errState
	}
}

// beforeLogin makes a handler of a command that is allowed before the login only.
func beforeLogin[C imap.Command](f func(*greeted, context.Context, C) (outcome, error)) handler {
	return func(ctx context.Context, st state, cmd imap.Command) (outcome, error) {
		if st, ok := st.(*greeted); ok {
			return f(st, ctx, cmd.(C))
		}
		return outcome{}, errState
	}
}

// loggedIn makes a handler of a command that is allowed from the login on.
func loggedIn[C imap.Command](f func(*authenticated, context.Context, C) (outcome, error)) handler {
	return func(ctx context.Context, st state, cmd imap.Command) (outcome, error) {
		switch st := st.(type) {
		case *authenticated:
			return f(st, ctx, cmd.(C))
		case *selected:
			return f(st.authenticated, ctx, cmd.(C))
		}
		return outcome{}, errState
	}
}

// inMailbox makes a handler of a command that needs a mailbox.
func inMailbox[C imap.Command](f func(*selected, context.Context, C) (outcome, error)) handler {
	return func(ctx context.Context, st state, cmd imap.Command) (outcome, error) {
		if st, ok := st.(*selected); ok {
			return f(st, ctx, cmd.(C))
		}
		return outcome{}, errState
	}
}

// execute runs a decoded command and answers it. Its error ends the connection.
func (c *conn) execute(ctx context.Context, cmd imap.Command) error {
	if err := c.countCommand(); err != nil {
		return err
	}
	name := cmd.Name()
	row := commands[name] // the decoder knows no other commands
	started := time.Now()
	out, err := c.perform(ctx, row, cmd)
	status := imap.OK
	if err != nil {
		status, err = c.replyError(name, err)
		if err == nil && c.failures >= c.srv.limits.LoginFailures {
			err = &bye{"", "Too many failed logins", "failed logins"}
		}
	} else {
		c.replyDone(name, out)
		if out.then != nil {
			err = out.then(ctx)
		}
	}
	if err == nil {
		err = out.end
	}
	m := c.srv.metrics.of[name]
	m.count(status)
	if name != imap.Idle.Name() {
		m.seconds.Observe(time.Since(started).Seconds())
	}
	return err
}

// perform runs a command between its synchronisation points.
func (c *conn) perform(ctx context.Context, row command, cmd imap.Command) (outcome, error) {
	before, _ := c.state.(*selected)
	if before != nil {
		before.told = told{}
		if row.flags&unsettled == 0 {
			if err := before.settle(ctx); err != nil {
				return outcome{}, err
			}
		}
		if row.flags&syncBefore != 0 {
			if err := before.sync(false); errors.Is(err, errGone) {
				// RFC 2180 §3.3 has the BYE alone; each command gets its tagged answer too.
				return outcome{end: errGone}, imap.Refuse(errGone.code, errGone.text)
			} else if err != nil {
				return outcome{}, err
			}
		}
	}
	if row.flags&heavy != 0 && before != nil {
		var end func()
		var err error
		if ctx, end, err = c.beginHeavy(ctx); err != nil {
			return outcome{}, err
		}
		defer end()
	}
	out, err := row.run(ctx, c.state, cmd)
	if out.next != nil {
		c.state = out.next
	}
	// A command that failed may still have met news; only one that ends the
	// connection or the selected state has nobody to tell.
	if after, ok := c.state.(*selected); ok && after == before && row.flags&syncAfter != 0 {
		mayExpunge := row.flags&holdsNumbers == 0 && !out.holdExpunges
		switch syncErr := after.sync(mayExpunge); {
		case errors.Is(syncErr, errGone):
			out.end = errGone // what the command did is told first
			return out, err
		case syncErr != nil:
			return out, syncErr
		}
		if err != nil {
			after.reportModSeq(nil)
		} else {
			after.reportModSeq(&out)
		}
	}
	return out, err
}
