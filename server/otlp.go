package server

import (
	"encoding/hex"
	"math"

	"github.com/logbatcher/logbatcher/schema"
)

// The tags of OTLP's ExportLogsServiceRequest and of what is in it, down to the record. Fields with another number or wire type are
// ignored, as OTLP and protobuf demand.
const (
	requestResourceLogs = 1<<3 | bytesTag

	resourceLogsResource  = 1<<3 | bytesTag
	resourceLogsScopeLogs = 2<<3 | bytesTag
	resourceLogsSchemaURL = 3<<3 | bytesTag
	// resourceLogsDeprecated is what scope_logs was until OTLP 0.15. The Collector reads it where there is nothing else.
	resourceLogsDeprecated = 1000<<3 | bytesTag

	scopeLogsScope     = 1<<3 | bytesTag
	scopeLogsRecord    = 2<<3 | bytesTag
	scopeLogsSchemaURL = 3<<3 | bytesTag

	recordTime         = 1<<3 | fixed64Tag
	recordSeverity     = 2<<3 | varintTag
	recordSeverityText = 3<<3 | bytesTag
	recordBody         = 5<<3 | bytesTag
	recordAttribute    = 6<<3 | bytesTag
	recordDropped      = 7<<3 | varintTag
	recordFlags        = 8<<3 | fixed32Tag
	recordTraceID      = 9<<3 | bytesTag
	recordSpanID       = 10<<3 | bytesTag
	recordObservedTime = 11<<3 | fixed64Tag
	recordEventName    = 12<<3 | bytesTag
)

// otlpDecoder decodes OTLP's ExportLogsServiceRequest. It makes of a record what the OpenTelemetry Collector's ClickHouse exporter
// writes; docs/otlp.md has the differences.
type otlpDecoder struct {
	config  *Config
	streams *otlpStreams
	text    otlpText
	// record is the one being decoded, kept for its memory.
	record otlpRecord
}

// newOTLPIntake returns an intake of OTLP.
func newOTLPIntake(config *Config, budget Budget, m *metrics, newDecoder func() decoder) *intake {
	in := newIntake(protocolOTLP, config, budget, m, newDecoder)
	in.memory.shared = true
	return in
}

func newOTLPDecoder(config *Config) func() decoder {
	streams := &otlpStreams{bound: otlpStreamBytes}
	return func() decoder {
		return &otlpDecoder{config: config, streams: streams, text: otlpText{limit: int(config.MaxEntryBytes)}}
	}
}

func (d *otlpDecoder) outline(data []byte) (outline, error) {
	l := outline{end: len(data)}
	err := eachScopeLogs(data, 0, func(_ *resourceLogs, scopeLogs wire) error {
		for scopeLogs.next() {
			if scopeLogs.tag == scopeLogsRecord {
				l.entries++
			}
		}
		return scopeLogs.err()
	})
	if err != nil {
		return l, statusMalformed(problemNoMessage)
	}
	return l, nil
}

func (d *otlpDecoder) decode(data []byte, from cut, values *defaults, into *arena) (cut, error) {
	defer d.reset()
	next := from
	err := eachScopeLogs(data, from.at, func(r *resourceLogs, records wire) error {
		begin, s := records.at, (*otlpScope)(nil)
		records.at = max(begin, from.at)
		for records.next() {
			if records.tag != scopeLogsRecord {
				continue
			}
			var err error
			if s == nil {
				if s, err = d.scope(r, wire{data: records.data, at: begin}, into); err != nil {
					return err
				}
			}
			err = d.add(records.value, r, s, values, into)
			if err == errArenaFull && next == from { // alone, too
				into.refuse(&schema.Refusal{Reason: schema.TooLarge, Message: "the record and its resource need too much memory for a request of this size"})
				err = nil
			}
			if err != nil {
				return err
			}
			if next.at <= r.begin {
				into.dropped.resource += r.resource.dropped
			}
			if next.at <= begin {
				into.dropped.scope += s.dropped
			}
			next = cut{records.at, next.place + 1}
		}
		return records.err()
	})
	if err == errNotProtobuf {
		return next, statusMalformed(problemNoMessage)
	}
	return next, nil
}

// reset clears the decoder for the pool.
func (d *otlpDecoder) reset() {
	d.text.reset()
	clear(d.record.attributes[:cap(d.record.attributes)])
	if d.record = (otlpRecord{attributes: d.record.attributes[:0]}); cap(d.record.attributes) > maxPooledAttributes {
		d.record.attributes = nil
	}
}

