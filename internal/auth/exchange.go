package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"tidemark/imapserver"
	"tidemark/sasl"
)

// scramMechanism is the row of a SCRAM mechanism.
func scramMechanism(h sasl.ScramHash, plus bool) mechanism {
	return mechanism{
		offered: func(a *Authenticator, peer imapserver.Peer) bool {
			lacksKeys := func(s Source) bool { return !s.Scram(h) }
			return !slices.ContainsFunc(a.opts.Sources, lacksKeys) && (!plus || canBind(peer.TLS))
		},
		begin: func(a *Authenticator, ctx context.Context, peer imapserver.Peer) sasl.Server {
			return a.beginScram(ctx, peer, h, plus)
		},
	}
}

// canBind says whether there is a channel to bind. A connection whose TLS is ended
// elsewhere has a state without a version.
func canBind(cs *tls.ConnectionState) bool { return cs != nil && cs.Version != 0 }

// scramExchange puts the guard before the step of a SCRAM exchange that tells
// whether the password is right.
type scramExchange struct {
	sasl.Server
	next func(response []byte) ([]byte, bool, error)
}

func (e *scramExchange) Next(response []byte) ([]byte, bool, error) { return e.next(response) }

func (a *Authenticator) beginScram(ctx context.Context, peer imapserver.Peer, h sasl.ScramHash, plus bool) sasl.Server {
	name := map[sasl.ScramHash]string{sasl.SHA256: sasl.ScramSHA256, sasl.SHA1: sasl.ScramSHA1}[h]
	mechanism := name
	if plus {
		mechanism += "-PLUS"
	}
	at := a.newAttempt(peer, mechanism, "")
	var record *Record
	var source Source
	var keys []string // the app passwords' names, in the order of the keys
	server := sasl.NewScramServer(sasl.ScramConfig{
		Hash:        h,
		Plus:        plus,
		PlusOffered: slices.Contains(a.Mechanisms(peer), name+"-PLUS"),
		Binding:     func(kind string) []byte { return a.binding(peer.TLS, kind) },
		Lookup: func(user string) (sasl.ScramUser, error) {
			at.setUser(user)
			var err error
			record, source, err = a.lookup(ctx, at.name)
			if err != nil && !errors.Is(err, ErrNoUser) {
				return sasl.ScramUser{}, a.broken(at, err)
			}
			if record != nil {
				at.known = !record.Presumed
				a.opts.Guard.know(record.Name, record.Homes)
			}
			u, names := a.scramUser(at.try.user, record, h)
			keys = names
			return u, nil
		},
		Authorize: func(authzid, _ string, key int) (sasl.Identity, error) {
			if record == nil || key >= len(keys) {
				return sasl.Identity{}, sasl.ErrRejected // the decoy was hit, by a miracle
			}
			at.app = keys[key]
			return a.finish(ctx, at, record, source, authzid)
		},
	})
	return &scramExchange{Server: server, next: a.guarded(ctx, at, server)}
}

// guarded returns server's Next with the guard around it.
func (a *Authenticator) guarded(ctx context.Context, at *attempt, server sasl.Server) func([]byte) ([]byte, bool, error) {
	return func(response []byte) ([]byte, bool, error) {
		if at.given != "" { // so this is the proof
			if err := a.admit(ctx, at); err != nil {
				return nil, false, err
			}
		}
		challenge, done, err := server.Next(response)
		switch {
		case errors.Is(err, sasl.ErrRejected):
			return nil, false, a.fail(ctx, at, reasonProof)
		case err != nil:
			a.opts.Guard.abandoned(&at.try)
		}
		return challenge, done, err
	}
}

// scramUser returns what the SCRAM server is told of a user, and for each key the
// name of the app password that it is of, empty for the user's own. Somebody who
// does not exist, or has no keys, gets a salt that is always the same and a key
// that nothing opens.
func (a *Authenticator) scramUser(name string, r *Record, h sasl.ScramHash) (u sasl.ScramUser, apps []string) {
	if r != nil && r.Scram != nil {
		u.Salt, u.Iterations = r.Scram.Salt, r.Scram.Iterations
		if k := r.Scram.keys(h); k != nil {
			u.Keys, apps = append(u.Keys, *k), append(apps, "")
		}
		for _, p := range r.AppPasswords {
			if p.Scram != nil && h == sasl.SHA256 {
				u.Keys, apps = append(u.Keys, *p.Scram), append(apps, p.Name)
			}
		}
	}
	if len(u.Salt) == 0 {
		mac := hmac.New(sha256.New, a.opts.Secret)
		mac.Write([]byte("salt of " + name))
		u.Salt, u.Iterations = mac.Sum(nil)[:16], a.opts.Hasher.scram
	}
	if len(u.Keys) == 0 {
		u.Keys = []sasl.ScramKeys{{StoredKey: randomBytes(h.Size()), ServerKey: randomBytes(h.Size())}}
	}
	return u, apps
}

