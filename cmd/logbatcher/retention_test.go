package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema/retention"
)

// TestClocksThatDifferDegradeTheService puts ClickHouse's clock back by an hour: retention stops, and the service reports it.
func TestClocksThatDifferDegradeTheService(t *testing.T) {
	server := *embeddedtest.ClickHouse(t)
	target, err := url.Parse(server.Address)
	if err != nil {
		t.Fatal(err)
	}
	late := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		statement, err := io.ReadAll(r.In.Body)
		if err != nil {
			t.Error(err)
		}
		statement = bytes.ReplaceAll(statement, []byte("now64(3)"), []byte("now64(3) - INTERVAL 1 HOUR"))
		r.Out.Body, r.Out.ContentLength = io.NopCloser(bytes.NewReader(statement)), int64(len(statement))
	}})
	t.Cleanup(late.Close)
	server.Address = late.URL
	b := newBench(t, &server, embeddedtest.Redis(t), "shards: {linger: 10ms}\n")
	cfg, err := b.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGateway(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.close)
	routes, err := routesOf(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.retainer.Plan(t.Context(), routes[0]); !errors.Is(err, retention.ErrClocksDiffer) {
		t.Fatalf("error %v", err)
	}
	if degraded := g.status.Degraded(); !slices.ContainsFunc(degraded, func(s string) bool { return strings.Contains(s, "retention is stopped") }) {
		t.Errorf("degraded: %q", degraded)
	}
}
