package server

import (
	"container/list"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// firstFlight is what any client sends at once: the preface of HTTP/2, or more with TLS. Until then a connection is silent.
const firstFlight = 24

// connections is a listener that bounds the connections open at a time. Beyond the bound a new one takes the place of the one that
// has been silent longest, and if none is silent it is closed at once: it must not wait unseen in the kernel's queue.
type connections struct {
	net.Listener
	limit   int
	bound   string // the setting that is the limit
	log     *slog.Logger
	metrics *connectionMetrics

	refusals, failures rarely

	mu      sync.Mutex
	open    int
	silent  list.List // of *connection, the longest silent first
	failure string    // the last error of Accept
}

// connectionMetrics are a listener's.
type connectionMetrics struct {
	open         prometheus.Gauge
	refused      *prometheus.CounterVec
	acceptErrors prometheus.Counter
}

func newConnectionMetrics(registerer prometheus.Registerer, port string) *connectionMetrics {
	auto := promauto.With(prometheus.WrapRegistererWith(prometheus.Labels{"port": port}, registerer))
	return &connectionMetrics{
		open: auto.NewGauge(prometheus.GaugeOpts{Name: "logbatcher_open_connections",
			Help: "Open connections to the ports."}),
		refused: auto.NewCounterVec(prometheus.CounterOpts{Name: "logbatcher_connections_refused_total",
			Help: "Connections closed because the limit was reached: the new one (limit), or one that had sent nothing yet (silent)."}, []string{"reason"}),
		acceptErrors: auto.NewCounter(prometheus.CounterOpts{Name: "logbatcher_accept_errors_total",
			Help: "Connections that could not be accepted, for instance for lack of file descriptors."}),
	}
}

// connection is one of connections.
type connection struct {
	net.Conn
	owner *connections
	heard int // bytes received, up to firstFlight; only the reader looks at it

	// The rest is guarded by the owner's lock.
	silent *list.Element // nil once it has been heard, or is gone
	gone   bool
}

// Accept implements net.Listener.
func (l *connections) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if temporary, ok := err.(interface{ Temporary() bool }); ok && temporary.Temporary() { // not the end of the listener
				l.metrics.acceptErrors.Inc()
				l.failures.log(l.log, slog.LevelWarn, "connections can't be accepted", "error", err)
				l.mu.Lock()
				l.failure = err.Error()
				l.mu.Unlock()
			}
			return nil, err
		}
		admitted, refused, reason := l.admit(c)
		if refused != nil {
			// Counted first: once the client learns of it, so can everybody.
			l.metrics.refused.WithLabelValues(reason).Inc()
			l.refusals.log(l.log, slog.LevelWarn, "connections are refused", "bound", l.bound, "limit", l.limit)
			_ = refused.Close()
		}
		if admitted != nil {
			return admitted, nil
		}
	}
}

// admit makes c one of the connections, if there is room. It returns the connection that has no place any more, and why.
func (l *connections) admit(c net.Conn) (admitted, refused net.Conn, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.limit {
		oldest := l.silent.Front()
		if oldest == nil {
			return nil, c, "limit"
		}
		evicted := oldest.Value.(*connection)
		l.leaveLocked(evicted)
		refused, reason = evicted.Conn, "silent"
	}
	own := &connection{Conn: c, owner: l}
	own.silent = l.silent.PushBack(own)
	l.open++
	l.metrics.open.Set(float64(l.open))
	return own, refused, reason
}

func (l *connections) leaveLocked(c *connection) {
	if c.gone {
		return
	}
	c.gone = true
	l.heardLocked(c)
	l.open--
	l.metrics.open.Set(float64(l.open))
}

func (l *connections) heardLocked(c *connection) {
	if c.silent != nil {
		l.silent.Remove(c.silent)
		c.silent = nil
	}
}

// Read implements net.Conn.
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.heard < firstFlight {
		if c.heard += n; c.heard >= firstFlight {
			c.owner.mu.Lock()
			c.owner.heardLocked(c)
			c.owner.mu.Unlock()
		}
	}
	return n, err
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.owner.mu.Lock()
	c.owner.leaveLocked(c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}

// degraded returns what went wrong within the last minute.
func (l *connections) degraded() (reasons []string) {
	if l.refusals.recent() {
		reasons = append(reasons, fmt.Sprintf("connections are refused: %s is %d, and as many are open", l.bound, l.limit))
	}
	if l.failures.recent() {
		l.mu.Lock()
		defer l.mu.Unlock()
		reasons = append(reasons, "connections can't be accepted: "+l.failure)
	}
	return reasons
}
