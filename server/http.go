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

// NewHTTP returns the HTTP server. It starts nothing. Without a TLS configuration it serves plain text.
func NewHTTP(gatherer prometheus.Gatherer, readiness Readiness, secured *tls.Config) *HTTP {
	bounded := &connections{limit: maxHTTPConnections, bound: "the limit of the HTTP port", log: slog.Default(), metrics: newConnectionMetrics(nil)}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { writeLines(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if ready, reasons := readiness.Ready(); !ready {
			writeLines(w, http.StatusServiceUnavailable, "not ready", reasons...)
			return
		}
		if degraded := append(bounded.degraded(), readiness.Degraded()...); len(degraded) > 0 {
			writeLines(w, http.StatusOK, "ready, degraded", degraded...)
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
