package batch

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// projection says how one column's value comes from an entry. It is immutable.
type projection struct {
	name       string
	typeText   string
	columnType schema.Type
	source     schema.Source
	target     target
	// fallback is the value for an absent source, or where a value can't be coerced and OnError is UseDefault.
	fallback value
	required bool
	onError  schema.OnError
	// slot is the attribute's in attributeReader.found, where the source is one.
	slot int32
	step step
}

// row is what a projection reads: an entry, and the request that it came with.
type row struct {
	entry    *schema.Entry
	origin   *Origin
	received int64
	// found has the places of attributes that the attributeReader found. Nil: they are looked for.
	found []int32
	// input holds a field of the entry in the form that coercions take.
	input schema.Attribute
}

// compileProjection makes the projection of a column, or returns all that is wrong with it.
func compileProjection(c *schema.Column, server *time.Location) (projection, error) {
	p := projection{
		name: c.Name, typeText: c.Type.String(), columnType: c.Type, source: c.Source,
		required: c.Required, onError: c.OnError, slot: inMap,
	}
	if err := c.Type.Validate(); err != nil {
		return p, err
	}
	p.target = newTarget(&p.columnType, server)
	err := errors.Join(p.checkSource(c), p.prepareFallback(c))
	p.step = p.chooseStep()
	return p, err
}

func newTarget(t *schema.Type, server *time.Location) target {
	bare := *t
	bare.LowCardinality, bare.Nullable = false, false
	low, high := integerRange(t.Kind)
	made := target{
		kind: t.Kind, name: bare.String(), low: low, high: high, length: t.Length,
		tick: 1, location: server, limits: limitsOf(&bare, low, high),
	}
	for range 9 - t.Precision {
		made.tick *= 10
	}
	if t.Zone != "" {
		if zone, err := time.LoadLocation(t.Zone); err == nil { // Validate has tried it
			made.location = zone
		}
	}
	if len(t.Enum) > 0 {
		made.elements = make(map[string]int16, len(t.Enum))
		made.values = make(map[int16]bool, len(t.Enum))
		for _, e := range t.Enum {
			made.elements[e.Name], made.values[e.Value] = e.Value, true
		}
	}
	return made
}

func integerRange(kind schema.Kind) (low int64, high uint64) {
	switch kind {
	case schema.KindInt8:
		return math.MinInt8, math.MaxInt8
	case schema.KindInt16:
		return math.MinInt16, math.MaxInt16
	case schema.KindInt32:
		return math.MinInt32, math.MaxInt32
	case schema.KindInt64:
		return math.MinInt64, math.MaxInt64
	case schema.KindUInt8:
		return 0, math.MaxUint8
	case schema.KindUInt16:
		return 0, math.MaxUint16
	case schema.KindUInt32:
		return 0, math.MaxUint32
	}
	return 0, math.MaxUint64
}

// isMap says whether the field is a map of attributes.
func isMap(f schema.Field) bool {
	return f == schema.FieldAttributes || f == schema.FieldResourceAttributes || f == schema.FieldScopeAttributes
}

// isAttribute says whether the field is one attribute, named by its key.
func isAttribute(f schema.Field) bool {
	return f == schema.FieldAttribute || f == schema.FieldResourceAttribute || f == schema.FieldScopeAttribute
}

// checkSource finds sources that can never fill the column.
func (p *projection) checkSource(c *schema.Column) error {
	field := c.Source.Field
	switch {
	case c.Name == schema.BatchIDColumn && (field != schema.FieldBatchID || p.typeText != "LowCardinality(String)"):
		return fmt.Errorf("it has to be the batch id, of type LowCardinality(String); it is %q of type %s", c.Source, p.typeText)
	case field == schema.FieldBatchID && (c.Type.Kind != schema.KindString || c.Type.Nullable):
		return fmt.Errorf("the batch id needs type LowCardinality(String) or String, not %s", p.typeText)
	case isMap(field) != (c.Type.Kind == schema.KindMap) && field != schema.NoField:
		return fmt.Errorf("a Map takes attributes, resource_attributes or scope_attributes, and these need a Map; here %q meets %s", c.Source, p.typeText)
	case isAttribute(field) && c.Source.Key == "":
		return errors.New("the attribute's key is missing")
	case field == schema.NoField && c.Required:
		return errors.New("a column without a source can't be required")
	case field > schema.FieldShardID:
		return fmt.Errorf("unknown source %d", field)
	case isAttribute(field) || isMap(field) || field == schema.NoField || field == schema.FieldBatchID:
		return nil
	}
	if t := fieldType(field); coercions[c.Type.Kind][t].apply == nil {
		return fmt.Errorf("%q is of type %s, which can't become %s", c.Source, typeName(t), p.typeText)
	}
	return nil
}

// fieldType is the type of value that a field of the entry or of its request has.
func fieldType(f schema.Field) schema.AttributeType {
	switch f {
	case schema.FieldTime, schema.FieldObservedTime, schema.FieldReceivedTime:
		return ofTime
	case schema.FieldSeverityNumber, schema.FieldTraceFlags, schema.FieldSequence:
		return ofInt
	}
	return ofString
}

