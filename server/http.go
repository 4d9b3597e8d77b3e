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

// The limits of the HTTP server. Requests and responses are small, except for the bodies of posts, which have limits of their own.
const (
	httpReadTimeout  = 5 * time.Second
	httpWriteTimeout = 30 * time.Second
	httpIdleTimeout  = time.Minute
)

// maxHeaderBytes is the most in the headers of a request, or the metadata of a call.
const maxHeaderBytes = 16 << 10

// HTTP serves /metrics, /readyz and /livez to monitoring, and takes entries that are posted.
type HTTP struct {
	server      *http.Server
	connections *connections
}

// NewHTTP returns the HTTP server of an instance. It starts nothing. Without a TLS configuration it serves plain text. It may serve
// before the instance does: until then it takes no entries. The calls of posts are the Server's, and end with its Shutdown. Everybody
// may ask whether the instance is alive and ready; the metrics, and the reasons why it is not ready, need a right.
func NewHTTP(s *Server, gatherer prometheus.Gatherer, secured *tls.Config) *HTTP {
	return newHTTP(s, gatherer, secured, s.ingest.httpProtocols())
}

func newHTTP(s *Server, gatherer prometheus.Gatherer, secured *tls.Config, protocols map[string]httpProtocol) *HTTP {
	c, readiness := &s.config, s.readiness
	bounded := &connections{limit: c.MaxConnections, bound: "max_connections", log: c.Log, metrics: s.ingest.metrics.httpConnections}
	mux := http.NewServeMux()
	gate, door := c.Gate, &doorkeeper{gate: c.Gate, log: c.Log}
	for path, protocol := range protocols {
		responses := s.ingest.metrics.responses.MustCurryWith(prometheus.Labels{"path": path})
		mux.Handle("POST "+path, promhttp.InstrumentHandlerCounter(responses, &posts{ingest: s.ingest, unpack: s.unpack, door: door, protocol: protocol}))
	}
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
		MaxHeaderBytes: maxHeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: c.MaxConnectionStreams, MaxReceiveBufferPerStream: int(c.StreamWindowBytes),
			MaxReceiveBufferPerConnection: int(c.ConnectionWindowBytes),
		},
		// Clients must not fill the log; connections reports the listener's errors.
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
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
