package deadletter

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	letters, rows            *prometheus.CounterVec
	repeats                  prometheus.Counter
	trimmed, trimmedRows     prometheus.Counter
	replayed, replayedRows   *prometheus.CounterVec
	dropped, droppedRows     *prometheus.CounterVec
	errors                   *prometheus.CounterVec
	bytes, queued            prometheus.Gauge
	bound, fullness, waiting prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	auto := promauto.With(registerer)
	return &metrics{
		letters: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_dead_letters_written_total",
			Help: "Letters that this instance has put into the queue. Repeats are not counted."}, []string{"table", "class"}),
		rows: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_dead_letters_written_rows_total",
			Help: "Rows of the letters that this instance has put into the queue. Repeats are not counted."}, []string{"table", "class"}),
		repeats: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_dead_letters_repeats_total",
			Help: "Writes of letters that the queue had already, among them those whose first answer was lost."}),
		trimmed: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_dead_letters_trimmed_total",
			Help: "Letters deleted for good to make room for letters of this instance. Always 0 unless when_full is trim."}),
		trimmedRows: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_dead_letters_trimmed_rows_total",
			Help: "Rows of the letters deleted for good to make room."}),
		replayed: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_dead_letters_replayed_total",
			Help: "Letters that this instance has replayed, by outcome: committed, present, refused, divided, claimed, gone or open."}, []string{"table", "outcome"}),
		replayedRows: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_dead_letters_replayed_rows_total",
			Help: "Rows of the letters that this instance has replayed, by outcome."}, []string{"table", "outcome"}),
		dropped: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_dead_letters_dropped_total",
			Help: "Letters that operators have dropped through this instance."}, []string{"table"}),
		droppedRows: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_dead_letters_dropped_rows_total",
			Help: "Rows of the letters that operators have dropped through this instance."}, []string{"table"}),
		errors: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_dead_letters_errors_total",
			Help: "Failed operations on the queue, by kind of error."}, []string{"kind"}),
		bytes: auto.NewGauge(prometheus.GaugeOpts{Name: "logbatcher_dead_letters_queue_bytes",
			Help: "Memory that the queue takes in Redis, in bytes, as this instance last saw it. All instances share the queue."}),
		queued: auto.NewGauge(prometheus.GaugeOpts{Name: "logbatcher_dead_letters_queue_letters",
			Help: "Letters in the queue, as this instance last saw it."}),
		bound: auto.NewGauge(prometheus.GaugeOpts{Name: "logbatcher_dead_letters_queue_max_bytes",
			Help: "Bound of the queue's memory, in bytes (max_bytes)."}),
		fullness: auto.NewGauge(prometheus.GaugeOpts{Name: "logbatcher_dead_letters_queue_fullness_ratio",
			Help: "The queue's bytes divided by their bound, 0 to 1. Alert well below 1: at 1 letters wait or are trimmed."}),
		waiting: auto.NewGauge(prometheus.GaugeOpts{Name: "logbatcher_dead_letters_waiting",
			Help: "Letters waiting for room in the queue."}),
	}
}
