package server

import (
	"math"
	"strings"
	"unsafe"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

const (
	maxSeverity   = 24
	maxTraceFlags = 255
	traceIDDigits = 32
	spanIDDigits  = 16
	maxColoBytes  = 32
)

// view fills an entry, except for its attributes, from its message and the defaults.
func view(m *pb.Entry, values *defaults, e *schema.Entry) {
	e.Time = or(int64(m.TimeUnixNano), values.received)
	e.ObservedTime = or(int64(m.ObservedTimeUnixNano), values.received)
	e.Body = m.Body
	e.SeverityText = m.SeverityText
	e.Service = or(m.Service, values.service)
	e.TraceID = m.TraceId
	e.SpanID = m.SpanId
	e.EventName = m.EventName
	e.Colo = or(m.Colo, values.colo)
	e.Stream = values.stream
	e.ScopeName = or(m.ScopeName, values.scopeName)
	e.ScopeVersion = or(m.ScopeVersion, values.scopeVersion)
	e.ScopeSchemaURL = or(m.ScopeSchemaUrl, values.scopeSchemaURL)
	e.ResourceSchemaURL = or(m.ResourceSchemaUrl, values.resourceSchemaURL)
	e.SeverityNumber = uint8(m.SeverityNumber)
	e.TraceFlags = uint8(m.TraceFlags)
}

// or is cmp.Or for two values, which is inlined.
func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

func viewAttribute(m *pb.Attribute, a *schema.Attribute) {
	a.Key = m.Key
	switch typeOf(m) {
	case pb.AttributeType_ATTRIBUTE_TYPE_STRING:
		a.Type, a.Text, a.Bits = schema.String, m.StringValue, 0
	case pb.AttributeType_ATTRIBUTE_TYPE_JSON:
		a.Type, a.Text, a.Bits = schema.JSON, m.StringValue, 0
	case pb.AttributeType_ATTRIBUTE_TYPE_BYTES:
		a.Type, a.Text, a.Bits = schema.Bytes, unsafe.String(unsafe.SliceData(m.BytesValue), len(m.BytesValue)), 0
	case pb.AttributeType_ATTRIBUTE_TYPE_INT:
		a.Type, a.Text, a.Bits = schema.Int, "", uint64(m.IntValue)
	case pb.AttributeType_ATTRIBUTE_TYPE_DOUBLE:
		a.Type, a.Text, a.Bits = schema.Double, "", math.Float64bits(m.DoubleValue)
	case pb.AttributeType_ATTRIBUTE_TYPE_BOOL:
		a.Type, a.Text, a.Bits = schema.Bool, "", 0
		if m.BoolValue {
			a.Bits = 1
		}
	}
}

// check returns the refusal for the first thing that is wrong with an entry, or nil.
func check(m *pb.Entry) *schema.Refusal {
	switch {
	case m.TimeUnixNano > math.MaxInt64:
		return invalidField("time_unix_nano", "it must be below 2^63")
	case m.ObservedTimeUnixNano > math.MaxInt64:
		return invalidField("observed_time_unix_nano", "it must be below 2^63")
	case m.SeverityNumber > maxSeverity:
		return invalidField("severity_number", "it must be 0 to 24")
	case m.TraceFlags > maxTraceFlags:
		return invalidField("trace_flags", "it must be 0 to 255")
	case m.TraceId != "" && !isHex(m.TraceId, traceIDDigits):
		return invalidField("trace_id", "it must be 32 hexadecimal digits, or empty")
	case m.SpanId != "" && !isHex(m.SpanId, spanIDDigits):
		return invalidField("span_id", "it must be 16 hexadecimal digits, or empty")
	case m.Colo != "" && checkColo(m.Colo) != "":
		return invalidField("colo", checkColo(m.Colo))
	}
	if field, problem := checkAttributes("attributes", m.Attributes); problem != "" {
		return invalidField(field, problem)
	}
	if m.HasUnknownFields() {
		return invalidField(unknownField(m.ProtoReflect()))
	}
	return nil
}

func invalidField(field, problem string) *schema.Refusal {
	return &schema.Refusal{Field: field, Reason: schema.InvalidField, Message: problem}
}

// checkColo returns the problem of a colo, or "". An empty colo is valid.
func checkColo(colo string) string {
	if len(colo) > maxColoBytes || strings.ContainsFunc(colo, notInColo) {
		return "it must be at most 32 of A-Z, a-z, 0-9, _ and ."
	}
	return ""
}

func notInColo(r rune) bool {
	letter := 'a' <= r|0x20 && r|0x20 <= 'z'
	digit := '0' <= r && r <= '9'
	return !letter && !digit && r != '_' && r != '.'
}

func isHex(s string, digits int) bool {
	if len(s) != digits {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('0' <= c && c <= '9') && !('a' <= c|0x20 && c|0x20 <= 'f') {
			return false
		}
	}
	return true
}