// resourceLogs is a ResourceLogs without its ScopeLogs.
type resourceLogs struct {
	begin    int // its offset
	encoded  []byte
	url      []byte
	resource *otlpResource // nil until a record needs it
	// held is set once the arena has room for the resource.
	held bool
}

// eachScopeLogs calls do for each ScopeLogs of a request that does not end before an offset. Offsets are those in the request. It
// fails with do's error or with errNotProtobuf.
func eachScopeLogs(data []byte, after int, do func(*resourceLogs, wire) error) error {
	request := wire{data: data}
	for request.next() {
		if request.tag != requestResourceLogs || request.at <= after {
			continue
		}
		begin, wanted := request.at-len(request.value), uint64(resourceLogsDeprecated)
		r := resourceLogs{begin: begin}
		fields := wire{data: request.value}
		for fields.next() { // what is to be known of all comes last
			switch fields.tag {
			case resourceLogsResource:
				r.encoded = joined(r.encoded, fields.value)
			case resourceLogsSchemaURL:
				r.url = fields.value
			case resourceLogsScopeLogs:
				wanted = resourceLogsScopeLogs
			}
		}
		fields = wire{data: data[:request.at], at: begin}
		for fields.next() {
			if fields.tag != wanted || fields.at <= after {
				continue
			}
			if err := do(&r, wire{data: data[:fields.at], at: fields.at - len(fields.value)}); err != nil {
				return err
			}
		}
		if fields.bad {
			return errNotProtobuf
		}
	}
	return request.err()
}

// otlpScope is a ScopeLogs without its records.
type otlpScope struct {
	*otlpStream
	url []byte
	// held is set once the arena has room for the stream.
	held bool
}

// scope reads what the records of a ScopeLogs share.
func (d *otlpDecoder) scope(r *resourceLogs, fields wire, into *arena) (*otlpScope, error) {
	s := &otlpScope{}
	var encoded []byte
	for fields.next() {
		switch fields.tag {
		case scopeLogsScope:
			encoded = joined(encoded, fields.value)
		case scopeLogsSchemaURL:
			s.url = fields.value
		}
	}
	err := fields.err()
	if r.resource == nil && err == nil {
		r.resource, err = d.streams.resource(r.encoded, d)
	}
	if err == nil {
		s.otlpStream, err = d.streams.stream(r.resource, encoded, d)
	}
	return s, err
}

// otlpRecord is a LogRecord whose attributes are not decoded yet.
type otlpRecord struct {
	time, observedTime                       uint64
	severity                                 int32
	flags, dropped                           uint32
	severityText, traceID, spanID, eventName []byte
	body                                     anyValue
	attributes                               [][]byte
}

// read reads an encoded record, of which at most a number of attributes are kept. It returns how many there are.
func (o *otlpRecord) read(data []byte, maxAttributes int) (attributes int, err error) {
	*o = otlpRecord{attributes: o.attributes[:0]}
	fields := wire{data: data}
	for fields.next() {
		switch fields.tag {
		case recordTime:
			o.time = fields.bits
		case recordObservedTime:
			o.observedTime = fields.bits
		case recordSeverity:
			o.severity = int32(fields.bits)
		case recordSeverityText:
			o.severityText = fields.value
		case recordBody:
			if err := o.body.merge(fields.value); err != nil {
				return 0, err
			}
		case recordAttribute:
			if attributes++; attributes <= maxAttributes {
				o.attributes = append(o.attributes, fields.value)
			}
		case recordDropped:
			o.dropped = uint32(fields.bits)
		case recordFlags:
			o.flags = uint32(fields.bits)
		case recordTraceID:
			o.traceID = fields.value
		case recordSpanID:
			o.spanID = fields.value
		case recordEventName:
			o.eventName = fields.value
		}
	}
	return attributes, fields.err()
}

// check returns the refusal for the first thing that is wrong with a record, or nil.
func (o *otlpRecord) check() *schema.Refusal {
	switch {
	case o.time > math.MaxInt64:
		return invalidField("time_unix_nano", "it must be below 2^63")
	case o.observedTime > math.MaxInt64:
		return invalidField("observed_time_unix_nano", "it must be below 2^63")
	case o.severity < 0 || o.severity > maxSeverity:
		return invalidField("severity_number", "it must be 0 to 24")
	case len(o.traceID) != 0 && len(o.traceID) != traceIDDigits/2:
		return invalidField("trace_id", "it must be 16 bytes (32 hexadecimal digits), or empty")
	case len(o.spanID) != 0 && len(o.spanID) != spanIDDigits/2:
		return invalidField("span_id", "it must be 8 bytes (16 hexadecimal digits), or empty")
	}
	return nil
}

