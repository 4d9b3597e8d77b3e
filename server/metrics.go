package server

import "github.com/prometheus/client_golang/prometheus"

// metrics are the package's own; those of gRPC's calls are the middleware's.
type metrics struct {
	entries, requests, bytes prometheus.Counter
	refused                  *prometheus.CounterVec
	repeats                  prometheus.Counter
	connections              *connectionMetrics
	streams                  prometheus.Gauge
	producers                prometheus.Gauge
	lag                      prometheus.Gauge
	throttled                *waited
	drains                   *prometheus.CounterVec
	commitSeconds            prometheus.Histogram
	forgottenProducers       prometheus.Counter
	forgottenOutcomes        prometheus.Counter
	panics                   prometheus.Counter
	failedCalls              *prometheus.CounterVec
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func counterBy(label, name, help string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		entries:  counter("logbatcher_entries_received_total", "Entries in accepted requests, those that were refused included, repeats excluded."),
		requests: counter("logbatcher_requests_received_total", "Requests received and within the bounds, repeats included."),
		bytes:    counter("logbatcher_request_bytes_total", "Bytes of those requests after decompression."),
		refused: counterBy("reason", "logbatcher_entries_refused_total",
			"Entries that the server refused before they reached a route, by reason."),
		repeats:     counter("logbatcher_requests_repeated_total", "Requests that were acknowledged and not stored, because their sequence had been accepted before."),
		connections: newConnectionMetrics(),
		streams:     gauge("logbatcher_open_streams", "Ingest streams and unary calls that are open."),
		producers:   gauge("logbatcher_known_producers", "Producers whose watermark is kept, anonymous ones excluded."),
		lag:         gauge("logbatcher_watermark_lag_requests", "Requests that are accepted and not below their producer's committed watermark."),
		throttled:   newWaited(),
		drains:      counterBy("reason", "logbatcher_drains_total", "Streams that were told to drain, by reason."),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "logbatcher_commit_seconds", Help: "Seconds from the receipt of a request until all of it was committed, dead-lettered or refused.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 12),
		}),
		forgottenProducers: counter("logbatcher_producers_forgotten_early_total", "Idle producers that were forgotten before their time, because there were too many."),
		forgottenOutcomes:  counter("logbatcher_outcomes_untold_total", "Refusals and dead letters that were forgotten because their producer's stream had ended and too many waited."),
		panics:             counter("logbatcher_panics_total", "Panics that ended a call."),
		failedCalls:        counterBy("reason", "logbatcher_calls_failed_total", "Calls that ended with another status than OK, by the reason in its ErrorInfo, or the status where it has none."),
	}
	for _, c := range []prometheus.Collector{
		m.connections.open, m.connections.refused, m.connections.acceptErrors,
		m.entries, m.requests, m.bytes, m.refused, m.repeats, m.streams, m.producers, m.lag, m.throttled,
		m.drains, m.commitSeconds, m.forgottenProducers, m.forgottenOutcomes, m.panics, m.failedCalls,
	} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
