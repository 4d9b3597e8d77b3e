package shard

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the router's own counts. What the books and the shards hold is read when it is collected.
type metrics struct {
	refused *prometheus.CounterVec
	sealed  *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer, r *Router) *metrics {
	m := &metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "logbatcher_rows_refused_total",
			Help: "Rows that a route refused before they reached a batch, by reason.",
		}, []string{"route", "reason"}),
		sealed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "logbatcher_batches_sealed_total",
			Help: "Batches sealed, by table.",
		}, []string{"table"}),
	}
	registerer.MustRegister(m.refused, m.sealed, collector{r})
	return m
}

// collector reads the books: for each table routed = committed + dead-lettered + in flight.
type collector struct{ router *Router }

var (
	routedDescription = prometheus.NewDesc("logbatcher_rows_routed_total",
		"Rows put into batches, and rows sent to the dead-letter queue instead of a batch, by table.", []string{"table"}, nil)
	committedDescription = prometheus.NewDesc("logbatcher_rows_committed_total",
		"Rows that ClickHouse has acknowledged, by table.", []string{"table"}, nil)
	deadLetteredDescription = prometheus.NewDesc("logbatcher_rows_dead_lettered_total",
		"Rows in the dead-letter queue, by table.", []string{"table"}, nil)
	rowsInFlightDescription = prometheus.NewDesc("logbatcher_rows_in_flight",
		"Rows in batches that are open or not yet settled, by table.", []string{"table"}, nil)
	bytesInFlightDescription = prometheus.NewDesc("logbatcher_table_bytes_in_flight",
		"Bytes of batches that are open or not yet settled, and of requests on their way into them, by table.", []string{"table"}, nil)
	unmatchedDescription = prometheus.NewDesc("logbatcher_entries_unmatched_total",
		"Entries that matched no route.", nil, nil)
	budgetUsedDescription = prometheus.NewDesc("logbatcher_budget_used_bytes",
		"Bytes in flight charged to the budget: received requests and batches.", nil, nil)
	budgetLimitDescription = prometheus.NewDesc("logbatcher_budget_limit_bytes",
		"Bound of the bytes in flight.", nil, nil)
	queueDescription = prometheus.NewDesc("logbatcher_shard_queued_requests",
		"Requests that wait in a shard's queue.", []string{"shard"}, nil)
)

// Describe implements prometheus.Collector.
func (c collector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		routedDescription, committedDescription, deadLetteredDescription, rowsInFlightDescription, bytesInFlightDescription,
		unmatchedDescription, budgetUsedDescription, budgetLimitDescription, queueDescription,
	} {
		descriptions <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge := func(d *prometheus.Desc, value int, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	for _, route := range c.router.routing.Load().routes {
		table := route.Table.FullName()
		counter(routedDescription, route.counts.routed.Load(), table)
		counter(committedDescription, route.counts.committed.Load(), table)
		counter(deadLetteredDescription, route.counts.deadLettered.Load(), table)
		bytes, rows := route.account.held()
		gauge(rowsInFlightDescription, rows, table)
		gauge(bytesInFlightDescription, bytes, table)
	}
	counter(unmatchedDescription, c.router.unmatched.Load())
	gauge(budgetUsedDescription, c.router.budget.Used())
	gauge(budgetLimitDescription, c.router.budget.Limit())
	for _, w := range c.router.workers {
		gauge(queueDescription, len(w.queue), strconv.Itoa(w.number))
	}
}
