package server

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/logbatcher/logbatcher/schema"
)

// waited counts the time that streams wait, by cause, while they wait: a counter that moved only when a wait ends would stand
// still throughout an outage.
type waited struct {
	base time.Time

	mu     sync.Mutex
	causes map[schema.WaitCause]waitedFor
}

// waitedFor is the waits for one cause. At the time t after base they have lasted running × t + total.
type waitedFor struct {
	running int
	total   time.Duration
}

func newWaited(registerer prometheus.Registerer) *waited {
	w := &waited{base: time.Now(), causes: map[schema.WaitCause]waitedFor{}}
	auto := promauto.With(registerer)
	for _, cause := range []schema.WaitCause{schema.WaitMemory, schema.WaitTable, schema.WaitResponses, schema.WaitTenant, schema.WaitLog} {
		labels := prometheus.Labels{"cause": cause.String()}
		auto.NewCounterFunc(prometheus.CounterOpts{Name: "logbatcher_throttled_seconds_total", ConstLabels: labels,
			Help: "Seconds that streams have spent waiting instead of reading, by cause, including waits still going on."},
			func() float64 { return w.seconds(cause) })
		auto.NewGaugeFunc(prometheus.GaugeOpts{Name: "logbatcher_throttled_streams", ConstLabels: labels,
			Help: "Streams waiting instead of reading, by cause."},
			func() float64 { return w.streams(cause) })
	}
	return w
}

// add counts a wait that begins (1) or ends (-1) now.
func (w *waited) add(cause schema.WaitCause, running int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.causes[cause]
	f.running += running
	f.total -= time.Duration(running) * time.Since(w.base)
	w.causes[cause] = f
}

func (w *waited) seconds(cause schema.WaitCause) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.causes[cause]
	return (f.total + time.Duration(f.running)*time.Since(w.base)).Seconds()
}

func (w *waited) streams(cause schema.WaitCause) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return float64(w.causes[cause].running)
}
