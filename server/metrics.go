package server

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the package's own. The middleware has those of gRPC calls.
type metrics struct {
	entries, requests, bytes                  prometheus.Counter
	refused                                   *prometheus.CounterVec
	repeats                                   prometheus.Counter
	connections, httpConnections              *connectionMetrics
	streams                                   prometheus.Gauge
	producers                                 prometheus.Gauge
	lag                                       prometheus.Gauge
	throttled                                 *waited
	drains                                    *prometheus.CounterVec
	commitSeconds, loggedSeconds              prometheus.Histogram
	forgottenProducers                        prometheus.Counter
	forgottenOutcomes                         prometheus.Counter
	responses                                 *prometheus.CounterVec
	panics                                    prometheus.Counter
	failedCalls                               *prometheus.CounterVec
	otlpDropped                               *prometheus.CounterVec
	tenantStreams                             *prometheus.GaugeVec
	tenantEntries, tenantBytes, tenantLimited *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	auto := promauto.With(registerer)
	reason, tenant := []string{"reason"}, []string{"tenant"}
	return &metrics{
		entries: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_entries_received_total",
			Help: "Entries of accepted requests, including refused ones, excluding repeats."}),
		requests: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_requests_received_total",
			Help: "Requests received within the limits, including repeats."}),
		bytes: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_request_bytes_total",
			Help: "Bytes of those requests after decompression."}),
		refused: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_entries_refused_total",
			Help: "Entries that the server refused before they reached a route, by reason."}, reason),
		repeats: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_requests_repeated_total",
			Help: "Requests acknowledged and not stored, because their sequence had been accepted before."}),
		connections:     newConnectionMetrics(registerer, "grpc"),
		httpConnections: newConnectionMetrics(registerer, "http"),
		streams: auto.NewGauge(prometheus.GaugeOpts{Name: "logbatcher_open_streams",
			Help: "Open ingest streams and unary calls."}),
		producers: auto.NewGauge(prometheus.GaugeOpts{Name: "logbatcher_known_producers",
			Help: "Producers whose watermark is kept, excluding anonymous ones."}),
		lag: auto.NewGauge(prometheus.GaugeOpts{Name: "logbatcher_watermark_lag_requests",
			Help: "Accepted requests above their producer's committed watermark."}),
		throttled: newWaited(registerer),
		drains: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_drains_total",
			Help: "Streams told to drain, by reason."}, reason),
		commitSeconds: auto.NewHistogram(prometheus.HistogramOpts{Name: "logbatcher_commit_seconds",
			Help:    "Seconds from the receipt of a request until all of it was committed, dead-lettered or refused.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 12)}),
		loggedSeconds: auto.NewHistogram(prometheus.HistogramOpts{Name: "logbatcher_logged_seconds",
			Help:    "Seconds from the receipt of a request until it was in the write-ahead log and fsynced.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 14)}),
		forgottenProducers: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_producers_forgotten_early_total",
			Help: "Idle producers forgotten before their time, because there were too many."}),
		forgottenOutcomes: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_outcomes_untold_total",
			Help: "Refusals and dead letters forgotten because their producer's stream had ended and too many were waiting."}),
		responses: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_http_responses_total",
			Help: "Responses to requests with entries over HTTP, by path and status code."}, []string{"path", "code"}),
		panics: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_panics_total",
			Help: "Panics that ended a call."}),
		failedCalls: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_calls_failed_total",
			Help: "Calls that ended with a status other than OK, by the reason in its ErrorInfo, or the status if it has none."}, reason),
		otlpDropped: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_otlp_dropped_attributes_total",
			Help: "Attributes that OTLP senders say they have dropped, by where they are missing: resource, scope or record."}, []string{"from"}),
		tenantStreams: auto.NewGaugeVec(prometheus.GaugeOpts{Name: "logbatcher_tenant_open_streams",
			Help: "Open ingest streams and unary calls of a tenant."}, tenant),
		tenantEntries: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_tenant_entries_received_total",
			Help: "Entries of a tenant's accepted requests, including refused ones, excluding repeats."}, tenant),
		tenantBytes: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_tenant_request_bytes_total",
			Help: "Bytes of those requests after decompression."}, tenant),
		tenantLimited: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_tenant_limited_requests_total",
			Help: "Requests that had to wait, or were refused, because their tenant had sent as much as it may."}, tenant),
	}
}
