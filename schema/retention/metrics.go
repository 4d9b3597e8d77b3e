package retention

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the metrics of runs. Dry runs are not counted.
type metrics struct {
	runs               *prometheus.CounterVec
	rows, parts, bytes *prometheus.CounterVec
	duration           *prometheus.HistogramVec
	oldest, mutations  *prometheus.GaugeVec
	lastSuccess        *prometheus.GaugeVec
	clocks             prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	auto := promauto.With(registerer)
	table := []string{"table"}
	return &metrics{
		runs: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_retention_runs_total",
			Help: "Retention runs of this instance, by outcome. Runs made by another instance are not counted."}, []string{"outcome", "table"}),
		rows: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_retention_deleted_rows_total",
			Help: "Rows dropped with their partition or deleted by a mutation."}, table),
		parts: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_retention_dropped_parts_total",
			Help: "Parts dropped with their partition."}, table),
		bytes: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_retention_dropped_bytes_total",
			Help: "Bytes on disk dropped with their partition. What mutations free is not counted."}, table),
		duration: auto.NewHistogramVec(prometheus.HistogramOpts{Name: "logbatcher_retention_run_seconds",
			Help: "Seconds per retention run, including the wait for its mutation.", Buckets: prometheus.ExponentialBuckets(0.1, 4, 9)}, table),
		oldest: auto.NewGaugeVec(prometheus.GaugeOpts{Name: "logbatcher_retention_oldest_row_timestamp_seconds",
			Help: "Time of the oldest row after the last run, as Unix time. 0 if the table was empty."}, table),
		mutations: auto.NewGaugeVec(prometheus.GaugeOpts{Name: "logbatcher_retention_unfinished_mutations",
			Help: "Mutations of the table, whoever started them, that were not done after the last run."}, table),
		lastSuccess: auto.NewGaugeVec(prometheus.GaugeOpts{Name: "logbatcher_retention_last_success_timestamp_seconds",
			Help: "When a run last succeeded, as Unix time."}, table),
		clocks: auto.NewGauge(prometheus.GaugeOpts{Name: "logbatcher_retention_clock_difference_seconds",
			Help: "How far ClickHouse's clock was ahead of this machine's before the last run. Beyond ±300 there is no run."}),
	}
}

func (m *metrics) observe(r *Result, err error) {
	m.runs.WithLabelValues(outcome(err), r.Table).Inc()
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

// outcome returns a run's outcome for metrics and history.
func outcome(err error) string {
	if err == nil {
		return "applied"
	}
	if _, killed := errors.AsType[*MutationFailedError](err); killed {
		return "mutation_killed"
	}
	switch {
	case errors.Is(err, ErrClocksDiffer):
		return "clocks_differ"
	case errors.Is(err, ErrMutationUnfinished):
		return "mutation_unfinished"
	}
	return "failed"
}