// add adds one encoded record to the arena, or refuses it.
func (d *otlpDecoder) add(data []byte, r *resourceLogs, s *otlpScope, values *defaults, into *arena) error {
	if into.full() {
		return errArenaFull
	}
	refusal := s.refusal
	if refusal == nil {
		refusal = d.config.refuse(len(data), 0)
	}
	o := &d.record
	if refusal == nil {
		attributes, err := o.read(data, d.config.MaxEntryAttributes)
		if err != nil {
			return err
		}
		if refusal = d.config.refuse(0, attributes); refusal == nil {
			refusal = o.check()
		}
	}
	if refusal != nil {
		own := *refusal // the stream's is for all of its records
		into.refuse(&own)
		return nil
	}
	if r.held = r.held || into.hold(r.resource.own); !r.held {
		return errArenaFull
	}
	if s.held = s.held || into.hold(s.bytes); !s.held {
		return errArenaFull
	}
	attributes, ok := into.attributes(len(o.attributes))
	if !ok {
		return errArenaFull
	}
	d.text.begin()
	for i, encoded := range o.attributes {
		a := &attributes[i]
		if err := d.text.attribute(encoded, a); err != nil {
			return d.refuseText(err, attributePath("attributes", a.Key), into)
		}
		if !d.text.move(&a.Text, into) {
			return errArenaFull
		}
	}
	var body schema.Attribute
	if err := d.text.value(&o.body, &body); err != nil {
		return d.refuseText(err, "body", into)
	}
	if body.Type != schema.String && body.Type != schema.JSON {
		d.text.generated, d.text.text = true, body.AppendText(d.text.text[:0])
	}
	if !d.text.move(&body.Text, into) {
		return errArenaFull
	}
	traceID, ok := hexText(o.traceID, into)
	if !ok {
		return errArenaFull
	}
	spanID, ok := hexText(o.spanID, into)
	if !ok {
		return errArenaFull
	}
	e := into.add()
	e.Time = or(or(int64(o.time), int64(o.observedTime)), values.received)
	e.ObservedTime = or(int64(o.observedTime), values.received)
	e.Body = body.Text
	e.SeverityText = textOf(o.severityText)
	e.Service = r.resource.service
	e.TraceID, e.SpanID = traceID, spanID
	e.EventName = textOf(o.eventName)
	e.Colo = values.colo
	e.Attributes = attributes
	e.Stream = s.stream
	e.ScopeName, e.ScopeVersion = s.name, s.version
	e.ScopeSchemaURL, e.ResourceSchemaURL = textOf(s.url), textOf(r.url)
	e.SeverityNumber = uint8(o.severity)
	e.TraceFlags = uint8(o.flags)
	into.dropped.record += uint64(o.dropped)
	return nil
}

// refuseText refuses a record for a value that has no text, or returns the error if it is for the whole request.
func (d *otlpDecoder) refuseText(err error, field string, into *arena) error {
	refusal := d.text.refusal(err, field)
	if refusal == nil {
		return err
	}
	into.refuse(refusal)
	return nil
}

// hexText returns an id as the arena's text, and "" for one without a bit set. It reports false if the arena has no room.
func hexText(id []byte, into *arena) (string, bool) {
	set := byte(0)
	for _, b := range id {
		set |= b
	}
	if set == 0 {
		return "", true
	}
	text, ok := into.text(hex.EncodedLen(len(id)))
	if ok {
		hex.Encode(text, id)
	}
	return textOf(text), ok
}

// droppedAttributes counts attributes that the sender says it has dropped.
type droppedAttributes struct{ resource, scope, record uint64 }

func (d *droppedAttributes) add(more droppedAttributes) {
	d.resource += more.resource
	d.scope += more.scope
	d.record += more.record
}

func (d *droppedAttributes) count(m *metrics) {
	for from, n := range map[string]uint64{"resource": d.resource, "scope": d.scope, "record": d.record} {
		if n > 0 {
			m.otlpDropped.WithLabelValues(from).Add(float64(n))
		}
	}
}
