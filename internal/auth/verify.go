package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"tidemark/imapserver"
	"tidemark/sasl"
)

// attempt is one attempt to log in, with what the audit log tells of it.
type attempt struct {
	peer      imapserver.Peer
	mechanism string
	given     string // the user name as the client sent it
	name      string // as prepared; empty if it cannot be a name
	known     bool   // whether there is such a user, or something other than a password named one
	app       string // the app password that was used
	newUser   bool   // whether it may be that no source knows the user
	started   time.Time
	delay     time.Duration // for which it was held up
	try       try
}

func (a *Authenticator) newAttempt(peer imapserver.Peer, mechanism, user string) *attempt {
	at := &attempt{peer: peer, mechanism: mechanism, started: a.opts.Now()}
	at.try.addr = peer.Addr.Addr()
	at.setUser(user)
	return at
}

func (at *attempt) setUser(user string) {
	at.given = user
	name, err := sasl.PrepareName(user)
	if err == nil {
		at.name, at.try.user = name, name
		return
	}
	// Not a name, so that it cannot be mixed up with one.
	at.try.user = "\x00" + user[:min(len(user), sasl.MaxName)]
}

// reason is why an attempt failed. Only the log gets to know it.
type reason string

const (
	reasonUnknown     reason = "unknown user"
	reasonWrong       reason = "wrong password"
	reasonNoPassword  reason = "user has no password"
	reasonDisabled    reason = "user is disabled"
	reasonNetwork     reason = "user may not come from this address"
	reasonExpired     reason = "app password has expired"
	reasonMaster      reason = "may not act as the other user"
	reasonRefused     reason = "too many failures"
	reasonProof       reason = "wrong password or channel" // of SCRAM, which does not tell
	reasonCertificate reason = "certificate stands for nobody"
	reasonToken       reason = "token not accepted"
)

// admit holds the attempt up as the guard says, or refuses it.
func (a *Authenticator) admit(ctx context.Context, at *attempt) error {
	delay, ok := a.opts.Guard.admit(&at.try)
	at.delay = delay
	if err := a.sleep(ctx, delay); err != nil {
		a.opts.Guard.abandoned(&at.try)
		return err
	}
	if !ok {
		a.logFailure(ctx, at, reasonRefused)
		return errTooMany
	}
	return nil
}

// fail counts and logs a failed attempt and returns what the client is told.
func (a *Authenticator) fail(ctx context.Context, at *attempt, why reason) error {
	if spray := a.opts.Guard.failed(&at.try); spray != nil {
		a.logSpray(ctx, at, spray)
	}
	a.logFailure(ctx, at, why)
	if rest := a.opts.FailureTime - (a.opts.Now().Sub(at.started) - at.delay); rest > 0 {
		_ = a.sleep(ctx, rest) // the answer is the same to a client that has gone
	}
	return errFailed
}

// broken ends an attempt that could not be decided. It says nothing about guessing.
func (a *Authenticator) broken(at *attempt, err error) error {
	a.opts.Guard.abandoned(&at.try)
	return fmt.Errorf("authenticate: %w", err)
}

// password decides about a user name and password. Whatever is wrong with them,
// it takes one password hash and gives the same answer.
func (a *Authenticator) password(ctx context.Context, at *attempt, authzid, password string) (sasl.Identity, error) {
	at.try.password = a.cache.short(password)
	at.try.credential = a.cache.short(at.try.user, password)
	r, source, err := a.lookup(ctx, at.name)
	if err != nil && !errors.Is(err, ErrNoUser) {
		return sasl.Identity{}, a.broken(at, err)
	}
	if r != nil {
		at.known = !r.Presumed
		a.opts.Guard.know(r.Name, r.Homes)
		if app, ok := a.cache.get(r, password); ok {
			at.app = app
			return a.finish(ctx, at, r, source, authzid)
		}
	}
	if err := a.admit(ctx, at); err != nil {
		return sasl.Identity{}, err
	}
	why, err := a.verifyInLane(ctx, at, r, source, password)
	if err != nil {
		return sasl.Identity{}, a.broken(at, err)
	}
	if why != "" {
		return sasl.Identity{}, a.fail(ctx, at, why)
	}
	id, err := a.finish(ctx, at, r, source, authzid)
	if err == nil {
		if r.Hash != "" || r.Revision != "" || at.app != "" {
			a.cache.put(r, password, at.app)
		}
		a.upgrade(ctx, at, r, source, password)
	}
	return id, err
}

// verifyInLane is verify when it is the turn of this address.
func (a *Authenticator) verifyInLane(
	ctx context.Context, at *attempt, r *Record, source Source, password string,
) (reason, error) {
	if !at.try.trusted {
		address, _ := prefixes(at.try.addr)
		leave, err := a.lanes.enter(ctx, address)
		if err != nil {
			return "", err
		}
		defer leave()
	}
	return a.verify(ctx, at, r, source, password)
}

