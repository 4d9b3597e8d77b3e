package journal

import "github.com/prometheus/client_golang/prometheus"

// metrics reads what the journal knows when it is collected.
type metrics struct {
	journal                   *Journal
	rows, flying              *prometheus.Desc
	unsettled, unplaced, held *prometheus.Desc
	missing                   *prometheus.Desc
}

func newMetrics(j *Journal) *metrics {
	described := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &metrics{
		journal: j,
		rows: described("logbatcher_ledger_rows_total", "Rows whose batch is settled, by table and what became of them, over restarts: committed or dead_lettered. "+
			"An empty table stands for entries that matched no route.", "table", "outcome"),
		flying:    described("logbatcher_ledger_rows_in_flight", "Rows of sealed batches that are not settled, by table.", "table"),
		unsettled: described("logbatcher_wal_unsettled_requests", "Requests in the write-ahead log that are not settled."),
		unplaced:  described("logbatcher_wal_unplaced_requests", "Requests in the write-ahead log that are not in files of sealed batches yet: a restart routes them again."),
		held:      described("logbatcher_wal_held_requests", "Requests in the write-ahead log that wait for an operator, because they may have rows in a damaged file, or their routing is lost: see docs/wal.md."),
		missing:   described("logbatcher_wal_missing_requests_total", "Requests that were logged and that the disk has lost, over restarts."),
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.rows, m.flying, m.unsettled, m.unplaced, m.held, m.missing} {
		descriptions <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(values chan<- prometheus.Metric) {
	for table, ledger := range m.journal.Rows() {
		values <- prometheus.MustNewConstMetric(m.rows, prometheus.CounterValue, float64(ledger.Committed), table, "committed")
		values <- prometheus.MustNewConstMetric(m.rows, prometheus.CounterValue, float64(ledger.DeadLettered), table, "dead_lettered")
		values <- prometheus.MustNewConstMetric(m.flying, prometheus.GaugeValue, float64(ledger.InFlight), table)
	}
	var unsettled, unplaced, held int
	j := m.journal
	j.mu.Lock()
	for _, q := range j.state.requests {
		if !q.done {
			unsettled++
		}
		if !q.placed {
			unplaced++
		}
		if j.holds(q) {
			held++
		}
	}
	missing := j.state.missing
	j.mu.Unlock()
	values <- prometheus.MustNewConstMetric(m.unsettled, prometheus.GaugeValue, float64(unsettled))
	values <- prometheus.MustNewConstMetric(m.unplaced, prometheus.GaugeValue, float64(unplaced))
	values <- prometheus.MustNewConstMetric(m.held, prometheus.GaugeValue, float64(held))
	values <- prometheus.MustNewConstMetric(m.missing, prometheus.CounterValue, float64(missing))
}
