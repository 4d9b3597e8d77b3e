package sink

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// The answers to the question whether a batch is there, as metrics write them.
const (
	askedPresent = "present"
	askedAbsent  = "absent"
	askedPartial = "partial"
	askedRunning = "running"
	askedError   = "error"
)

// outcomeCommitted is the outcome of an insert that was acknowledged; the others are the classes' names.
const outcomeCommitted = "acknowledged"

type deliveryMetrics struct {
	retries, isolationInserts, shapeSplits, burned, partial, viewFailures *prometheus.CounterVec

	inserts, asked, unclassified *prometheus.CounterVec
	duration, batchRows          *prometheus.HistogramVec
	inFlight, limit              *prometheus.GaugeVec
	rowsLeftOut, judged          *prometheus.CounterVec
	letterFailures, lettersLost  prometheus.Counter
	lettersWaiting               prometheus.Gauge
}

// newDeliveryMetrics makes and registers the metrics.
func newDeliveryMetrics(registerer prometheus.Registerer) (*deliveryMetrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "logbatcher", Subsystem: "sink", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "logbatcher", Subsystem: "sink", Name: name, Help: help}, []string{"table"})
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "logbatcher", Subsystem: "sink", Name: name, Help: help, Buckets: buckets}, []string{"table"})
	}
	m := &deliveryMetrics{
		inserts:          counter("inserts_total", "Inserts tried, by outcome: acknowledged, or the class of the error.", "table", "outcome"),
		retries:          counter("insert_retries_total", "Inserts tried after a first one of the same rows, without those that look for bad rows.", "table"),
		isolationInserts: counter("isolation_inserts_total", "Inserts of parts of a batch, to tell its bad rows from its good ones; without retries.", "table"),
		shapeSplits:      counter("shape_splits_total", "Batches, or parts of them, split because they spanned partitions. Each one is a fault of the gateway.", "table"),
		burned:           counter("tokens_burned_total", "Deduplication tokens acknowledged though their rows were not there; the rows were sent again.", "table"),
		partial:          counter("partly_present_total", "Batches found in their table in part, since rows of them were deleted, or more than once, which is a fault.", "table"),
		viewFailures:     counter("view_failures_total", "Inserts that failed in a materialized view on the table. The table may have the rows; the view has not.", "table", "view"),
		asked:            counter("present_asks_total", "Questions whether a batch is in its table, by answer.", "table", "answer"),
		unclassified:     counter("unclassified_total", "Errors whose code is in no table.", "code"),
		duration:         histogram("insert_duration_seconds", "Time that an insert took, in seconds, whatever its outcome.", prometheus.ExponentialBuckets(0.005, 2, 15)),
		batchRows:        histogram("batch_rows", "Rows of a batch as it was handed to the sink.", prometheus.ExponentialBuckets(1, 4, 11)),
		inFlight:         gauge("inserts_in_flight", "Inserts sent and not answered yet."),
		limit:            gauge("inserts_in_flight_limit", "Inserts that may be in flight at a time; fewer while the server is overloaded."),
		letterFailures: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "logbatcher", Subsystem: "sink", Name: "dead_letter_write_failures_total",
			Help: "Failed attempts to write a dead letter; each is tried again."}),
		judged:      counter("violation_asks_total", "Questions which rows of a refused batch violate a constraint, by answer: found, none or error.", "table", "answer"),
		rowsLeftOut: counter("dead_letter_rows_left_out_total", "Rows too large for the dead-letter queue: their letters have the reason and the origin, and no payload.", "table"),
		lettersLost: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "logbatcher", Subsystem: "sink", Name: "dead_letters_lost_total",
			Help: "Dead letters that the queue refuses for good whatever is left out of them. Each one is a fault."}),
		lettersWaiting: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "logbatcher", Subsystem: "sink", Name: "dead_letters_waiting",
			Help: "Dead letters that are being written or wait for the queue."}),
	}
	if registerer == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.inserts, m.retries, m.isolationInserts, m.shapeSplits, m.burned, m.partial, m.viewFailures, m.asked, m.judged, m.rowsLeftOut,
		m.unclassified, m.duration, m.batchRows, m.inFlight, m.limit, m.letterFailures, m.lettersLost, m.lettersWaiting,
	} {
		errs = append(errs, registerer.Register(c))
	}
	return m, errors.Join(errs...)
}