// verify compares the password with the record, which is nil for an unknown user.
func (a *Authenticator) verify(ctx context.Context, at *attempt, r *Record, source Source, password string) (reason, error) {
	if len(password) > maxPassword {
		// Longer than any that was ever set, and hashing it would be work.
		password = password[:maxPassword] + "+"
	}
	switch checker, ok := source.(PasswordChecker); {
	case r == nil:
		_, err := a.opts.Hasher.Verify(ctx, a.decoy(), password)
		return reasonUnknown, err
	case ok:
		return a.verifyElsewhere(ctx, r, checker, password)
	}
	app := r.matchAppPassword(password)
	hash := r.Hash
	if hash == "" {
		hash = source.Decoy()
	}
	if hash == "" {
		hash = a.decoy()
	}
	if app >= 0 {
		at.app = r.AppPasswords[app].Name
		return "", nil
	}
	right, err := a.opts.Hasher.Verify(ctx, hash, password)
	switch {
	case err != nil:
		return "", err
	case r.Hash == "":
		return reasonNoPassword, nil
	case !right:
		return reasonWrong, nil
	}
	return "", nil
}

// verifyElsewhere has the source check the password. Where the login fails, it
// takes a hash too, as it does for users that do not exist.
func (a *Authenticator) verifyElsewhere(ctx context.Context, r *Record, source PasswordChecker, password string) (reason, error) {
	err := source.CheckPassword(ctx, r, password)
	wrong := errors.Is(err, ErrWrongPassword)
	if err != nil && !wrong {
		return "", err
	}
	if wrong || r.Disabled {
		if _, err := a.opts.Hasher.Verify(ctx, a.decoy(), password); err != nil {
			return "", err
		}
	}
	if wrong {
		return reasonWrong, nil
	}
	return "", nil
}

// finish lets in a user who has proved to be the one, if nothing else is against it.
func (a *Authenticator) finish(
	ctx context.Context, at *attempt, r *Record, source Source, authzid string,
) (sasl.Identity, error) {
	if why := a.barred(at, r); why != "" {
		return sasl.Identity{}, a.fail(ctx, at, why)
	}
	id := sasl.Identity{User: r.Name, Auth: r.Name}
	if authzid != "" {
		other, err := a.actAs(ctx, at, r, authzid)
		if err != nil {
			return sasl.Identity{}, err
		}
		id.User = other
	}
	a.record(ctx, at, r, source, a.opts.Guard.succeeded(&at.try))
	a.logSuccess(ctx, at, id)
	return id, nil
}

// barred returns what keeps out a user whose password is right.
func (a *Authenticator) barred(at *attempt, r *Record) reason {
	switch {
	case r.Disabled:
		return reasonDisabled
	case len(r.Networks) > 0 && !containsAddr(r.Networks, at.try.addr):
		return reasonNetwork
	case at.app != "":
		if p := r.appPassword(at.app); p == nil || p.expired(a.opts.Now()) {
			return reasonExpired
		}
	}
	return ""
}

// actAs returns the user that r may act as by the name of authzid.
func (a *Authenticator) actAs(ctx context.Context, at *attempt, r *Record, authzid string) (string, error) {
	name, err := sasl.PrepareName(authzid)
	if err == nil && name == r.Name {
		return name, nil
	}
	if err == nil && r.Master && at.app == "" && containsAddr(a.opts.MasterFrom, at.try.addr) {
		other, _, err := a.lookup(ctx, name)
		switch {
		case err == nil && !other.Presumed:
			return other.Name, nil
		case err != nil && !errors.Is(err, ErrNoUser):
			return "", a.broken(at, err)
		}
	}
	// The password was right, so that there is nothing to hide from this user, apart
	// from who exists.
	a.opts.Guard.abandoned(&at.try)
	a.logFailure(ctx, at, reasonMaster)
	return "", errMaster
}

// record writes down what a login has shown. The login is good whether or not that
// works. newHome is valid if the user comes from there for the first time.
func (a *Authenticator) record(ctx context.Context, at *attempt, r *Record, source Source, newHome netip.Prefix) {
	recorder, ok := source.(Recorder)
	if !ok {
		return
	}
	if at.app != "" {
		a.noted(ctx, r, recorder.AppPasswordUsed(ctx, r, at.app))
	}
	if newHome.IsValid() {
		a.noted(ctx, r, recorder.LoggedInFrom(ctx, r, newHome))
	}
}

// upgrade replaces an older hash of a password that was right.
func (a *Authenticator) upgrade(ctx context.Context, at *attempt, r *Record, source Source, password string) {
	recorder, ok := source.(Recorder)
	if !ok || at.app != "" {
		return
	}
	lacksKeys := source.Scram(sasl.SHA256) && r.Scram.keys(sasl.SHA256) == nil
	if a.opts.Hasher.outdated(r.Hash) || lacksKeys {
		a.noted(ctx, r, recorder.Upgrade(ctx, r, password))
	}
}

// noted logs that something about a user could not be written down.
func (a *Authenticator) noted(ctx context.Context, r *Record, err error) {
	if err != nil && !errors.Is(err, errChanged) {
		a.opts.Log.WarnContext(ctx, "user record not brought up to date", "user", r.Name, "error", err)
	}
}
