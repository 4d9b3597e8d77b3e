package sink

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The answers to the question whether a batch is present, as label values.
const (
	askedPresent = "present"
	askedAbsent  = "absent"
	askedPartial = "partial"
	askedRunning = "running"
	askedError   = "error"
)

// outcomeCommitted is the outcome of an acknowledged insert; the others are the names of classes.
const outcomeCommitted = "acknowledged"

type deliveryMetrics struct {
	retries, isolationInserts, shapeSplits, burned, partial, viewFailures *prometheus.CounterVec

	inserts, asked, judged, unclassified *prometheus.CounterVec
	duration, batchRows                  *prometheus.HistogramVec
	inFlight, limit                      *prometheus.GaugeVec
	rowsLeftOut                          *prometheus.CounterVec
	letterFailures, lettersLost          prometheus.Counter
	lettersWaiting                       prometheus.Gauge
}

func newDeliveryMetrics(registerer prometheus.Registerer) *deliveryMetrics {
	auto := promauto.With(registerer)
	table := []string{"table"}
	return &deliveryMetrics{
		inserts: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_sink_inserts_total",
			Help: "Insert attempts by outcome: acknowledged, or the class of the error."}, []string{"table", "outcome"}),
		retries: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_sink_insert_retries_total",
			Help: "Insert attempts after the first one of the same rows, not counting those that isolate bad rows."}, table),
		isolationInserts: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_sink_isolation_inserts_total",
			Help: "Inserts of parts of a batch that separate its bad rows from its good ones, not counting retries."}, table),
		shapeSplits: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_sink_shape_splits_total",
			Help: "Batches, or parts of them, split because they spanned partitions. Each is a bug in LogBatcher."}, table),
		burned: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_sink_tokens_burned_total",
			Help: "Deduplication tokens that were acknowledged although their rows were absent; the rows were sent again."}, table),
		partial: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_sink_partly_present_total",
			Help: "Batches found in their table in part, because rows were deleted since, or more than once, which is a bug."}, table),
		viewFailures: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_sink_view_failures_total",
			Help: "Inserts that failed in a materialized view on the table. The table may have the rows; the view has not."}, []string{"table", "view"}),
		asked: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_sink_present_asks_total",
			Help: "Lookups of a batch in its table, by answer."}, []string{"table", "answer"}),
		judged: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_sink_violation_asks_total",
			Help: "Queries for the rows of a refused batch that violate a constraint, by answer: found, none or error."}, []string{"table", "answer"}),
		unclassified: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_sink_unclassified_total",
			Help: "Errors whose code has no class."}, []string{"code"}),
		duration: auto.NewHistogramVec(prometheus.HistogramOpts{Name: "logbatcher_sink_insert_duration_seconds",
			Help: "Seconds per insert attempt, whatever its outcome.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 15)}, table),
		batchRows: auto.NewHistogramVec(prometheus.HistogramOpts{Name: "logbatcher_sink_batch_rows",
			Help: "Rows per batch handed to the sink.", Buckets: prometheus.ExponentialBuckets(1, 4, 11)}, table),
		inFlight: auto.NewGaugeVec(prometheus.GaugeOpts{Name: "logbatcher_sink_inserts_in_flight",
			Help: "Inserts sent and not yet answered."}, table),
		limit: auto.NewGaugeVec(prometheus.GaugeOpts{Name: "logbatcher_sink_inserts_in_flight_limit",
			Help: "Inserts that may be in flight at a time; fewer while the server is overloaded."}, table),
		rowsLeftOut: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_sink_dead_letter_rows_left_out_total",
			Help: "Rows too large for the dead-letter queue: their letters have the reason and the origin, and no payload."}, table),
		letterFailures: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_sink_dead_letter_write_failures_total",
			Help: "Failed attempts to write a dead letter; each is retried."}),
		lettersLost: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_sink_dead_letters_lost_total",
			Help: "Dead letters that the queue refuses for good even without their payload. Each is a bug."}),
		lettersWaiting: auto.NewGauge(prometheus.GaugeOpts{Name: "logbatcher_sink_dead_letters_waiting",
			Help: "Dead letters that are being written or wait for the queue."}),
	}
}