// prepareFallback computes the column's default once.
func (p *projection) prepareFallback(c *schema.Column) error {
	p.setZero()
	if !c.HasDefault {
		if c.Default != "" {
			return errors.New("there is a default, but HasDefault is not set")
		}
		p.fallback.null = c.Type.Nullable
		return nil
	}
	if c.Default == "" {
		return nil
	}
	// An Array's default may be a JSON array, as the text of a single attribute may not.
	in := schema.StringAttribute("", strings.Clone(c.Default))
	if c.Type.Kind == schema.KindArray {
		in.Type = ofJSON
	}
	coerce := coercions[c.Type.Kind][in.Type].apply
	if coerce == nil {
		return fmt.Errorf("%s takes no default", p.typeText)
	}
	p.fallback.clear()
	if reason := coerce(&p.target, &in, &p.fallback); reason != schema.NoReason {
		return fmt.Errorf("the default is wrong: %s", p.rowError(&in, reason).Message)
	}
	return nil
}

// setZero makes the fallback ClickHouse's zero value of the type.
func (p *projection) setZero() {
	p.fallback.clear()
	p.fallback.empty = p.columnType.Kind == schema.KindArray
	if len(p.columnType.Enum) > 0 {
		p.fallback.bits = uint64(p.columnType.Enum[0].Value) // ClickHouse takes the lowest value, not 0
	}
}

// evaluate puts into out what the column is to hold, or returns why the row can't be made.
func (p *projection) evaluate(r *row, out *value) *RowError {
	in := p.read(r)
	if in == nil {
		if p.required && p.onError != schema.UseDefault {
			return p.rowError(nil, schema.MissingValue)
		}
		out.set(&p.fallback)
		return nil
	}
	out.clear()
	reason := schema.TypeMismatch
	// An attribute of no known type must not pass for one of the entry's times.
	if in.Type < ofTime || in == &r.input {
		if c := &coercions[p.target.kind][in.Type]; c.apply != nil {
			reason = c.apply(&p.target, in, out)
		}
	}
	switch {
	case reason == schema.NoReason:
		return nil
	case p.onError == schema.UseDefault:
		out.set(&p.fallback)
		return nil
	}
	return p.rowError(in, reason)
}

// read returns the source's value, or nil where it is absent.
func (p *projection) read(r *row) *schema.Attribute {
	e := r.entry
	switch p.source.Field {
	case schema.NoField:
		return nil
	case schema.FieldAttribute:
		if r.found == nil {
			return schema.Lookup(e.Attributes, p.source.Key)
		}
		if place := r.found[p.slot]; place > 0 {
			return &e.Attributes[place-1]
		}
		return nil
	case schema.FieldResourceAttribute:
		return schema.Lookup(e.Stream.ResourceAttributes, p.source.Key)
	case schema.FieldScopeAttribute:
		return schema.Lookup(e.Stream.ScopeAttributes, p.source.Key)
	case schema.FieldTime:
		return r.number(ofTime, uint64(e.Time))
	case schema.FieldObservedTime:
		return r.number(ofTime, uint64(e.ObservedTime))
	case schema.FieldReceivedTime:
		return r.number(ofTime, uint64(r.received))
	case schema.FieldSeverityNumber:
		return r.number(ofInt, uint64(e.SeverityNumber))
	case schema.FieldTraceFlags:
		return r.number(ofInt, uint64(e.TraceFlags))
	case schema.FieldSequence:
		// Attributes have no unsigned numbers. No producer counts as far as the numbers that are cut off.
		return r.number(ofInt, min(r.origin.Sequence, math.MaxInt64))
	}
	text := textOf(r, p.source.Field)
	if text == "" {
		return nil
	}
	r.input.Type, r.input.Text = ofString, text
	return &r.input
}

// number returns a field that is a number; its zero is absence.
func (r *row) number(t schema.AttributeType, bits uint64) *schema.Attribute {
	if bits == 0 {
		return nil
	}
	r.input.Type, r.input.Bits = t, bits
	return &r.input
}

// textOf returns a field that is text.
func textOf(r *row, f schema.Field) string {
	e := r.entry
	switch f {
	case schema.FieldSeverityText:
		return e.SeverityText
	case schema.FieldBody:
		return e.Body
	case schema.FieldService:
		return e.Service
	case schema.FieldTraceID:
		return e.TraceID
	case schema.FieldSpanID:
		return e.SpanID
	case schema.FieldEventName:
		return e.EventName
	case schema.FieldScopeName:
		return e.ScopeName
	case schema.FieldScopeVersion:
		return e.ScopeVersion
	case schema.FieldScopeSchemaURL:
		return e.ScopeSchemaURL
	case schema.FieldResourceSchemaURL:
		return e.ResourceSchemaURL
	case schema.FieldColo:
		return e.Colo
	case schema.FieldProducer:
		return r.origin.Producer
	case schema.FieldShardID:
		return r.origin.ShardID
	}
	return ""
}
