package schema

import (
	"math"
	"strconv"
	"time"
	"unsafe"
)

// Entry is one log record. It is a view: its strings and attributes alias the request's receive buffer
// and are valid until the request is released. Copy whatever has to live longer.
type Entry struct {
	// Time is when the event happened, in nanoseconds since the Unix epoch. If the producer sent none, the server
	// has set it to the time of receipt.
	Time int64
	// ObservedTime is when a collector saw the event, in nanoseconds since the Unix epoch. The server sets it like Time.
	ObservedTime int64
	// Body is the message. It need not be valid UTF-8.
	Body string
	// SeverityText is the severity as the source spelled it.
	SeverityText string
	// Service is the name of the service that wrote the entry.
	Service string
	// TraceID is 32 hexadecimal digits, or empty.
	TraceID string
	// SpanID is 16 hexadecimal digits, or empty.
	SpanID string
	// EventName names the kind of event.
	EventName string
	// Colo is where the entry comes from: its own, the stream's, or else the server's.
	Colo string
	// Attributes are the entry's own attributes. If a key occurs twice, the last one counts.
	Attributes []Attribute
	// Stream is what all entries of the stream share. It is never nil.
	Stream *Stream
	// ScopeName, ScopeVersion, ScopeSchemaURL and ResourceSchemaURL are the entry's own or the stream's.
	ScopeName, ScopeVersion, ScopeSchemaURL, ResourceSchemaURL string
	// SeverityNumber is OpenTelemetry's, 0 (unknown) to 24.
	SeverityNumber uint8
	// TraceFlags are W3C's trace flags.
	TraceFlags uint8
}

// Text returns one of the entry's own strings, and "" for any other field.
func (e *Entry) Text(f Field) string {
	switch f {
	case FieldSeverityText:
		return e.SeverityText
	case FieldBody:
		return e.Body
	case FieldService:
		return e.Service
	case FieldTraceID:
		return e.TraceID
	case FieldSpanID:
		return e.SpanID
	case FieldEventName:
		return e.EventName
	case FieldScopeName:
		return e.ScopeName
	case FieldScopeVersion:
		return e.ScopeVersion
	case FieldScopeSchemaURL:
		return e.ScopeSchemaURL
	case FieldResourceSchemaURL:
		return e.ResourceSchemaURL
	case FieldColo:
		return e.Colo
	}
	return ""
}

// Integer returns one of the entry's own numbers or times, and 0 for any other field.
func (e *Entry) Integer(f Field) int64 {
	switch f {
	case FieldTime:
		return e.Time
	case FieldObservedTime:
		return e.ObservedTime
	case FieldSeverityNumber:
		return int64(e.SeverityNumber)
	case FieldTraceFlags:
		return int64(e.TraceFlags)
	}
	return 0
}

// Stream is what all entries of a stream share. It is immutable and owns its strings, so it may be kept, and compared by
// its address.
type Stream struct {
	// ResourceAttributes describe what wrote the entries.
	ResourceAttributes []Attribute
	// ScopeAttributes describe the instrumentation scope.
	ScopeAttributes []Attribute
}

// AttributeType is the type of an attribute's value.
type AttributeType uint8

// The types of an attribute's value.
const (
	String AttributeType = iota
	Int
	Double
	Bool
	Bytes
	JSON
	// Time is the type of the entry's own times, in nanoseconds since the Unix epoch. No attribute has it.
	Time
)

// String returns the type's name in the configuration and the documentation.
func (t AttributeType) String() string {
	if int(t) < len(attributeTypeNames) {
		return attributeTypeNames[t]
	}
	return "unknown"
}

var attributeTypeNames = [...]string{"string", "int", "double", "bool", "bytes", "json", "time"}

// Attribute is a key with one typed value.
type Attribute struct {
	// Key is the attribute's name. Only OTLP allows an empty one.
	Key string
	// Text is the value of types String, Bytes and JSON.
	Text string
	// Bits is the value of types Int, Double, Bool and Time; see AsInt, AsDouble, AsBool.
	Bits uint64
	// Type decides which of the two holds the value.
	Type AttributeType
}

