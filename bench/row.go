//go:build linux

package main

import (
	"fmt"
	"time"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// numberKey is the attribute that bears a row's number.
const numberKey = "number"

// firstNumber is the number of a run's first row: from here on a varint has five bytes, up to 2^35.
const firstNumber = 1 << 28

// A row is the design's: about 338 bytes, eight attributes. The last one is the row's number, set later.
type row struct {
	time            time.Time
	traceID, spanID string
	severity, body  string
	service         string
	attributes      [7]attribute
}

// An attribute has a number if its text is empty.
type attribute struct {
	key, text string
	number    int64
}

// Scope and resource of all rows.
const (
	scopeName, scopeVersion = "github.com/example/checkout", "1.4.2"
	severityNumber          = 9
	traceFlags              = 1
)

// noon is the time of the first row: yesterday, so that no run goes over midnight into a second partition.
func noon() time.Time { return time.Now().UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour) }

// makeRow makes row i of the rows that all runs repeat.
func makeRow(start time.Time, i int) row {
	return row{
		time:    start.Add(time.Duration(i) * time.Millisecond),
		traceID: fmt.Sprintf("%032x", i*104729), spanID: fmt.Sprintf("%016x", i*1299709),
		severity: [...]string{"INFO", "INFO", "WARN", "DEBUG"}[i%4],
		body:     fmt.Sprintf("GET /api/v1/carts/%08x/items answered 200 in %d ms, 3 items, cache hit", i*7919, i%97),
		service:  fmt.Sprintf("checkout-%d", i/500%4),
		attributes: [7]attribute{
			{key: "http.method", text: "GET"},
			{key: "http.route", text: "/api/v1/carts/{id}/items"},
			{key: "http.status_code", number: 200},
			{key: "duration_ms", number: int64(i%97) + 1},
			{key: "user.id", text: fmt.Sprintf("u-%06d", i%50000)},
			{key: "region", text: "us-east-1"},
			{key: "client.address", text: fmt.Sprintf("10.1.%d.%d", i/250%250, i%250)},
		},
	}
}

// resource returns the resource attributes of stream n.
func resource(n int) map[string]string {
	return map[string]string{
		"service.name": fmt.Sprintf("checkout-%d", n), "k8s.pod.name": fmt.Sprintf("checkout-%d-abcdef", n), "host.name": "node-17",
	}
}

// entry returns the row as a producer sends it, with a number that is to be overwritten.
func (r *row) entry(colo string, number int64) *logbatcherv1.Entry {
	e := &logbatcherv1.Entry{
		TimeUnixNano: uint64(r.time.UnixNano()), ObservedTimeUnixNano: uint64(r.time.UnixNano()),
		SeverityNumber: severityNumber, SeverityText: r.severity, Body: r.body, Service: r.service,
		TraceId: r.traceID, SpanId: r.spanID, TraceFlags: traceFlags, Colo: colo,
		ScopeName: scopeName, ScopeVersion: scopeVersion,
	}
	for _, a := range r.attributes {
		e.Attributes = append(e.Attributes, a.message())
	}
	last := attribute{key: numberKey, number: number}
	e.Attributes = append(e.Attributes, last.message())
	return e
}

func (a *attribute) message() *logbatcherv1.Attribute {
	if a.text == "" {
		return &logbatcherv1.Attribute{Key: a.key, Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT, IntValue: a.number}
	}
	return &logbatcherv1.Attribute{Key: a.key, Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_STRING, StringValue: a.text}
}

// values returns the row's attributes as a map column takes them, without the number.
func (r *row) values() map[string]string {
	values := make(map[string]string, len(r.attributes)+1)
	for _, a := range r.attributes {
		if a.text == "" {
			a.text = fmt.Sprint(a.number)
		}
		values[a.key] = a.text
	}
	return values
}
