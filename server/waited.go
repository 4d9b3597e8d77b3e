package server

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

var (
	waitedDescription = prometheus.NewDesc("logbatcher_throttled_seconds_total",
		"Seconds that streams have spent waiting instead of reading, by cause; waits that go on are included.", []string{"cause"}, nil)
	waitingDescription = prometheus.NewDesc("logbatcher_throttled_streams",
		"Streams that wait instead of reading, by cause.", []string{"cause"}, nil)
)

// waited counts the time that streams wait, by cause, while they wait: a counter that moves when a wait ends would stand still throughout an
// outage.
type waited struct {
	base time.Time

	mu     sync.Mutex
	causes map[pb.ThrottleCause]waitedFor
}

// waitedFor is the waits for one cause: by the time t after base they have lasted running × t + total.
type waitedFor struct {
	running int
	total   time.Duration
}

func newWaited() *waited {
	return &waited{base: time.Now(), causes: map[pb.ThrottleCause]waitedFor{}}
}

// add counts a wait that begins (1) or ends (-1) now.
func (w *waited) add(cause pb.ThrottleCause, running int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.causes[cause]
	f.running += running
	f.total -= time.Duration(running) * time.Since(w.base)
	w.causes[cause] = f
}

// Describe implements prometheus.Collector.
func (w *waited) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- waitedDescription
	descriptions <- waitingDescription
}

// Collect implements prometheus.Collector.
func (w *waited) Collect(metrics chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for cause, f := range w.causes {
		seconds := (f.total + time.Duration(f.running)*time.Since(w.base)).Seconds()
		metrics <- prometheus.MustNewConstMetric(waitedDescription, prometheus.CounterValue, seconds, causeName(cause))
		metrics <- prometheus.MustNewConstMetric(waitingDescription, prometheus.GaugeValue, float64(f.running), causeName(cause))
	}
}
