package owner

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	owned                                       prometheus.Gauge
	refused, handedOver, taken, dropped, failed prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	auto := promauto.With(registerer)
	return &metrics{
		owned: auto.NewGauge(prometheus.GaugeOpts{Name: "logbatcher_owned_producers",
			Help: "Producers that belong to this instance's write-ahead log."}),
		refused: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_owner_elsewhere_total",
			Help: "Openings refused because another instance owns the producer."}),
		handedOver: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_producers_given_up_total",
			Help: "Producers given up, for another instance to own or because they were not used."}),
		taken: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_producers_taken_total",
			Help: "Producers that another instance has, or an operator has released, though this instance had not given them up."}),
		dropped: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_producers_taken_entries_dropped_total",
			Help: "Entries of such producers that were in the log and in no batch, and were dropped after a start: their clients send them to the new owner."}),
		failed: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_owner_errors_total",
			Help: "Requests to Redis about owners that failed."}),
	}
}
