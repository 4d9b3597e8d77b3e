package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/logbatcher/logbatcher/server/access"
)

// The limits of the HTTP server, whose requests and responses are small.
const (
	httpReadTimeout  = 5 * time.Second
	httpWriteTimeout = 30 * time.Second
	httpIdleTimeout  = time.Minute
	httpHeaderBytes  = 16 << 10
	// maxHTTPConnections is far more than scrapers and probes need.
	maxHTTPConnections = 64
)

// HTTP serves /metrics, /readyz and /livez to monitoring.
type HTTP struct {
	server      *http.Server
	connections *connections
}

// NewHTTP returns the HTTP server. It starts nothing. Without a TLS configuration it serves plain text. Everybody may ask whether the
// instance is alive and ready; the metrics, and the reasons why it is not ready, need a right.
func NewHTTP(gatherer prometheus.Gatherer, readiness Readiness, gate *access.Gate, secured *tls.Config) *HTTP {
	bounded := &connections{limit: maxHTTPConnections, bound: "the limit of the HTTP port", log: slog.Default(), metrics: newConnectionMetrics(nil)}
	mux := http.NewServeMux()
	door := &doorkeeper{gate: gate, log: slog.Default()}
	metrics := promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if _, err := door.askHTTP(r, access.Metrics); err != nil {
			refuse(w, err)
			return
		}
		metrics.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { writeLines(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		told := func(reasons []string) []string { // they name tables, servers and files
			if caller, err := gate.Authenticate(shownByHTTP(r)); err != nil || !caller.May(access.Metrics) {
				return []string{"why is told to callers with the right " + string(access.Metrics)}
			}
			return reasons
		}
		if ready, reasons := readiness.Ready(); !ready {
			writeLines(w, http.StatusServiceUnavailable, "not ready", told(reasons)...)
			return
		}
		if degraded := append(bounded.degraded(), readiness.Degraded()...); len(degraded) > 0 {
			writeLines(w, http.StatusOK, "ready, degraded", told(degraded)...)
			return
		}
		writeLines(w, http.StatusOK, "ready")
	})
	return &HTTP{connections: bounded, server: &http.Server{
		Handler: mux, TLSConfig: secured,
		ReadHeaderTimeout: httpReadTimeout, ReadTimeout: httpReadTimeout, WriteTimeout: httpWriteTimeout, IdleTimeout: httpIdleTimeout,
		MaxHeaderBytes: httpHeaderBytes,
		// Clients must not fill the log; connections reports the listener's errors.
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}}
}

// refuse answers a request that its caller has no right to.
func refuse(w http.ResponseWriter, err error) {
	code := http.StatusForbidden
	if status.Code(err) == codes.Unauthenticated {
		code = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	writeLines(w, code, status.Convert(err).Message())
}

// writeLines writes a line, and one for each reason.
func writeLines(w http.ResponseWriter, code int, line string, reasons ...string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, line)
	for _, reason := range reasons {
		_, _ = io.WriteString(w, text(reason)+"\n")
	}
}

// Serve accepts connections from the listener until Shutdown; then it returns nil.
func (h *HTTP) Serve(listener net.Listener) error {
	h.connections.Listener = listener
	serve := h.server.Serve
	if h.server.TLSConfig != nil {
		serve = func(l net.Listener) error { return h.server.ServeTLS(l, "", "") }
	}
	if err := serve(h.connections); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}

// Shutdown accepts no more connections, and closes the open ones when they are idle or ctx ends.
func (h *HTTP) Shutdown(ctx context.Context) error {
	if err := h.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("shut HTTP down: %w", err), h.server.Close())
	}
	return nil
}
