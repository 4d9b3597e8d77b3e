package deadletter

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	letters, rows            *prometheus.CounterVec
	repeats                  prometheus.Counter
	trimmed, trimmedRows     prometheus.Counter
	errors                   *prometheus.CounterVec
	bytes, queued            prometheus.Gauge
	bound, fullness, waiting prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "logbatcher", Subsystem: "dead_letters", Name: name, Help: help})
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "logbatcher", Subsystem: "dead_letters", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "logbatcher", Subsystem: "dead_letters", Name: name, Help: help})
	}
	m := &metrics{
		letters:     counters("written_total", "Letters that this instance has put into the queue. Repeats are not counted.", "table", "class"),
		rows:        counters("written_rows_total", "Rows of the letters that this instance has put into the queue. Repeats are not counted.", "table", "class"),
		repeats:     counter("repeats_total", "Writes of letters that the queue had already; among them those whose first answer was lost."),
		trimmed:     counter("trimmed_total", "Letters taken out, for good, to make room for letters of this instance. Always 0 unless when_full is trim."),
		trimmedRows: counter("trimmed_rows_total", "Rows of the letters taken out, for good, to make room."),
		errors:      counters("errors_total", "Failed operations on the queue, by what the error means.", "kind"),
		bytes:       gauge("queue_bytes", "Memory that the queue takes in Redis, in bytes, as this instance last saw it. All instances share the queue."),
		queued:      gauge("queue_letters", "Letters in the queue, as this instance last saw it."),
		bound:       gauge("queue_max_bytes", "The bound on the queue's memory, in bytes (max_bytes)."),
		fullness:    gauge("queue_fullness_ratio", "Queue's bytes over their bound, 0 to 1. Alarm well below 1: at 1 letters wait, or are trimmed."),
		waiting:     gauge("waiting", "Letters that wait for room in the queue now."),
	}
	var problems []error
	for _, c := range []prometheus.Collector{
		m.letters, m.rows, m.repeats, m.trimmed, m.trimmedRows, m.errors, m.bytes, m.queued, m.bound, m.fullness, m.waiting,
	} {
		problems = append(problems, reg.Register(c))
	}
	return m, errors.Join(problems...)
}
