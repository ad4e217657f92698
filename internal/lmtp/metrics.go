package lmtp

import "github.com/prometheus/client_golang/prometheus"

// metrics are what a monitoring system sees of the mail that comes in.
type metrics struct {
	recipients *prometheus.CounterVec
	took       prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		recipients: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidemark_lmtp_recipients_total",
			Help: "Recipients of mail that came in over LMTP, by result: delivered, refused for good, deferred.",
		}, []string{"result"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tidemark_lmtp_delivery_seconds",
			Help:    "Time from the end of a message to its being durable for one recipient.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
		}),
	}
	if r != nil {
		r.MustRegister(m.recipients, m.took)
	}
	return m
}

// count counts recipients that got the reply with this code.
func (m *metrics) count(code, recipients int) {
	result := "refused"
	switch code / 100 {
	case 2:
		result = "delivered"
	case 4:
		result = "deferred"
	}
	m.recipients.WithLabelValues(result).Add(float64(recipients))
}