// AsInt returns the value of an attribute of type Int or Time.
func (a *Attribute) AsInt() int64 { return int64(a.Bits) }

// AsDouble returns the value of an attribute of type Double.
func (a *Attribute) AsDouble() float64 { return math.Float64frombits(a.Bits) }

// AsBool returns the value of an attribute of type Bool.
func (a *Attribute) AsBool() bool { return a.Bits != 0 }

// AppendText appends the value as text: strings, bytes and JSON unchanged, doubles as JavaScript and JSON do, times in RFC 3339.
func (a *Attribute) AppendText(dst []byte) []byte {
	switch a.Type {
	case Int:
		return strconv.AppendInt(dst, a.AsInt(), 10)
	case Double:
		return appendDouble(dst, a.AsDouble())
	case Bool:
		return strconv.AppendBool(dst, a.AsBool())
	case Time:
		return appendTime(dst, a.AsInt())
	}
	return append(dst, a.Text...)
}

// appendDouble appends the fewest digits that read back as the same double, without an exponent from 1e-6 up to below 1e21: the form
// of JavaScript, of most writers of JSON, and of the Collector.
func appendDouble(dst []byte, x float64) []byte {
	switch abs := math.Abs(x); {
	case math.IsInf(x, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(x, -1):
		return append(dst, "-Infinity"...)
	case abs != 0 && abs < 1e-6, abs >= 1e21:
		dst = strconv.AppendFloat(dst, x, 'e', -1, 64)
		if n := len(dst); dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' { // 1e-7, not 1e-07
			dst[n-2] = dst[n-1]
			dst = dst[:n-1]
		}
		return dst
	}
	return strconv.AppendFloat(dst, x, 'f', -1, 64)
}

// appendTime is a function of its own to keep AppendText's stack frame small: numbers are on the hot path.
func appendTime(dst []byte, nanoseconds int64) []byte {
	return time.Unix(0, nanoseconds).UTC().AppendFormat(dst, time.RFC3339Nano)
}

// String returns type and value for a message, a long text shortened.
func (a *Attribute) String() string { return a.Type.String() + " " + a.literal() }

// literal returns the value for a message.
func (a *Attribute) literal() string {
	switch a.Type {
	case Int, Double, Bool, Time:
		return string(a.AppendText(nil))
	}
	return Quoted(a.Text)
}

// StringAttribute returns an attribute of type String.
func StringAttribute(key, value string) Attribute {
	return Attribute{Key: key, Text: value, Type: String}
}

// IntAttribute returns an attribute of type Int.
func IntAttribute(key string, value int64) Attribute {
	return Attribute{Key: key, Bits: uint64(value), Type: Int}
}

// DoubleAttribute returns an attribute of type Double.
func DoubleAttribute(key string, value float64) Attribute {
	return Attribute{Key: key, Bits: math.Float64bits(value), Type: Double}
}

// BoolAttribute returns an attribute of type Bool.
func BoolAttribute(key string, value bool) Attribute {
	a := Attribute{Key: key, Type: Bool}
	if value {
		a.Bits = 1
	}
	return a
}

// BytesAttribute returns an attribute of type Bytes.
func BytesAttribute(key, value string) Attribute {
	return Attribute{Key: key, Text: value, Type: Bytes}
}

// JSONAttribute returns an attribute of type JSON; text is the value's JSON text.
func JSONAttribute(key, text string) Attribute {
	return Attribute{Key: key, Text: text, Type: JSON}
}

// Lookup returns the last attribute with the key, or nil.
func Lookup(attributes []Attribute, key string) *Attribute {
	for i := len(attributes) - 1; i >= 0; i-- {
		if attributes[i].Key == key {
			return &attributes[i]
		}
	}
	return nil
}

// AttributeBytes returns the memory that attributes occupy which own their strings.
func AttributeBytes(attributes []Attribute) int {
	bytes := len(attributes) * int(unsafe.Sizeof(Attribute{}))
	for i := range attributes {
		bytes += len(attributes[i].Key) + len(attributes[i].Text)
	}
	return bytes
}
