package shard

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the router's. What an account, the budget or a shard knows anyway is read from there when it is collected.
type metrics struct {
	auto            promauto.Factory
	refused, sealed *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	auto := promauto.With(registerer)
	return &metrics{
		auto: auto,
		refused: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_rows_refused_total",
			Help: "Rows that a route refused before they reached a batch, by reason."}, []string{"route", "reason"}),
		sealed: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_batches_sealed_total",
			Help: "Sealed batches."}, []string{"table"}),
	}
}

// addRouter exports what the router and its budget hold.
func (m *metrics) addRouter(r *Router) {
	m.auto.NewCounterFunc(prometheus.CounterOpts{Name: "logbatcher_entries_unmatched_total",
		Help: "Entries that matched no route."}, func() float64 { return float64(r.unmatched.Load()) })
	m.auto.NewGaugeFunc(prometheus.GaugeOpts{Name: "logbatcher_budget_used_bytes",
		Help: "Bytes in flight charged to the budget: received requests and batches."}, func() float64 { return float64(r.budget.Used()) })
	m.auto.NewGaugeFunc(prometheus.GaugeOpts{Name: "logbatcher_budget_limit_bytes",
		Help: "Limit of the bytes in flight."}, func() float64 { return float64(r.budget.Limit()) })
	for _, w := range r.workers {
		m.auto.NewGaugeFunc(prometheus.GaugeOpts{Name: "logbatcher_shard_queued_requests",
			ConstLabels: prometheus.Labels{"shard": strconv.Itoa(w.number)},
			Help:        "Requests waiting in a shard's queue."}, func() float64 { return float64(len(w.queue)) })
	}
}

// addTable exports a table's ledger: routed = committed + dead-lettered + in flight.
func (m *metrics) addTable(t *tableAccount) {
	labels := prometheus.Labels{"table": t.name}
	counter := func(n *atomic.Uint64, name, help string) {
		m.auto.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return float64(n.Load()) })
	}
	counter(&t.routed, "logbatcher_rows_routed_total", "Rows put into batches, or into the dead-letter queue instead of a batch.")
	counter(&t.committed, "logbatcher_rows_committed_total", "Rows that ClickHouse has acknowledged.")
	counter(&t.deadLettered, "logbatcher_rows_dead_lettered_total", "Rows put into the dead-letter queue.")
	m.auto.NewGaugeFunc(prometheus.GaugeOpts{Name: "logbatcher_rows_in_flight", ConstLabels: labels,
		Help: "Rows in batches that are open or not yet settled."}, func() float64 { _, rows := t.held(); return float64(rows) })
	m.auto.NewGaugeFunc(prometheus.GaugeOpts{Name: "logbatcher_table_bytes_in_flight", ConstLabels: labels,
		Help: "Bytes in batches that are open or not yet settled, and of requests on their way into them."},
		func() float64 { bytes, _ := t.held(); return float64(bytes) })
}
