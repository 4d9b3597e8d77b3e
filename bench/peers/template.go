//go:build linux

package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/bench/internal/rig"
)

// placeholder is where an encoded request has the number of a row, in decimal digits.
const placeholder = "NUMBERHERE"

// A template is an encoded request without the numbers of its rows.
type template struct {
	encoded []byte
	places  []int
}

// numbered returns the request in a buffer, with rows numbered from first on.
func (t *template) numbered(buffer []byte, first int) []byte {
	buffer = append(buffer[:0], t.encoded...)
	for i, at := range t.places {
		digits := strconv.AppendInt(make([]byte, 0, len(placeholder)), int64(first+i), 10)
		n := at + len(placeholder) - len(digits)
		copy(buffer[at:n], "0000000000")
		copy(buffer[n:], digits)
	}
	return buffer
}

// encodeAll encodes the requests for a protocol.
func encodeAll(p protocol, requests [][]*logbatcherv1.Entry) (templates []*template, err error) {
	for i, entries := range requests {
		var encoded []byte
		if p == linesOverHTTP {
			encoded, err = jsonLines(entries)
		} else {
			encoded, err = otlpRequest(i, entries)
		}
		if err != nil {
			return nil, err
		}
		t := &template{encoded: encoded}
		for at := 0; ; at += len(placeholder) {
			next := bytes.Index(encoded[at:], []byte(placeholder))
			if next < 0 {
				break
			}
			at += next
			t.places = append(t.places, at)
		}
		if len(t.places) != len(entries) {
			return nil, fmt.Errorf("a request of %d records has %d numbers", len(entries), len(t.places))
		}
		templates = append(templates, t)
	}
	return templates, nil
}

// jsonLines returns entries as a logger writes them. What they have in common is in the address.
func jsonLines(entries []*logbatcherv1.Entry) ([]byte, error) {
	var lines []byte
	for _, e := range entries {
		members := map[string]any{
			"time": time.Unix(0, int64(e.TimeUnixNano)).UTC().Format(time.RFC3339Nano), "level": e.SeverityText, "msg": e.Body, "service": e.Service,
			"trace_id": e.TraceId, "span_id": e.SpanId, rig.NumberKey: placeholder,
		}
		for _, a := range e.Attributes {
			members[a.Key] = a.StringValue
			if a.Type == logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT {
				members[a.Key] = a.IntValue
			}
		}
		line, err := json.Marshal(members)
		if err != nil {
			return nil, err
		}
		lines = append(append(lines, line...), '\n')
	}
	return lines, nil
}

// otlpRequest returns entries as an ExportLogsServiceRequest of one resource and one scope, as an SDK sends them.
func otlpRequest(number int, entries []*logbatcherv1.Entry) ([]byte, error) {
	r, scope := &resource.Resource{}, &logs.ScopeLogs{}
	attributes := rig.Resource(number % rig.Resources)
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		r.Attributes = append(r.Attributes, text(key, attributes[key]))
	}
	for _, e := range entries {
		scope.Scope = &common.InstrumentationScope{Name: e.ScopeName, Version: e.ScopeVersion}
		traceID, err := hex.DecodeString(e.TraceId)
		if err != nil {
			return nil, err
		}
		spanID, err := hex.DecodeString(e.SpanId)
		if err != nil {
			return nil, err
		}
		record := &logs.LogRecord{
			TimeUnixNano: e.TimeUnixNano, ObservedTimeUnixNano: e.ObservedTimeUnixNano,
			SeverityNumber: logs.SeverityNumber(e.SeverityNumber), SeverityText: e.SeverityText,
			Body:    &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: e.Body}},
			TraceId: traceID, SpanId: spanID, Flags: e.TraceFlags,
		}
		for _, a := range e.Attributes {
			if a.Type == logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT {
				record.Attributes = append(record.Attributes, &common.KeyValue{Key: a.Key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: a.IntValue}}})
			} else {
				record.Attributes = append(record.Attributes, text(a.Key, a.StringValue))
			}
		}
		record.Attributes = append(record.Attributes, text(rig.NumberKey, placeholder))
		scope.LogRecords = append(scope.LogRecords, record)
	}
	// It is encoded like an ExportLogsServiceRequest.
	return proto.Marshal(&logs.LogsData{ResourceLogs: []*logs.ResourceLogs{{Resource: r, ScopeLogs: []*logs.ScopeLogs{scope}}}})
}

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}
