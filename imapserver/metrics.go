package imapserver

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"tidemark/imap"
)

// metrics are the server's counters. No label ever holds what a client sent.
type metrics struct {
	connections prometheus.Gauge
	sessions    prometheus.Gauge
	idle        prometheus.Gauge
	refused     prometheus.Counter
	handshakes  *prometheus.CounterVec   // by result
	logins      *prometheus.CounterVec   // by result
	commands    *prometheus.CounterVec   // by command and status
	seconds     *prometheus.HistogramVec // by command
	panics      prometheus.Counter
	octets      *prometheus.CounterVec // by direction

	// of has the counters of each command, which looking up by label costs too much.
	of map[string]commandMetrics
}

// commandMetrics are the metrics of one command.
type commandMetrics struct {
	ok, no, bad, bye prometheus.Counter
	seconds          prometheus.Observer
}

// count counts an answer.
func (m *commandMetrics) count(status imap.StatusKind) {
	switch status {
	case imap.OK:
		m.ok.Inc()
	case imap.NO:
		m.no.Inc()
	case imap.BAD:
		m.bad.Inc()
	default:
		m.bye.Inc()
	}
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tidemark_imap_connections", Help: "Open IMAP connections."}),
		sessions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tidemark_imap_sessions", Help: "IMAP connections that have logged in."}),
		idle: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tidemark_imap_idle_sessions", Help: "IMAP sessions in IDLE."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidemark_imap_refused_connections_total",
			Help: "Connections refused because there were too many, in all or from their address."}),
		handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidemark_imap_tls_handshakes_total", Help: "TLS handshakes."}, []string{"result"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidemark_imap_logins_total", Help: "Attempts to log in."}, []string{"result"}),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidemark_imap_commands_total", Help: "Commands answered."}, []string{"command", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tidemark_imap_command_seconds", Help: "Time from a command's end to its tagged answer, except in IDLE.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10)}, []string{"command"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidemark_imap_panics_total", Help: "Sessions ended by a fault in the server."}),
		octets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tidemark_imap_octets_total",
			Help: "Octets of IMAP, without TLS, of connections that have ended."}, []string{"direction"}),
	}
	if reg != nil {
		reg.MustRegister(m.connections, m.sessions, m.idle, m.refused, m.handshakes, m.logins,
			m.commands, m.seconds, m.panics, m.octets)
	}
	m.of = make(map[string]commandMetrics, len(commands))
	for name := range commands {
		label := strings.ToLower(name)
		m.of[name] = commandMetrics{
			ok:      m.commands.WithLabelValues(label, "ok"),
			no:      m.commands.WithLabelValues(label, "no"),
			bad:     m.commands.WithLabelValues(label, "bad"),
			bye:     m.commands.WithLabelValues(label, "bye"),
			seconds: m.seconds.WithLabelValues(label),
		}
	}
	return m
}
