package wal

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the log's. What the log knows anyway is read from there when it is collected.
type metrics struct {
	registerer prometheus.Registerer
	collectors []prometheus.Collector

	syncs    prometheus.Histogram
	failures *prometheus.CounterVec
	damages  prometheus.Counter
	lost     prometheus.Counter
}

func newMetrics(l *Log) (*metrics, error) {
	m := &metrics{
		registerer: l.config.Registerer,
		syncs: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "logbatcher_wal_sync_seconds",
			Help: "Seconds per fsync of the write-ahead log.", Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12)}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_wal_failures_total",
			Help: "Writes that the disk did not take, each of which is tried again, by what was written: log, files, checkpoint or config."}, []string{"part"}),
		damages: prometheus.NewCounter(prometheus.CounterOpts{Name: "logbatcher_wal_damages_total",
			Help: "Damaged places that were found in the write-ahead log and its files when it was opened."}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{Name: "logbatcher_wal_lost_records_total",
			Help: "Records of the write-ahead log that were durable and that the disk has damaged."}),
	}
	gauge := func(name, help string, value func(Usage) int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value(l.Usage())) })
	}
	counter := func(name, help string, value *uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 {
			l.groups.mu.Lock()
			defer l.groups.mu.Unlock()
			return float64(*value)
		})
	}
	m.collectors = []prometheus.Collector{m.syncs, m.failures, m.damages, m.lost,
		gauge("logbatcher_wal_log_bytes", "Bytes of the write-ahead log's segments.", func(u Usage) int64 { return u.Log }),
		gauge("logbatcher_wal_files_bytes", "Bytes of sealed batches and dead letters in the write-ahead log's folder.", func(u Usage) int64 { return u.Files }),
		gauge("logbatcher_wal_reserved_bytes", "Bytes promised to requests that are on their way into the write-ahead log and into batches.", func(u Usage) int64 { return u.Reserved }),
		gauge("logbatcher_wal_max_bytes", "Bound of the three together (max_bytes). Producers wait from seven eighths on.", func(u Usage) int64 { return u.Max }),
		gauge("logbatcher_wal_waiting", "Requests that wait for room in the write-ahead log.", func(u Usage) int64 { return int64(u.Waiting) }),
		counter("logbatcher_wal_records_total", "Records appended to the write-ahead log.", &l.groups.records),
		counter("logbatcher_wal_written_bytes_total", "Bytes appended to the write-ahead log.", &l.groups.bytes),
	}
	if m.registerer == nil {
		return m, nil
	}
	for i, c := range m.collectors {
		if err := m.registerer.Register(c); err != nil {
			m.collectors = m.collectors[:i]
			m.unregister()
			return nil, err
		}
	}
	return m, nil
}

// unregister makes room for the metrics of a log that is opened later.
func (m *metrics) unregister() {
	if m.registerer != nil {
		for _, c := range m.collectors {
			m.registerer.Unregister(c)
		}
	}
}

func (m *metrics) synced(took time.Duration) { m.syncs.Observe(took.Seconds()) }
func (m *metrics) failed(part string)        { m.failures.WithLabelValues(part).Inc() }
func (m *metrics) found(places int, lost uint64) {
	m.damages.Add(float64(places))
	m.lost.Add(float64(lost))
}
