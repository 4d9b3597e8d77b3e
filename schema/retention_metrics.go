package schema

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// retentionMetrics are the metrics of retention runs. Rehearsals count nowhere.
type retentionMetrics struct {
	runs               *prometheus.CounterVec
	rows, parts, bytes *prometheus.CounterVec
	duration           *prometheus.HistogramVec
	oldest, mutations  *prometheus.GaugeVec
	lastSuccess        *prometheus.GaugeVec
	clocks             prometheus.Gauge
}

func newRetentionMetrics(registerer prometheus.Registerer) *retentionMetrics {
	table := []string{"table"}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "logbatcher", Subsystem: "retention", Name: name, Help: help}, append(labels, table...))
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "logbatcher", Subsystem: "retention", Name: name, Help: help}, table)
	}
	m := &retentionMetrics{
		runs:  counter("runs_total", "Retention runs of this instance, by outcome. Runs that another instance made instead are not counted.", "outcome"),
		rows:  counter("deleted_rows_total", "Rows that went with their partition or were deleted by a mutation."),
		parts: counter("dropped_parts_total", "Parts that went with their partition."),
		bytes: counter("dropped_bytes_total", "Bytes on disk that went with their partition. What mutations free is not counted."),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "logbatcher", Subsystem: "retention", Name: "run_seconds",
			Help: "Seconds that a retention run took, with the wait for its mutation.", Buckets: prometheus.ExponentialBuckets(0.1, 4, 9),
		}, table),
		oldest:      gauge("oldest_row_timestamp_seconds", "Time of the oldest row after the last run, as Unix time. 0: the table was empty."),
		mutations:   gauge("unfinished_mutations", "Mutations of the table that were not done after the last run, anybody's."),
		lastSuccess: gauge("last_success_timestamp_seconds", "When a run last did all it had to, as Unix time."),
		clocks: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "logbatcher", Subsystem: "retention", Name: "clock_difference_seconds",
			Help: "How far ClickHouse's clock was ahead of this machine's before the last run. Above 300, or below -300, no run is made.",
		}),
	}
	if registerer != nil {
		registerer.MustRegister(m.runs, m.rows, m.parts, m.bytes, m.duration, m.oldest, m.mutations, m.lastSuccess, m.clocks)
	}
	return m
}

func (m *retentionMetrics) observe(r *RetentionResult, err error) {
	m.runs.WithLabelValues(retentionOutcome(err), r.Table).Inc()
	m.rows.WithLabelValues(r.Table).Add(float64(r.DroppedRows + r.DeletedRows))
	m.parts.WithLabelValues(r.Table).Add(float64(r.DroppedParts))
	m.bytes.WithLabelValues(r.Table).Add(float64(r.DroppedBytes))
	m.duration.WithLabelValues(r.Table).Observe(r.Duration.Seconds())
	if r.checked {
		oldest := 0.0
		if !r.Oldest.IsZero() {
			oldest = float64(r.Oldest.UnixMilli()) / 1000
		}
		m.oldest.WithLabelValues(r.Table).Set(oldest)
		m.mutations.WithLabelValues(r.Table).Set(float64(r.Unfinished))
	}
	if err == nil {
		m.lastSuccess.WithLabelValues(r.Table).Set(float64(r.Ended.UnixMilli()) / 1000)
	}
}

// retentionOutcome is a run's outcome as metrics and history have it.
func retentionOutcome(err error) string {
	switch {
	case err == nil:
		return outcomeApplied
	case errors.Is(err, ErrClocksDiffer):
		return "clocks_differ"
	case errors.Is(err, ErrMutationUnfinished):
		return "mutation_unfinished"
	}
	if _, killed := errors.AsType[*MutationFailedError](err); killed {
		return "mutation_killed"
	}
	return outcomeFailed
}
