package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"tidemark/sasl"
)

// maxLogged is how much of a text that a client sent goes into the log, in bytes.
const maxLogged = 200

// attrs are what each line about an attempt has. Passwords and tokens are nowhere
// within reach of it.
func (at *attempt) attrs(a *Authenticator) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("conn", at.peer.ID),
		slog.String("remote", at.peer.Addr.String()),
		at.user(a),
		slog.String("mechanism", at.mechanism),
		slog.Duration("took", a.opts.Now().Sub(at.started)),
	}
	if at.peer.TLS != nil && at.peer.TLS.Version != 0 {
		attrs = append(attrs, slog.String("tls", tls.VersionName(at.peer.TLS.Version)),
			slog.String("suite", tls.CipherSuiteName(at.peer.TLS.CipherSuite)))
	}
	if at.app != "" {
		attrs = append(attrs, slog.String("app_password", at.app))
	}
	if at.delay > 0 {
		attrs = append(attrs, slog.Duration("delayed", at.delay))
	}
	return attrs
}

// user is whom an attempt names. People type passwords where the name belongs, so that a
// name nobody has is logged as a keyed hash: the same for the same name, and of no use
// without the server's secret.
func (at *attempt) user(a *Authenticator) slog.Attr {
	if at.known || at.given == "" {
		return slog.String("user", at.given[:min(len(at.given), maxLogged)])
	}
	mac := hmac.New(sha256.New, a.opts.Secret)
	mac.Write([]byte("log of " + at.try.user))
	return slog.String("unknown_user", hex.EncodeToString(mac.Sum(nil)[:6]))
}

func (a *Authenticator) logSuccess(ctx context.Context, at *attempt, id sasl.Identity) {
	at.known = true
	a.metrics.logins.WithLabelValues(at.mechanism, "ok").Inc()
	attrs := append(at.attrs(a), slog.String("account", id.User))
	if id.User != id.Auth {
		attrs = append(attrs, slog.String("master", id.Auth))
	}
	a.opts.Log.LogAttrs(ctx, slog.LevelInfo, "login", attrs...)
}

func (a *Authenticator) logFailure(ctx context.Context, at *attempt, why reason) {
	a.metrics.logins.WithLabelValues(at.mechanism, "failed").Inc()
	attrs := append(at.attrs(a), slog.String("reason", string(why)))
	a.opts.Log.LogAttrs(ctx, slog.LevelInfo, "login failed", attrs...)
}

func (a *Authenticator) logSpray(ctx context.Context, at *attempt, s *Spray) {
	a.metrics.sprays.WithLabelValues(string(s.Kind)).Inc()
	attrs := []slog.Attr{slog.String("kind", string(s.Kind)), slog.Int("count", s.Count), slog.Time("since", s.Since)}
	if s.Network.IsValid() {
		attrs = append(attrs, slog.String("network", s.Network.String()))
	}
	if s.User != "" {
		attrs = append(attrs, at.user(a)) // it is the user of the try that made it an attack
	}
	a.opts.Log.LogAttrs(ctx, slog.LevelWarn, "passwords are being guessed", attrs...)
}

// metrics are what a monitoring system sees of logins.
type metrics struct {
	logins *prometheus.CounterVec
	sprays *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidemark_logins_total",
			Help: "Attempts to log in, by mechanism and result.",
		}, []string{"mechanism", "result"}),
		sprays: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidemark_login_attacks_total",
			Help: "Attacks on passwords that were recognised, by kind.",
		}, []string{"kind"}),
	}
	if r != nil {
		r.MustRegister(m.logins, m.sprays)
	}
	return m
}
