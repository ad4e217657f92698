package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const day = 24 * time.Hour

// expirySteps are the times before a certificate's end at which the log warns. Those
// beyond a quarter of its life are left out: a short one is renewed late.
var expirySteps = [...]time.Duration{day, 7 * day, 21 * day}

// warnExpiry logs each certificate that has come nearer to its end by a step
// since it was last warned of. m.mu is held.
func (m *Manager) warnExpiry() {
	now := m.opts.Now()
	for _, c := range m.published.Load().certs {
		key := sha256.Sum256(c.Leaf.Raw)
		left := c.Leaf.NotAfter.Sub(now)
		step, due := expiryStep(left, c.Leaf.NotAfter.Sub(c.Leaf.NotBefore))
		if last, warned := m.warned[key]; !due || warned && last <= step {
			continue
		}
		m.warned[key] = step
		attrs := []any{"names", strings.Join(names(c.Leaf), " "), "expires", c.Leaf.NotAfter}
		if left <= 0 {
			m.opts.Log.Error("certificate has expired", attrs...)
		} else {
			m.opts.Log.Warn("certificate expires soon", append(attrs, "days", int(left/day))...)
		}
	}
}

// expiryStep returns the smallest step that left lies within; zero when the
// certificate, which is valid for life in all, has expired.
func expiryStep(left, life time.Duration) (step time.Duration, due bool) {
	if left <= 0 {
		return 0, true
	}
	for _, step := range expirySteps {
		if left <= step && step <= life/4 {
			return step, true
		}
	}
	return 0, false
}

// metrics are what a monitoring system sees of the certificates.
type metrics struct {
	notAfter       *prometheus.GaugeVec
	reloadFailures prometheus.Counter
	acmeFailures   prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		notAfter: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tidemark_certificate_not_after_seconds",
			Help: "End of a certificate's validity in seconds since 1970.",
		}, []string{"name", "sha256"}),
		reloadFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidemark_certificate_reload_failures_total",
			Help: "Times that changed certificate files could not be used.",
		}),
		acmeFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidemark_certificate_acme_failures_total",
			Help: "Times that a certificate could not be obtained or renewed by ACME.",
		}),
	}
	if r != nil {
		r.MustRegister(m.notAfter, m.reloadFailures, m.acmeFailures)
	}
	return m
}

func (m *metrics) setExpiry(certs []tls.Certificate) {
	m.notAfter.Reset()
	for _, c := range certs {
		m.notAfter.WithLabelValues(names(c.Leaf)[0], fingerprint(c.Leaf.Raw)).Set(float64(c.Leaf.NotAfter.Unix()))
	}
}
