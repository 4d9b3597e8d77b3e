//go:build linux

package rig

import (
	"fmt"
	"time"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// NumberKey is the attribute that holds a row's number.
const NumberKey = "number"

// Resources is how many different resources send.
const Resources = 4

// Shape is how the rows of a run differ.
type Shape struct {
	// Batch and Entries are the rows of a batch and of a request.
	Batch, Entries int
	// Routes and Colos are how many services and colos the entries name in turn, the worst case.
	Routes, Colos int
}

// Templates returns the requests that all runs repeat, as many as a batch has rows for. Their rows are the design's: about 338
// bytes, eight attributes with the number, which is added later.
func Templates(s Shape) (requests [][]*logbatcherv1.Entry) {
	// Yesterday noon, so that no run goes over midnight into a second partition.
	start := time.Now().UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour)
	for i := range max(s.Batch, s.Entries) / s.Entries * s.Entries {
		e := entry(start, i)
		if s.Routes > 1 {
			e.Service = ServiceOf(i % s.Routes)
		}
		if s.Colos > 1 && i%s.Colos > 0 {
			e.Colo = fmt.Sprintf("C%02d", i%s.Colos)
		}
		if i%s.Entries == 0 {
			requests = append(requests, nil)
		}
		requests[len(requests)-1] = append(requests[len(requests)-1], e)
	}
	return requests
}

// entry returns row i, without its number.
func entry(start time.Time, i int) *logbatcherv1.Entry {
	at := uint64(start.Add(time.Duration(i) * time.Millisecond).UnixNano())
	return &logbatcherv1.Entry{
		TimeUnixNano: at, ObservedTimeUnixNano: at,
		SeverityNumber: 9, SeverityText: [...]string{"INFO", "INFO", "WARN", "DEBUG"}[i%4],
		Body:    fmt.Sprintf("GET /api/v1/carts/%08x/items answered 200 in %d ms, 3 items, cache hit", i*7919, i%97),
		Service: fmt.Sprintf("checkout-%d", i/500%4), Colo: "EWR",
		TraceId: fmt.Sprintf("%032x", i*104729), SpanId: fmt.Sprintf("%016x", i*1299709), TraceFlags: 1,
		ScopeName: "github.com/example/checkout", ScopeVersion: "1.4.2",
		Attributes: []*logbatcherv1.Attribute{
			text("http.method", "GET"), text("http.route", "/api/v1/carts/{id}/items"), integer("http.status_code", 200),
			integer("duration_ms", i%97+1), text("user.id", fmt.Sprintf("u-%06d", i%50000)), text("region", "us-east-1"),
			text("client.address", fmt.Sprintf("10.1.%d.%d", i/250%250, i%250)),
		},
	}
}

func text(key, value string) *logbatcherv1.Attribute {
	return &logbatcherv1.Attribute{Key: key, Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_STRING, StringValue: value}
}

func integer(key string, value int) *logbatcherv1.Attribute {
	return &logbatcherv1.Attribute{Key: key, Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT, IntValue: int64(value)}
}

// numbered returns copies of the entries that are numbered from first on, up to rows. A producer keeps what it was given, so the
// templates themselves can't be sent.
func numbered(templates []*logbatcherv1.Entry, first, rows int) []*logbatcherv1.Entry {
	entries := make([]*logbatcherv1.Entry, 0, len(templates))
	for i, t := range templates[:min(len(templates), rows-first)] {
		attributes := append(make([]*logbatcherv1.Attribute, 0, len(t.Attributes)+1), t.Attributes...)
		entries = append(entries, &logbatcherv1.Entry{
			TimeUnixNano: t.TimeUnixNano, ObservedTimeUnixNano: t.ObservedTimeUnixNano,
			SeverityNumber: t.SeverityNumber, SeverityText: t.SeverityText, Body: t.Body, Service: t.Service, Colo: t.Colo,
			TraceId: t.TraceId, SpanId: t.SpanId, TraceFlags: t.TraceFlags, ScopeName: t.ScopeName, ScopeVersion: t.ScopeVersion,
			Attributes: append(attributes, integer(NumberKey, first+i)),
		})
	}
	return entries
}

// Resource returns the resource attributes of producer n.
func Resource(n int) map[string]string {
	return map[string]string{
		"service.name": fmt.Sprintf("checkout-%d", n), "k8s.pod.name": fmt.Sprintf("checkout-%d-abcdef", n), "host.name": "node-17",
	}
}

// ServiceOf returns the name of the service of a route.
func ServiceOf(route int) string { return fmt.Sprintf("service-%02d", route) }
