package server

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

const (
	maxSeverity   = 24
	maxTraceFlags = 255
	traceIDDigits = 32
	spanIDDigits  = 16
	maxColoBytes  = 32
	// maxPooledAttributes bounds what a decoder keeps from one entry for the next request.
	maxPooledAttributes = 128
)

// defaults are what holds for all entries of a request that do not say otherwise.
type defaults struct {
	stream                                                     *schema.Stream
	service, colo                                              string
	scopeName, scopeVersion, scopeSchemaURL, resourceSchemaURL string
	// received is in nanoseconds since the Unix epoch.
	received int64
}

// bounds are what one entry may have.
type bounds struct{ entryBytes, entryAttributes int }

// decoder turns encoded entries into views, one after the other through one message. Decoding a whole request into messages
// first would let a few bytes of empty entries and attributes become hundreds of megabytes, and would leave the cache.
type decoder struct {
	message pb.Entry
	bounds  bounds
	values  *defaults
	arena   *arena
}

// errArenaFull is returned for an entry for which a piece has no room left.
var errArenaFull = errors.New("the arena is full")

// cut is where a piece of a request begins: a byte of it, and how many entries lie before.
type cut struct{ at, place int }

// decode makes views of the entries of an encoded request, whose outline is o, in the arena: of those from a place on, as many as
// fit. It returns where the next piece begins and what is wrong with the entries that it left out. The views alias data.
func (d *decoder) decode(data []byte, o *outline, from cut) (cut, []schema.Refusal, error) {
	d.arena.begin(o.entries-from.place, from.place)
	var refusals []schema.Refusal
	next := from
	err := eachField(data[from.at:], func(number protowire.Number, at int, value []byte, _ uint64) error {
		if number == fieldEntries {
			if d.arena.full() {
				return errArenaFull
			}
			refusal, err := d.entry(value)
			if err != nil {
				return err
			}
			if refusal != nil {
				refusal.Index = uint32(next.place)
				refusals = append(refusals, *refusal)
				d.arena.skip(next.place)
			} else {
				d.arena.took(next.place)
			}
			next.place++
		}
		next.at = from.at + at + len(value)
		return nil
	})
	if err == errArenaFull {
		err = nil
	}
	return next, refusals, err
}

// entry adds a view of one encoded entry to the arena, or says why not.
func (d *decoder) entry(data []byte) (*schema.Refusal, error) {
	// An attribute has at least two bytes, so only a long entry can have too many. They are counted first, because a decoded
	// one occupies fifty times what it may have on the wire.
	attributeCount := 0
	if len(data) >= 2*d.bounds.entryAttributes && len(data) <= d.bounds.entryBytes {
		var err error
		if attributeCount, err = countAttributes(data); err != nil {
			return nil, err
		}
	}
	if refusal := tooLarge(len(data), attributeCount, d.bounds); refusal != nil {
		return refusal, nil
	}
	d.clear()
	if err := d.message.UnmarshalVTUnsafe(data); err != nil {
		return nil, errNotProtobuf
	}
	if refusal := check(&d.message); refusal != nil {
		return refusal, nil
	}
	attributes := d.arena.attributes(len(d.message.Attributes))
	if attributes == nil && len(d.message.Attributes) > 0 {
		return nil, errArenaFull
	}
	for i, a := range d.message.Attributes {
		viewAttribute(a, &attributes[i])
	}
	entries := d.arena.entries
	*entries = (*entries)[:len(*entries)+1]
	e := &(*entries)[len(*entries)-1]
	view(&d.message, d.values, e)
	e.Attributes = attributes
	return nil, nil
}

// tooLarge says which bound an entry of that size exceeds, or returns nil.
func tooLarge(bytes, attributes int, b bounds) *schema.Refusal {
	switch {
	case bytes > b.entryBytes:
		return &schema.Refusal{
			Reason:  schema.TooLarge,
			Message: fmt.Sprintf("the entry has %d bytes, max_entry_bytes is %d", bytes, b.entryBytes),
		}
	case attributes > b.entryAttributes:
		return &schema.Refusal{
			Field: "attributes", Reason: schema.TooLarge,
			Message: fmt.Sprintf("the entry has %d attributes, max_entry_attributes is %d", attributes, b.entryAttributes),
		}
	}
	return nil
}

// clear empties the message. It does what ResetVT does without registering each message with protobuf's reflection,
// which nothing here needs and which took a quarter of the time of decoding.
func (d *decoder) clear() {
	attributes := d.message.Attributes
	for _, a := range attributes {
		*a = pb.Attribute{}
	}
	d.message = pb.Entry{}
	d.message.Attributes = attributes[:0]
}

// reset makes the decoder fit for the pool.
func (d *decoder) reset() {
	d.clear()
	if cap(d.message.Attributes) > maxPooledAttributes {
		d.message.Attributes = nil
	}
	d.values, d.arena = nil, nil
}

// view fills an entry, without its attributes, from its message and what holds for all.
func view(m *pb.Entry, values *defaults, e *schema.Entry) {
	e.Time = nanosOr(m.TimeUnixNano, values.received)
	e.ObservedTime = nanosOr(m.ObservedTimeUnixNano, values.received)
	e.Body = m.Body
	e.SeverityText = m.SeverityText
	e.Service = textOr(m.Service, values.service)
	e.TraceID = m.TraceId
	e.SpanID = m.SpanId
	e.EventName = m.EventName
	e.Colo = textOr(m.Colo, values.colo)
	e.Stream = values.stream
	e.ScopeName = textOr(m.ScopeName, values.scopeName)
	e.ScopeVersion = textOr(m.ScopeVersion, values.scopeVersion)
	e.ScopeSchemaURL = textOr(m.ScopeSchemaUrl, values.scopeSchemaURL)
	e.ResourceSchemaURL = textOr(m.ResourceSchemaUrl, values.resourceSchemaURL)
	e.SeverityNumber = uint8(m.SeverityNumber)
	e.TraceFlags = uint8(m.TraceFlags)
}

func nanosOr(nanos uint64, otherwise int64) int64 {
	if nanos == 0 {
		return otherwise
	}
	return int64(nanos)
}

func textOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
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

// check returns the first thing that is wrong with an entry, or nil.
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
	}
	if problem := checkColo(m.Colo); problem != "" {
		return invalidField("colo", problem)
	}
	for _, a := range m.Attributes {
		if field, problem := checkAttribute("attributes", a); problem != "" {
			return invalidField(field, problem)
		}
	}
	if m.HasUnknownFields() {
		return invalidField(unknownField(m.ProtoReflect()))
	}
	return nil
}

func invalidField(field, problem string) *schema.Refusal {
	return &schema.Refusal{Field: field, Reason: schema.InvalidField, Message: problem}
}

// checkColo returns what is wrong with a colo, or an empty string. An empty colo is right.
func checkColo(colo string) string {
	const problem = "it must be at most 32 of A-Z, a-z, 0-9, _ and ."
	if len(colo) > maxColoBytes {
		return problem
	}
	for i := range len(colo) {
		c := colo[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && !digit && c != '_' && c != '.' {
			return problem
		}
	}
	return ""
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
