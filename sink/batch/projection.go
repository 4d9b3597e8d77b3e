package batch

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// projection is how one column's value comes from an entry. It is immutable.
type projection struct {
	name       string
	typeText   string
	columnType schema.Type
	source     schema.Source
	target     target
	// fallback is the value for an absent source, and for a value that can't be coerced where onError is UseDefault.
	fallback value
	required bool
	onError  schema.OnError
	// slot is the attribute's in attributeReader.found, where the source is one.
	slot int32
}

// row is what projections read: an entry, and the request that it came with.
type row struct {
	entry    *schema.Entry
	origin   *Origin
	received int64
	// found has the places of the attributes that the attributeReader found. Nil: they are looked up.
	found []int32
	// own holds a field of the entry in the form that coercions take.
	own schema.Attribute
}

// compileProjection returns the projection of a column, or all that is wrong with it.
func compileProjection(c *schema.Column, server *time.Location) (projection, error) {
	p := projection{
		name: c.Name, typeText: c.Type.String(), columnType: c.Type, source: c.Source,
		required: c.Required, onError: c.OnError, slot: inMap,
	}
	if err := c.Type.Validate(); err != nil {
		return p, err
	}
	p.target = newTarget(c.Type, server)
	return p, errors.Join(p.checkSource(c), p.prepareFallback(c))
}

func newTarget(t schema.Type, server *time.Location) target {
	t.LowCardinality, t.Nullable = false, false
	made := target{Type: t, tick: 1, location: server}
	made.low, made.high = t.Kind.Range()
	for range 9 - t.Precision {
		made.tick *= 10
	}
	if zone, err := time.LoadLocation(t.Zone); err == nil && t.Zone != "" { // Validate has tried it
		made.location = zone
	}
	if t.Kind.IsEnum() {
		made.elements = make(map[string]int16, len(t.Enum))
		for _, e := range t.Enum {
			made.elements[e.Name] = e.Value
		}
	}
	return made
}

// checkSource finds sources that can never fill the column.
func (p *projection) checkSource(c *schema.Column) error {
	field := c.Source.Field
	switch {
	case c.Name == schema.BatchIDColumn && (field != schema.FieldBatchID || p.typeText != "LowCardinality(String)"):
		return fmt.Errorf("it has to be the batch id, of type LowCardinality(String); it is %q of type %s", c.Source, p.typeText)
	case field == schema.FieldBatchID && (c.Type.Kind != schema.KindString || c.Type.Nullable):
		return fmt.Errorf("the batch id needs type LowCardinality(String) or String, not %s", p.typeText)
	case field.IsMap() != (c.Type.Kind == schema.KindMap) && field != schema.NoField:
		return fmt.Errorf("a Map takes attributes, resource_attributes or scope_attributes, and these need a Map; here %q meets %s", c.Source, p.typeText)
	case field.IsAttribute() && c.Source.Key == "":
		return errors.New("the attribute's key is missing")
	case field == schema.NoField && c.Required:
		return errors.New("a column without a source can't be required")
	case field > schema.FieldShardID:
		return fmt.Errorf("unknown source %d", field)
	case field.IsAttribute() || field.IsMap() || field == schema.NoField || field == schema.FieldBatchID:
		return nil
	}
	if t := field.Type(); coercions[c.Type.Kind][t].apply == nil {
		return fmt.Errorf("%q is of type %s, which can't become %s", c.Source, t, p.typeText)
	}
	return nil
}

// prepareFallback computes the column's default once: the configured one, NULL, or else the type's zero value.
func (p *projection) prepareFallback(c *schema.Column) error {
	p.fallback.null = c.Type.Nullable && !c.HasDefault
	if c.Type.Kind.IsEnum() {
		p.fallback.bits = uint64(c.Type.Enum[0].Value) // ClickHouse takes the lowest value, not 0
	}
	switch {
	case c.Default == "":
		return nil
	case !c.HasDefault:
		return errors.New("there is a default, but HasDefault is not set")
	}
	// An Array's default may be a JSON array.
	in := schema.StringAttribute("", strings.Clone(c.Default))
	if c.Type.Kind == schema.KindArray {
		in.Type = schema.JSON
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

// evaluate stores in out what the column holds in the row, or returns why the row can't be made.
func (p *projection) evaluate(r *row, out *value) *RowError {
	in := p.read(r)
	if in == nil {
		if p.required && p.onError != schema.UseDefault {
			return p.rowError(nil, schema.MissingValue)
		}
		out.set(&p.fallback)
		return nil
	}
	reason := schema.TypeMismatch
	out.clear()
	// An attribute of an unknown type must not pass for one of the entry's times.
	if in.Type < schema.Time || in == &r.own {
		if apply := coercions[p.target.Kind][in.Type].apply; apply != nil {
			reason = apply(&p.target, in, out)
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
	switch field := p.source.Field; {
	case field == schema.FieldAttribute && r.found != nil:
		if place := r.found[p.slot]; place > 0 {
			return &r.entry.Attributes[place-1]
		}
		return nil
	case field < schema.FieldReceivedTime: // a field of the entry
		return p.source.Value(r.entry, &r.own)
	}
	r.own = schema.Attribute{Type: p.source.Field.Type()}
	switch p.source.Field {
	case schema.FieldReceivedTime:
		r.own.Bits = uint64(r.received)
	case schema.FieldSequence:
		// Attributes have no unsigned numbers. No producer counts this far.
		r.own.Bits = min(r.origin.Sequence, math.MaxInt64)
	case schema.FieldProducer:
		r.own.Text = r.origin.Producer
	case schema.FieldShardID:
		r.own.Text = r.origin.ShardID
	}
	if r.own.Text == "" && r.own.Bits == 0 {
		return nil
	}
	return &r.own
}