// binding returns the data of a channel binding type, nil if it cannot be had.
func (a *Authenticator) binding(cs *tls.ConnectionState, kind string) []byte {
	if !canBind(cs) {
		return nil
	}
	switch kind {
	case sasl.TLSExporter:
		// RFC 9266 §2. TLS 1.2 without extended master secret cannot do it.
		data, err := cs.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
		if err != nil {
			return nil
		}
		return data
	case sasl.TLSServerEndPoint:
		if a.opts.ServerCertificate == nil {
			return nil
		}
		return endPointBinding(a.opts.ServerCertificate(cs))
	}
	return nil
}

// endPointBinding returns the data of tls-server-end-point for a server that shows
// this certificate: its hash by the algorithm of its signature, but not by those
// that are broken (RFC 5929 §4.1).
func endPointBinding(cert *x509.Certificate) []byte {
	if cert == nil {
		return nil
	}
	switch cert.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		sum := sha512.Sum384(cert.Raw)
		return sum[:]
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		sum := sha512.Sum512(cert.Raw)
		return sum[:]
	case x509.PureEd25519:
		return nil // has no hash, and RFC 5929 none for it
	}
	sum := sha256.Sum256(cert.Raw)
	return sum[:]
}

func (a *Authenticator) hasCertificate(peer imapserver.Peer) bool {
	return a.certificateUser(peer) != ""
}

// certificateUser returns whom the client's certificate stands for. Only chains that
// the TLS library has verified count.
func (a *Authenticator) certificateUser(peer imapserver.Peer) string {
	if a.opts.CertificateUser == nil || peer.TLS == nil || len(peer.TLS.VerifiedChains) == 0 {
		return ""
	}
	return a.opts.CertificateUser(peer.TLS.VerifiedChains[0][0])
}

func (a *Authenticator) beginExternal(ctx context.Context, peer imapserver.Peer) sasl.Server {
	return sasl.NewExternalServer(func(authzid string) (sasl.Identity, error) {
		at := a.newAttempt(peer, sasl.External, a.certificateUser(peer))
		at.known = true // by the certificate
		return a.known(ctx, at, authzid, reasonCertificate)
	})
}

// known lets in a user whom something other than a password has shown to be the
// one.
func (a *Authenticator) known(ctx context.Context, at *attempt, authzid string, otherwise reason) (sasl.Identity, error) {
	r, source, err := a.lookup(ctx, at.name)
	switch {
	case err != nil && !errors.Is(err, ErrNoUser):
		return sasl.Identity{}, a.broken(at, err)
	case at.newUser && at.name != "" && r == nil:
		r = &Record{Name: at.name}
	case r == nil || r.Presumed && !at.newUser:
		return sasl.Identity{}, a.fail(ctx, at, otherwise)
	}
	return a.finish(ctx, at, r, source, authzid)
}

func (a *Authenticator) hasTokens(imapserver.Peer) bool { return a.opts.Tokens != nil }

func (a *Authenticator) beginOAuthBearer(ctx context.Context, peer imapserver.Peer) sasl.Server {
	return sasl.NewOAuthBearerServer(a.tokenFunc(ctx, peer, sasl.OAuthBearer), a.opts.TokenHint)
}

func (a *Authenticator) beginXOAuth2(ctx context.Context, peer imapserver.Peer) sasl.Server {
	return sasl.NewXOAuth2Server(a.tokenFunc(ctx, peer, sasl.XOAuth2), a.opts.TokenHint)
}

// tokenFunc decides about a bearer token. The user that the client claims to be is
// whom it wants to act as; the token says who it is.
func (a *Authenticator) tokenFunc(ctx context.Context, peer imapserver.Peer, mechanism string) sasl.TokenFunc {
	return func(claimed, token string) (sasl.Identity, error) {
		at := a.newAttempt(peer, mechanism, claimed)
		at.try.credential = a.cache.short(token)
		if err := a.admit(ctx, at); err != nil {
			return sasl.Identity{}, err
		}
		user, err := a.opts.Tokens.VerifyToken(ctx, token)
		if errors.Is(err, sasl.ErrToken) {
			return sasl.Identity{}, fmt.Errorf("%w: %w", sasl.ErrToken, a.fail(ctx, at, reasonToken))
		}
		if err != nil {
			return sasl.Identity{}, a.broken(at, err)
		}
		at.setUser(user)
		at.known = true // by the token
		at.newUser = a.opts.TokenUsers
		return a.known(ctx, at, claimed, reasonUnknown)
	}
}
